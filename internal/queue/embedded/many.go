package embedded

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CancelJobs cancels those of the jobs that are not over, in one change, and returns how many that
// were. Those that depend on them are settled before it returns. At most queue.MaxStep ids.
func (s *Store) CancelJobs(_ context.Context, ids []uuid.UUID) (changed int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	err = s.settle(func(c *change) error {
		c.meetAgain()
		changed, err = c.each(ids, c.cancel)
		return err
	})
	if err != nil {
		return 0, err
	}
	return changed, nil
}

// DeleteJobs deletes those of the jobs that are over, in one change, and returns how many that were.
// At most queue.MaxStep ids.
func (s *Store) DeleteJobs(_ context.Context, ids []uuid.UUID) (changed int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	group, err := s.commit(func(c *change) error {
		c.meetAgain()
		changed, err = c.each(ids, func(id uuid.UUID) (bool, error) {
			if c.isPurged(id) {
				return false, nil
			}
			r, err := c.readRecord(id)
			if err != nil {
				return false, err
			}
			return true, c.deleteJob(id, &r, s.limits.unlinkStep)
		})
		return err
	})
	if err != nil {
		return 0, s.answer(err)
	}
	return changed, s.durable(group)
}

// each does something to each of many jobs, and counts those that it has changed. Those that do
// not allow it, or cannot be read, are passed over.
func (c *change) each(ids []uuid.UUID, do func(uuid.UUID) (bool, error)) (changed int, err error) {
	if len(ids) > queue.MaxStep {
		return 0, &queue.InvalidError{Field: "ids", Reason: "are too many for one step"}
	}
	for _, id := range ids {
		is, err := do(id)
		switch {
		case err == nil && is:
			changed++
		case err == nil, isDamage(err), errors.Is(err, queue.ErrNotRunning), errors.Is(err, queue.ErrNotOver):
		default:
			return 0, err
		}
	}
	return changed, nil
}
