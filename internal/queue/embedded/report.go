package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// RequeueOrFinishJob implements queue.JobQueue.
func (s *Store) RequeueOrFinishJob(_ context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.requeueOrFinish(token, maxRetries, outcome)
}

func (s *Store) requeueOrFinish(token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	return s.endLease(token, endingBy(maxRetries, outcome))
}

func endingBy(maxRetries uint64, outcome queue.Outcome) ending {
	if outcome.Error == nil && len(outcome.Result) == 0 {
		outcome.Result = json.RawMessage(jsonNull)
	}
	digest := outcome.Digest()
	return ending{
		outcome: &outcome,
		digest:  digest,
		rule: func(l *lease, now time.Time) (queue.Record, queue.End, error) {
			return l.record.RequeueOrFinish(maxRetries, outcome, now)
		},
		again: func(ended queue.EndedLease) (queue.State, error) { return ended.Report(digest) },
	}
}

// Fail reports that the lease's run failed. If the failure is retryable and the job's policy
// has an attempt left, the job waits for its next run; else it is failed. It returns the state
// that the job is in then. Repeated, it is answered as RequeueOrFinishJob answers; so is a
// lease that is over. ErrNotExist, ErrLeaseLost, ErrCanceled, ErrAlreadyReported.
func (s *Store) Fail(_ context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.endLease(token, s.endingByFailure(failure))
}

func (s *Store) endingByFailure(failure queue.Failure) ending {
	digest := failure.Digest()
	return ending{
		outcome: &queue.Outcome{Error: &failure.Error},
		digest:  digest,
		rule: func(l *lease, now time.Time) (queue.Record, queue.End, error) {
			var policy *queue.RetryPolicy
			if failure.Retryable {
				j, err := s.readJob(l.jobID, false)
				if err != nil {
					return l.record.Record, 0, mustExist(err)
				}
				policy = j.Retry
			}
			next, err := l.record.Fail(failure, policy, rand.Float64(), now) //nolint:gosec // not for secrets
			return next, queue.EndReported, err
		},
		again: func(ended queue.EndedLease) (queue.State, error) { return ended.Report(digest) },
	}
}

// Release gives the lease's job back: it waits at its old place in line, from now or after
// delay, and nothing is counted against it. It returns the state that the job is in then. The
// same again is answered the same; if the job was canceled meanwhile there is nothing to give
// back, and that is no error. ErrLeaseLost if the lease is over otherwise, ErrNotExist.
func (s *Store) Release(_ context.Context, token uuid.UUID, delay time.Duration) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.release(token, delay)
}

func (s *Store) release(token uuid.UUID, delay time.Duration) (queue.State, error) {
	return s.endLease(token, endingByRelease(delay))
}

func endingByRelease(delay time.Duration) ending {
	return ending{
		rule: func(l *lease, now time.Time) (queue.Record, queue.End, error) {
			next, err := l.record.Release(delay, now)
			return next, queue.EndReleased, err
		},
		again: queue.EndedLease.Release,
	}
}

// ending is one way to end a lease.
type ending struct {
	outcome *queue.Outcome    // what the job is left with, if it is over then
	digest  [sha256.Size]byte // of what was reported, if that is how it ends
	// rule says what becomes of the job.
	rule func(*lease, time.Time) (queue.Record, queue.End, error)
	// again answers when the lease is over already.
	again func(queue.EndedLease) (queue.State, error)
}

// endLease ends the lease that has the token, and returns the state its job is in then. The
// token fences the change: a lease that is over changes nothing.
func (s *Store) endLease(token uuid.UUID, e ending) (state queue.State, err error) {
	err = s.settle(func(c *change) (err error) {
		state, err = c.end(token, e)
		return err
	})
	if err != nil {
		return 0, err
	}
	return state, nil
}

