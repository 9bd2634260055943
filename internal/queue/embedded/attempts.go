package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Attempts returns the leases that a job has had, in their order; the last one may be live.
// ErrNotExist.
//
// A lease that ended before its job did is written down. The one that the job is running or over
// with is told by the job's record, so that most jobs cost nothing.
func (s *Store) Attempts(_ context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	attempts, err := s.readAttempts(id)
	return attempts, s.answer(err)
}

func (s *Store) readAttempts(id uuid.UUID) ([]queue.Attempt, error) {
	for {
		r, err := s.readRecord(id)
		if err != nil {
			return nil, err
		}
		var attempts []queue.Attempt
		prefix := idKey(nil, prefixAttempt, id)
		err = s.scan(prefix, after(prefix), func(_, value []byte) (bool, error) {
			a, err := decodeAttempt(id, value)
			attempts = append(attempts, a.Attempt)
			return true, err
		})
		if err != nil {
			return nil, err
		}
		last, found, err := s.lastAttempt(id, &r)
		if err != nil {
			return nil, err
		}
		if again, err := s.readRecord(id); err != nil {
			return nil, err
		} else if again.Attempt != r.Attempt || again.State != r.State {
			continue // it went on meanwhile
		}
		if found {
			attempts = append(attempts, last.Attempt)
		}
		return attempts, nil
	}
}

// lastAttempt returns the lease that a job is running with, or was over with, by its record;
// false if there is none.
func (s *Store) lastAttempt(id uuid.UUID, r *record) (a attempt, found bool, err error) {
	a.Attempt = queue.Attempt{Number: r.Attempt, Worker: r.Worker, Principal: r.Principal, Started: r.Started}
	if r.State == queue.Running {
		return a, true, nil
	}
	if r.endedToken == uuid.Nil {
		return attempt{}, false, nil
	}
	ended, err := s.readEndedLease(r.endedToken)
	if errors.Is(err, queue.ErrNotExist) {
		return attempt{}, false, nil // the job has begun anew, or was deleted, since
	}
	if err != nil {
		return attempt{}, false, fmt.Errorf("read the last lease of job %s: %w", id, err)
	}
	outcome, err := s.readOutcome(id)
	a.token = r.endedToken
	a.Ended, a.End, a.State = r.Finished, ended.End, r.State
	a.setError(outcome.Error)
	return a, true, err
}

// attempt is what an a key holds.
type attempt struct {
	queue.Attempt
	token uuid.UUID
}

// The bits that say which of the rarer fields an attempt has.
const (
	attemptHasError = 1 << iota
	attemptHasPrincipal
)

func (a *attempt) has() (bits byte) {
	if a.Error != nil {
		bits |= attemptHasError
	}
	if a.Principal != "" {
		bits |= attemptHasPrincipal
	}
	return bits
}

// setError keeps what is small of an error.
func (a *attempt) setError(e *queue.JobError) {
	if e == nil {
		return
	}
	a.Error = &queue.JobError{Reason: e.Reason}
	if len(e.Details) <= queue.MaxAttemptDetails {
		a.Error.Details = e.Details
	}
}

func (a *attempt) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.id(a.token)
	e.uint(a.Number)
	e.string(a.Worker)
	e.time(a.Started)
	e.time(a.Ended)
	e.byte(byte(a.End))
	e.byte(byte(a.State))
	has := a.has()
	e.byte(has)
	if has&attemptHasPrincipal != 0 {
		e.string(a.Principal)
	}
	if has&attemptHasError != 0 {
		e.string(a.Error.Reason)
		e.rest(a.Error.Details)
	}
	return e
}

func decodeAttempt(id uuid.UUID, value []byte) (attempt, error) {
	d := decoder{left: value}
	a := attempt{token: d.id()}
	a.Number = d.uint()
	a.Worker = d.string()
	a.Started, a.Ended = d.time(), d.time()
	a.End, a.State = queue.End(d.byte()), queue.State(d.byte())
	has := d.byte()
	if has&attemptHasPrincipal != 0 {
		a.Principal = d.string()
	}
	if has&attemptHasError != 0 {
		a.Error = &queue.JobError{Reason: d.string()}
		if details := d.rest(); len(details) > 0 {
			a.Error.Details = details
		}
	}
	return a, d.done("an attempt of job", id)
}

// setAttempt writes down a lease that its job goes on after.
func (c *change) setAttempt(id uuid.UUID, a *attempt) {
	c.set(attemptKey(c.key[:0], id, a.Number), a.encode(c.value[:0]))
}
