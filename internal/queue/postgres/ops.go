package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CancelJob implements queue.JobQueue.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.change(ctx, func(c *change) error {
		_, err := c.cancel(id)
		return err
	})
}

// cancel cancels a job, and tells whether that has changed it. ErrNotExist, ErrNotRunning.
func (c *change) cancel(id uuid.UUID) (is bool, err error) {
	r, err := c.read(id)
	if err != nil {
		return false, err
	}
	next, err := r.Cancel(c.now)
	switch {
	case err != nil || r.State.Over():
		return false, err
	case r.State == queue.Running:
		return true, c.endLease(r, next, queue.EndCanceled, nil, nil)
	default:
		return true, c.finish(r, next, nil)
	}
}

// CancelJobs cancels those of the jobs that are not over, in one change, and returns how many that
// were. Those that depend on them are settled before it returns. At most queue.MaxStep ids.
func (s *Store) CancelJobs(ctx context.Context, ids []uuid.UUID) (int, error) {
	return s.each(ctx, ids, (*change).cancel)
}

// DeleteJobs deletes those of the jobs that are over, in one change, and returns how many that were.
// At most queue.MaxStep ids.
func (s *Store) DeleteJobs(ctx context.Context, ids []uuid.UUID) (int, error) {
	return s.each(ctx, ids, func(c *change, id uuid.UUID) (bool, error) { return true, c.delete(id) })
}

// each does something to each of many jobs, and counts those that it has changed. Those that do
// not allow it, or cannot be read, are passed over.
func (s *Store) each(ctx context.Context, ids []uuid.UUID, do func(*change, uuid.UUID) (bool, error)) (int, error) {
	if len(ids) > queue.MaxStep {
		return 0, &queue.InvalidError{Field: "ids", Reason: "are too many for one step"}
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	var n int
	err := s.change(ctx, func(c *change) error {
		n = 0
		if err := c.readMany(ids); err != nil && !errors.Is(err, queue.ErrDamaged) {
			return err
		}
		for _, id := range ids {
			is, err := do(c, id)
			switch {
			case err == nil && is:
				n++
			case err == nil, errors.Is(err, queue.ErrNotExist), errors.Is(err, queue.ErrDamaged), errors.Is(err, queue.ErrNotRunning),
				errors.Is(err, queue.ErrNotOver):
			default:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// UpdateJob changes a job that waits. ErrNotExist; ErrNotPending if it does not wait; ErrChanged if
// it has not the version that the update is for; *InvalidError.
func (s *Store) UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error {
	if err := update.Validate(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	err := s.change(ctx, func(c *change) error {
		r, err := c.read(id)
		if err != nil {
			return err
		}
		next, err := r.Update(update, c.now)
		if err != nil || next == r.Record {
			return err
		}
		if next.Priority != r.Priority {
			c.writes.add(`UPDATE longshore.jobs SET rank = $2 WHERE place = $1`, r.place, rankOf(next.Priority))
		}
		if update.Labels != nil {
			labels, err := encodeLabels(*update.Labels)
			if err != nil {
				return err
			}
			c.writes.add(`UPDATE longshore.jobs SET labels = $2::text::jsonb WHERE place = $1`, r.place, labels)
		}
		c.set(r, next)
		return nil
	})
	if err == nil && update.RunAt != nil {
		s.keeper.kick()
	}
	return err
}

// DeleteJob deletes a job that is over: it is not found, listed or counted any more, and nothing
// can depend on it from here on. Those that depend on it and are not over are handed its result
// all the same; those that are over know only what state it was in. ErrNotExist; ErrNotOver.
func (s *Store) DeleteJob(ctx context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.change(ctx, func(c *change) error { return c.delete(id) })
}

func (c *change) delete(id uuid.UUID) error {
	r, err := c.read(id)
	if err != nil {
		return err
	}
	if !r.State.Over() {
		return queue.ErrNotOver
	}
	if err := c.readBelow([]int64{r.place}, 0); err != nil {
		return err
	}
	return c.forget(r, c.isNeeded(r.place))
}

// isNeeded reports whether a job that is not over depends on one that is, whose dependents were
// read.
func (c *change) isNeeded(place int64) bool {
	for _, e := range c.known[place] {
		if r := c.rows[e.dependent]; r != nil && !r.deleted && !r.State.Over() {
			return true
		}
	}
	return false
}

// forget has a job be deleted: nothing leads to it any more. It stays hidden while it is needed.
func (c *change) forget(r *tracked, needed bool) error {
	if !r.hidden {
		r.deleted = true
		if !r.touched {
			r.touched = true
			c.order = append(c.order, r.place)
		}
	}
	if needed {
		r.hidden = true
		c.writes.hidden = append(c.writes.hidden, r.place)
		return nil
	}
	lane, err := c.lane(r)
	if err != nil {
		return err
	}
	c.writes.purged.add(r, lane.Type)
	return nil
}

// purges are jobs that go for good, and what their dependents remember of them.
type purges struct {
	places []int64
	states []int16
	types  []string
}

func (p *purges) add(r *tracked, jobType string) {
	p.places, p.states, p.types = append(p.places, r.place), append(p.states, int16(r.State)), append(p.types, jobType)
}

const (
	hideJobs   = `UPDATE longshore.ended SET hidden = true, ties = ties & ~4, secret = NULL, how = NULL, digest = NULL WHERE place = ANY($1)`
	forgetGone = `
UPDATE longshore.edges e SET gone_state = g.state, gone_type = g.type
FROM unnest($1::bigint[], $2::smallint[], $3::text[]) AS g(place, state, type) WHERE e.dependency = g.place`
	deleteEdges    = `DELETE FROM longshore.edges WHERE dependent = ANY($1)`
	deleteAttempts = `DELETE FROM longshore.attempts WHERE place = ANY($1)`
	deleteJobs     = `DELETE FROM longshore.jobs WHERE place = ANY($1)`
)