// end ends the lease that has the token. If it is refused it has changed nothing.
func (c *change) end(token uuid.UUID, e ending) (queue.State, error) {
	l := c.store.leases.get(token)
	if l == nil {
		ended, err := c.store.readEndedLease(token)
		if err != nil {
			return 0, err
		}
		return e.again(ended)
	}
	next, end, err := e.rule(l, c.now)
	if err != nil {
		return 0, fmt.Errorf("end the lease of job %s: %w", l.jobID, err)
	}
	ended := queue.EndedLease{End: end}
	if end == queue.EndReported {
		ended.Digest = e.digest
	}
	r := l.record
	r.Record = next
	return next.State, c.settleLease(l, r, ended, e.outcome)
}

// settleLease ends a lease, of which ended says how, and leaves its job with the record r: it
// waits again, or is over with the outcome.
func (c *change) settleLease(l *lease, r record, ended queue.EndedLease, outcome *queue.Outcome) error {
	if r.size == 0 {
		r.size = l.size.Load()
	}
	ended.JobID, ended.Attempt, ended.State = l.jobID, r.Attempt, r.State
	c.endLease(l, ended)
	c.moved(l.lane, queue.Running, r.State, ended.End, c.now.Sub(l.record.Started))
	if r.State.Waiting() {
		a := attempt{token: l.token, Attempt: queue.Attempt{
			Number: r.Attempt, Worker: l.record.Worker, Principal: l.record.Principal, Started: l.record.Started,
			Ended: c.now, End: ended.End, State: r.State,
		}}
		if outcome != nil {
			a.setError(outcome.Error)
		}
		c.setAttempt(l.jobID, &a)
		c.standWhereItShould(waitingJob{id: l.jobID, lane: l.lane, place: l.place, record: r})
		return nil
	}
	before := l.record
	r.endedToken = l.token
	return c.finish(l.jobID, &before, r, outcome)
}

// CancelJob implements queue.JobQueue.
func (s *Store) CancelJob(_ context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.settle(func(c *change) error {
		_, err := c.cancel(id)
		return err
	})
}

// cancel cancels a job, and tells whether that has changed it. ErrNotExist, ErrNotRunning.
func (c *change) cancel(id uuid.UUID) (changed bool, err error) {
	before, err := c.readRecord(id)
	if err != nil {
		return false, err
	}
	r := before
	if r.Record, err = before.Cancel(c.now); err != nil || before.State.Over() {
		return false, err
	}
	if before.State != queue.Running {
		return true, c.finish(id, &before, r, nil)
	}
	l := c.store.leases.get(before.Token)
	if l == nil {
		return false, fmt.Errorf("the lease of job %s: %w", id, queue.ErrDamaged)
	}
	return true, c.settleLease(l, r, queue.EndedLease{End: queue.EndCanceled}, nil)
}

// finish ends a job that was as before says and is as r says, with an outcome if it has one.
func (c *change) finish(id uuid.UUID, before *record, r record, outcome *queue.Outcome) error {
	stands := before.State == queue.Pending || before.State == queue.Scheduled
	if stands || before.hasUniqueKey && !before.State.Over() {
		j, err := c.store.readJob(id, false)
		switch {
		case err == nil:
			r.size = j.size
			c.leave(waitingJob{id: id, lane: j.Lane(), place: j.place, record: *before})
			if before.hasUniqueKey {
				c.delete(uniqueKey(c.key[:0], j.Lane(), j.UniqueKey))
			}
		case stands || !isDamage(err):
			return err
		default:
			c.store.log.Error(err, "a job cannot be read; its unique key cannot be used any more", "job", id.String())
		}
	}
	if expires := before.ExpiresAt; !expires.IsZero() {
		c.deleteDue(expires, dueToExpire, id[:])
	}
	if r.State == queue.Finished {
		if r.hasReported {
			c.delete(idKey(c.key[:0], prefixReported, id))
			r.hasReported = false
		}
	} else {
		c.set(idKey(c.key[:0], prefixDead, id), nil)
	}
	c.setRecord(id, &r)
	if outcome != nil {
		c.setOutcome(id, *outcome)
	}
	if r.hasDependents {
		c.settlements = append(c.settlements, settlement{id: id, state: r.State, generation: r.Generation})
	}
	return nil
}
