package queue

import (
	"time"

	"github.com/google/uuid"
)

// Record is the part of a job that changes. Its methods are the state machine: each takes
// the record as it is, says whether the change is legal, and returns the record as it is to
// be; none of them changes its receiver.
type Record struct {
	State    State
	Attempt  uint64    // leases granted so far
	Retries  uint64    // how often a lost lease put it back in line
	Open     uint64    // dependencies that are not over; 0 unless State is Blocked
	Queued   time.Time // when the job was enqueued
	Started  time.Time // of the newest lease; zero while the job waits
	Finished time.Time // zero until the job is over
	Token    uuid.UUID // of the live lease; zero unless State is Running
	Worker   string    // who asked for the newest lease
}

// Grant leases a pending job. ErrNotPending in any other state.
func (r Record) Grant(token uuid.UUID, worker string, now time.Time) (Record, error) {
	if r.State != Pending {
		return r, ErrNotPending
	}
	r.State = Running
	r.Attempt++
	r.Token = token
	r.Worker = worker
	r.Started = now
	return r, nil
}

// RequeueOrFinish ends the lease of a running job, and says how the lease ended: the job is
// back to Pending if it was requeued fewer than maxRetries times, else over with the
// outcome's state. ErrNotRunning in any other state.
func (r Record) RequeueOrFinish(maxRetries uint64, outcome Outcome, now time.Time) (Record, End, error) {
	if r.State != Running {
		return r, 0, ErrNotRunning
	}
	if r.Retries < maxRetries {
		r.Retries++
		return r.wait(), EndLost, nil
	}
	end := EndReported
	if outcome.Error != nil && outcome.Error.Reason == ReasonHeartbeatLost {
		end = EndLost // nobody reported that: a late report is told that its lease is gone
	}
	return r.over(outcome.State(), now), end, nil
}

// Release gives a running job back at no cost. ErrNotRunning in any other state.
func (r Record) Release() (Record, error) {
	if r.State != Running {
		return r, ErrNotRunning
	}
	return r.wait(), nil
}

// Cancel ends a job that is not over. A canceled one stays as it is; ErrNotRunning if it
// finished or failed.
func (r Record) Cancel(now time.Time) (Record, error) {
	switch r.State {
	case Blocked, Pending, Running:
		return r.over(Canceled, now), nil
	case Canceled:
		return r, nil
	default:
		return r, ErrNotRunning
	}
}

// wait puts the job back in line.
func (r Record) wait() Record {
	r.State = Pending
	r.Token = uuid.Nil
	r.Started = time.Time{}
	return r
}

// over ends the job. What remains of the lease is who had it and when it began.
func (r Record) over(state State, now time.Time) Record {
	r.State = state
	r.Open = 0
	r.Token = uuid.Nil
	r.Finished = now
	return r
}
