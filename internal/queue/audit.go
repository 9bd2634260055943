package queue

// MaxDifferences is how many differences an Audit tells of.
const MaxDifferences = 100

// Audit is what came of comparing everything that a store keeps beside its jobs - indexes, counts,
// edges - with what it should be.
type Audit struct {
	Jobs        int64    // that there are
	Counts      Counts   // of them
	APIKeys     int64    // that there are
	Differences []string // MaxDifferences at most; none if the store is sound
	More        int      // how many others there are
}

// Sound reports whether everything is as it should be.
func (a *Audit) Sound() bool { return len(a.Differences) == 0 }
