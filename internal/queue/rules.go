package queue

import (
	"time"

	"github.com/google/uuid"
)

// Record is the part of a job that changes. Its methods are the state machine: each takes
// the record as it is, says whether the change is legal, and returns the record as it is to
// be; none of them changes its receiver.
type Record struct {
	State      State
	Attempt    uint64 // leases granted so far
	Retries    uint64 // how often a lost lease put it back in line
	Failures   uint64 // how often a worker reported that it failed
	Timeouts   uint64 // how often a run took too long
	Generation uint64 // how often an operator retried it
	Version    uint64 // grows with each change
	Open       uint64 // dependencies that are not over, until the job is; not 0 if it is Blocked
	Priority   int
	Queued     time.Time // when the job was enqueued
	Started    time.Time // of the newest lease; zero while the job waits
	Finished   time.Time // zero until the job is over
	RunAt      time.Time // before which it is not handed out; zero if there is no such time
	ExpiresAt  time.Time // zero if it does not expire, or has begun
	Token      uuid.UUID // of the live lease; zero unless State is Running
	Worker     string    // who asked for the newest lease, as it called itself
	Principal  string    // whose credential that was asked for with; empty while the job waits
	// ByDependency tells that the job is over because of a dependency, so that a retry of
	// that one brings it back.
	ByDependency bool
}

// Grant leases a pending job. ErrNotPending in any other state, and of a job that should have
// expired by now.
func (r Record) Grant(token uuid.UUID, to Holder, now time.Time) (Record, error) {
	if r.State != Pending || r.Expired(now) {
		return r, ErrNotPending
	}
	r.State = Running
	r.Attempt++
	r.Token = token
	r.Worker, r.Principal = to.Worker, to.Principal
	r.Started = now
	r.ExpiresAt = time.Time{}
	return r.changed(), nil
}

// RequeueOrFinish ends the lease of a running job, and says how the lease ended: the job is
// back in line if it was requeued fewer than maxRetries times, else over with the
// outcome's state. ErrNotRunning in any other state.
func (r Record) RequeueOrFinish(maxRetries uint64, outcome Outcome, now time.Time) (Record, End, error) {
	if r.State != Running {
		return r, 0, ErrNotRunning
	}
	if r.Retries < maxRetries {
		r.Retries++
		return r.wait(time.Time{}, now), EndLost, nil
	}
	end := EndReported
	if outcome.Error != nil && outcome.Error.Reason == ReasonHeartbeatLost {
		end = EndLost // nobody reported that: a late report is told that its lease is gone
	}
	return r.over(outcome.State(), now), end, nil
}

// Fail ends the lease of a running job whose worker reported a failure. If that is retryable
// and the policy has an attempt left the job waits for the next one, as long as the worker or
// the policy says; else it is Failed. random is from 0 up to, not including, 1. ErrNotRunning
// in any other state.
func (r Record) Fail(failure Failure, policy *RetryPolicy, random float64, now time.Time) (Record, error) {
	if r.State != Running {
		return r, ErrNotRunning
	}
	r.Failures++
	if !failure.Retryable || policy == nil || r.Failures >= policy.MaxAttempts {
		return r.over(Failed, now), nil
	}
	delay := policy.Delay(r.Failures, random)
	if failure.RetryAfter != nil {
		delay = *failure.RetryAfter
	}
	return r.wait(now.Add(delay), now), nil
}

// TimeOut ends the lease of a running job whose run took too long: the job waits for another
// run if that happened at most maxTimeouts times, as long as the policy, if there is one,
// says; else it is Failed. ErrNotRunning in any other state.
func (r Record) TimeOut(maxTimeouts uint64, policy *RetryPolicy, random float64, now time.Time) (Record, error) {
	if r.State != Running {
		return r, ErrNotRunning
	}
	r.Timeouts++
	if r.Timeouts > maxTimeouts {
		return r.over(Failed, now), nil
	}
	var delay time.Duration
	if policy != nil {
		delay = policy.Delay(r.Timeouts, random)
	}
	return r.wait(now.Add(delay), now), nil
}

