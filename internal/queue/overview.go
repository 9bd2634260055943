package queue

import (
	"time"

	"github.com/google/uuid"
)

const (
	// WorkerMemory is how long a worker is remembered that does not ask any more.
	WorkerMemory = time.Hour
	// MaxWorkers is how many workers are remembered at most: those that asked last.
	MaxWorkers = 10_000
	// MaxHeld is how many of the leases of a worker are named.
	MaxHeld = 100
	// MaxDemand is how many ready jobs are looked at to count those that have labels.
	MaxDemand = 10_000
)

// Counts has how many jobs there are in each state.
type Counts [Canceled + 1]int64

// Add adds what is in other.
func (c *Counts) Add(other *Counts) {
	for state, n := range other {
		c[state] += n
	}
}

// Total is the number of all of them.
func (c *Counts) Total() (total int64) {
	for _, n := range c {
		total += n
	}
	return total
}

// Open is the number of those that are not over.
func (c *Counts) Open() (open int64) {
	for state, n := range c {
		if !State(state).Over() {
			open += n
		}
	}
	return open
}

// UnknownBytes is how many bytes there are where nobody knows: see Amount.
const UnknownBytes = -1

// Amount is how much there is of jobs that are not over.
type Amount struct {
	Jobs int64
	// Bytes is how much their args are, as stored; UnknownBytes if that is not known yet, because a
	// program of before it was counted has worked on the same store.
	Bytes int64
}

// Plus returns the sum of both.
func (a Amount) Plus(b Amount) Amount { return Amount{Jobs: a.Jobs + b.Jobs, Bytes: a.Bytes + b.Bytes} }

// Minus returns the difference.
func (a Amount) Minus(b Amount) Amount {
	return Amount{Jobs: a.Jobs - b.Jobs, Bytes: a.Bytes - b.Bytes}
}

// Rates are how many things happened a second, as an average that forgets what is longer ago than
// its span: what happened a span ago counts 1/e of what happens now, as in a load average.
type Rates struct{ One, Five, Fifteen float64 } // over 1, 5 and 15 minutes

// LaneInfo is what there is to know of the jobs of one lane.
type LaneInfo struct {
	Lane   Lane
	Counts Counts
	Bytes  int64 // of the args of those that are not over, as of Amount
	// OldestReady is since when the job has been ready that was enqueued first of those that are
	// pending: since then, or since its RunAt if that is later. Zero if none is pending.
	OldestReady time.Time
	Enqueued    Rates
	Started     Rates // leases granted
	Finished    Rates
	Failed      Rates
}

// LaneListing asks for one page of lanes that have jobs, by channel and then by type.
type LaneListing struct {
	Types    []string // any of these; none is all
	Channels []string // any of these; none is all
	After    Lane     // leaves out that lane and those before it; the zero Lane leaves out none
	Limit    int      // 1 to MaxPage
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (l *LaneListing) Validate() error {
	return (&Filter{Types: l.Types, Channels: l.Channels}).Validate()
}

// LanePage is a part of a list of lanes.
type LanePage struct {
	Queues []LaneInfo
	More   bool      // there are others after these
	Now    time.Time // by the store's clock
	Total  Counts    // of all the lanes that are meant, on whatever page
}

// Demand asks how many ready jobs a worker could take now.
type Demand struct {
	Types    []string      // at least one
	Channels []string      // none is DefaultChannel alone
	Labels   []LabelFilter // that the jobs have, all of them
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (d *Demand) Validate() error {
	if err := (DequeueRequest{Types: d.Types, Channels: d.Channels}).Validate(); err != nil {
		return err
	}
	return (&Filter{Labels: d.Labels}).Validate()
}

// DemandAnswer is the answer to a Demand.
type DemandAnswer struct {
	Ready int64
	// Exact is false if there may be more: looking at ready jobs, for their labels, ends after
	// MaxDemand.
	Exact bool
}

// Worker is somebody who asked for jobs lately, or holds leases.
type Worker struct {
	Name     string            // as it calls itself; all that have none are one
	First    time.Time         // when it asked first, as far as is remembered; zero if it has not
	Last     time.Time         // when it asked last; zero if it has not
	Waiting  int               // how many of its calls wait for a job
	Types    []string          // that it asked for last
	Channels []string          // that it asked for last
	Labels   map[string]string // as it described itself last
	Held     []HeldLease       // its live leases, the oldest first, MaxHeld at most
	HeldAll  int               // how many there are
}

// HeldLease is a live lease, told without its token.
type HeldLease struct {
	JobID     uuid.UUID
	Lane      Lane
	Attempt   uint64
	Principal string // whose credential it was asked for with; empty where nobody was asked for one
	Started   time.Time
}

// WorkerListing asks for one page of workers, by name.
type WorkerListing struct {
	// Channels are those that the list is about: who asked in no other, and leases of jobs in them.
	// None is all.
	Channels []string
	After    *string // leaves out the worker with that name and those before it; nil leaves out none
	Limit    int     // 1 to MaxPage
}

// WorkerPage is a part of a list of workers.
type WorkerPage struct {
	Workers []Worker
	More    bool // there are others after these
}
