package queue

import "time"

// MaxAttemptDetails is how much is kept of the details of an error that a job went on after, in
// bytes; larger details are left out.
const MaxAttemptDetails = 4 << 10

// Attempt is one lease that a job had, told without its token.
type Attempt struct {
	Number    uint64 // 1 for the first
	Worker    string // who asked for it, as it called itself
	Principal string // who asked for it, by its credential; empty where nobody was asked for one
	Started   time.Time
	Ended     time.Time // zero while the lease is live, as End and State are
	End       End
	State     State // the state that the job was in then
	// Error is what was reported of the run, or what the rules say of one that went silent or
	// took too long; nil if it did not fail.
	Error *JobError
}