// TimeoutOutcome is what a job ends with whose run took too long.
func TimeoutOutcome() Outcome { return Outcome{Error: &JobError{Reason: ReasonTimeout}} }

// Release gives a running job back at no cost; it is not handed out again before delay has
// passed. ErrNotRunning in any other state.
func (r Record) Release(delay time.Duration, now time.Time) (Record, error) {
	if r.State != Running {
		return r, ErrNotRunning
	}
	return r.wait(now.Add(delay), now), nil
}

// Due makes a scheduled job Pending whose time has come; any other one stays as it is.
func (r Record) Due(now time.Time) Record {
	if r.State != Scheduled || r.RunAt.After(now) {
		return r
	}
	r.State = Pending
	return r.changed()
}

// Expired reports whether the job should fail because nobody began it in time.
func (r Record) Expired(now time.Time) bool {
	return r.State.Waiting() && !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now)
}

// Expire fails a job that has Expired, with ExpiredOutcome; any other one stays as it is.
func (r Record) Expire(now time.Time) Record {
	if !r.Expired(now) {
		return r
	}
	return r.over(Failed, now)
}

// ExpiredOutcome is what a job ends with that expired.
func ExpiredOutcome() Outcome { return Outcome{Error: &JobError{Reason: ReasonExpired}} }

// Cancel ends a job that is not over. A canceled one stays as it is; ErrNotRunning if it
// finished or failed.
func (r Record) Cancel(now time.Time) (Record, error) {
	switch {
	case !r.State.Over():
		return r.over(Canceled, now), nil
	case r.State == Canceled:
		return r, nil
	default:
		return r, ErrNotRunning
	}
}

// Update changes a job that waits. ErrChanged if it has another version than the update is
// for, ErrNotPending if it does not wait, *InvalidError if it would expire before it may run.
// The Labels are the caller's to change.
func (r Record) Update(u Update, now time.Time) (Record, error) {
	if u.IfVersion != nil && *u.IfVersion != r.Version {
		return r, ErrChanged
	}
	if !r.State.Waiting() || r.Expired(now) {
		return r, ErrNotPending
	}
	next := r
	if u.Priority != nil {
		next.Priority = *u.Priority
	}
	if u.RunAt != nil {
		next.RunAt = storedTime(*u.RunAt)
		if !next.ExpiresAt.IsZero() && !next.RunAt.Before(next.ExpiresAt) {
			return r, &InvalidError{Field: "run_at", Reason: "must be before the job's expires_at"}
		}
		if next.State != Blocked {
			next = next.ready(now)
		}
	}
	if next == r && u.Labels == nil {
		return r, nil // nothing that is shown has changed
	}
	return next.changed(), nil
}

// Note counts a change of what is kept beside the record: progress, a partial result.
func (r Record) Note() Record { return r.changed() }

// changed counts a change.
func (r Record) changed() Record {
	r.Version++
	return r
}

// ready makes a job, of which nothing is open, Pending or Scheduled.
func (r Record) ready(now time.Time) Record {
	if r.RunAt.After(now) {
		r.State = Scheduled
	} else {
		r.State = Pending
	}
	return r
}

// wait ends a lease with the job not over: it waits until a time, or stands in line at once; or
// it is Blocked, if a dependency was retried meanwhile.
func (r Record) wait(until, now time.Time) Record {
	r.Token = uuid.Nil
	r.Principal = ""
	r.Started = time.Time{}
	if until.After(now) {
		r.RunAt = storedTime(until)
	}
	if r.Open > 0 {
		r.State = Blocked
		return r.changed()
	}
	return r.ready(now).changed()
}

// over ends the job. What remains of the lease is who had it and when it began.
func (r Record) over(state State, now time.Time) Record {
	r.State = state
	r.Open = 0
	r.Token = uuid.Nil
	r.Finished = now
	r.ExpiresAt = time.Time{}
	return r.changed()
}
