package queue

import "time"

// Move is a change of a job's state that an engine has made, told to those who count.
type Move struct {
	Lane Lane
	From State // 0 if the job is new
	To   State // 0 if the job was deleted
	End  End   // how the lease ended, if From is Running
	// Took is how long the lease lasted, if From is Running; if To is, how long the job has waited for
	// its first lease. Negative if nobody knows, or neither is meant.
	Took time.Duration
}

// Waited returns how long a job that was just leased has waited since it was enqueued, or since its
// RunAt if that is later. Negative for any lease but its first: of the others nobody knows since when
// the job has waited.
func (r *Record) Waited() time.Duration {
	if r.Attempt != 1 {
		return -1
	}
	since := r.Queued
	if r.RunAt.After(since) {
		since = r.RunAt
	}
	return max(0, r.Started.Sub(since))
}
