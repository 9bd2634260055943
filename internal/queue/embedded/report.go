package embedded

import (
	"context"
	"encoding/json"
	"fmt"
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
	if outcome.Error == nil && len(outcome.Result) == 0 {
		outcome.Result = json.RawMessage(jsonNull)
	}
	return s.endLease(token, ending{
		outcome: outcome,
		rule: func(r queue.Record, now time.Time) (queue.Record, queue.End, error) {
			return r.RequeueOrFinish(maxRetries, outcome, now)
		},
		again: func(ended queue.EndedLease) (queue.State, error) { return ended.Report(outcome) },
	})
}

// Release gives the lease's job back: it is pending again, at its old place in line, and
// nothing is counted against it. It returns the state that the job is in then. The same again
// is answered the same; if the job was canceled meanwhile there is nothing to give back, and
// that is no error. ErrLeaseLost if the lease is over otherwise, ErrNotExist.
func (s *Store) Release(_ context.Context, token uuid.UUID) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.release(token)
}

func (s *Store) release(token uuid.UUID) (queue.State, error) {
	return s.endLease(token, ending{
		rule: func(r queue.Record, _ time.Time) (queue.Record, queue.End, error) {
			next, err := r.Release()
			return next, queue.EndReleased, err
		},
		again: queue.EndedLease.Release,
	})
}

// ending is one way to end a lease.
type ending struct {
	outcome queue.Outcome // what the job is left with, if it is over then
	// rule says what becomes of the job.
	rule func(queue.Record, time.Time) (queue.Record, queue.End, error)
	// again answers when the lease is over already.
	again func(queue.EndedLease) (queue.State, error)
}

// endLease ends the lease that has the token, and returns the state its job is in then. The
// token fences the change: a lease that is over changes nothing.
func (s *Store) endLease(token uuid.UUID, e ending) (state queue.State, err error) {
	err = s.settle(func(c *change) error {
		l := s.leases.get(token)
		if l == nil {
			ended, err := s.readEndedLease(token)
			if err != nil {
				return err
			}
			state, err = e.again(ended)
			return err
		}
		r := l.record
		next, end, err := e.rule(r.Record, c.now)
		if err != nil {
			return fmt.Errorf("end the lease of job %s: %w", l.jobID, err)
		}
		r.Record = next
		state = next.State
		ended := queue.EndedLease{JobID: l.jobID, Attempt: next.Attempt, End: end, State: state}
		if end == queue.EndReported {
			ended.Digest = e.outcome.Digest()
		}
		c.endLease(l, ended)
		if state == queue.Pending {
			c.enqueueReady(waitingJob{id: l.jobID, lane: l.lane, place: l.place, record: r})
			return nil
		}
		c.finish(l.jobID, r, &e.outcome)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return state, nil
}

// CancelJob implements queue.JobQueue.
func (s *Store) CancelJob(_ context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.settle(func(c *change) error {
		r, err := c.readRecord(id)
		if err != nil {
			return err
		}
		before := r.Record
		if r.Record, err = before.Cancel(c.now); err != nil || before.State.Over() {
			return err
		}
		switch before.State {
		case queue.Running:
			l := s.leases.get(before.Token)
			if l == nil {
				return fmt.Errorf("the lease of job %s: %w", id, queue.ErrDamaged)
			}
			c.endLease(l, queue.EndedLease{
				JobID: id, Attempt: before.Attempt, End: queue.EndCanceled, State: queue.Canceled,
			})
		case queue.Pending:
			j, err := s.readJob(id, false)
			if err != nil {
				return err
			}
			c.leaveLine(waitingJob{id: id, lane: j.Lane(), place: j.place})
		default: // a blocked one stands nowhere
		}
		c.finish(id, r, nil)
		return nil
	})
}
