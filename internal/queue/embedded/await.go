package embedded

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Await blocks until the job is over or ctx ends, and returns the job's status as it is then:
// the end of ctx is no error. ErrNotExist.
func (s *Store) Await(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return s.awaitStatus(ctx, id, func(status *queue.Status) bool { return status.State.Over() })
}

// AwaitChange blocks until the job has another version or ctx ends, and returns the job's status
// as it is then: the end of ctx is no error. ErrNotExist.
func (s *Store) AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error) {
	return s.awaitStatus(ctx, id, func(status *queue.Status) bool { return status.Version != version })
}

func (s *Store) awaitStatus(ctx context.Context, id uuid.UUID, reached func(*queue.Status) bool) (status queue.Status, err error) {
	_, err = s.await(ctx, id, func() (bool, error) {
		if status, err = s.JobStatus(ctx, id); err != nil {
			return false, err
		}
		return reached(&status), nil
	})
	return status, err
}

// await blocks until reached tells that a job is as it should be, or ctx ends, or the store is
// closed; false if it is not so. It asks at first, and whenever the job has changed.
func (s *Store) await(ctx context.Context, id uuid.UUID, reached func() (bool, error)) (bool, error) {
	for {
		changed, unsubscribe := s.changed.Subscribe(id)
		is, err := reached()
		if err != nil || is || ctx.Err() != nil {
			unsubscribe()
			return is, err
		}
		more := true
		select {
		case <-changed:
		case <-ctx.Done():
			more = false
		case <-s.closing:
			more = false
		}
		unsubscribe()
		if !more {
			return reached() // as it is now
		}
	}
}

// AwaitAll blocks until all of the jobs are over or ctx ends, and returns the states that they
// are in then: the end of ctx is no error. *queue.NotExistError.
func (s *Store) AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error) {
	states := make([]queue.State, len(ids))
	look := func(i int) (bool, error) {
		if err := s.enter(); err != nil {
			return false, err
		}
		defer s.leave()
		r, err := s.readRecord(ids[i])
		if errors.Is(err, queue.ErrNotExist) {
			err = &queue.NotExistError{Index: i, ID: ids[i]}
		}
		states[i] = r.State
		return r.State.Over(), err
	}
	// One after the other: all of them are waited for anyway.
	for i := range ids {
		if _, err := s.await(ctx, ids[i], func() (bool, error) { return look(i) }); err != nil {
			return nil, s.answer(err)
		}
	}
	// The first ones may have been retried since, and those that were looked at when ctx had
	// ended may be over.
	for i := range ids {
		if _, err := look(i); err != nil {
			return nil, s.answer(err)
		}
	}
	return states, s.answer(nil)
}

// AwaitLease blocks until the lease is over or ctx ends. One that never was is over.
func (s *Store) AwaitLease(ctx context.Context, token uuid.UUID) error {
	l := s.leases.get(token)
	if l == nil {
		return nil
	}
	_, err := s.await(ctx, l.jobID, func() (bool, error) {
		if err := s.enter(); err != nil {
			return false, err
		}
		defer s.leave()
		return s.leases.get(token) == nil, nil
	})
	return err
}
