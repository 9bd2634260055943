package embedded

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// UpdateJob changes a job that waits. ErrNotExist; ErrNotPending if it does not wait;
// ErrChanged if it has not the version that the update is for; *InvalidError.
func (s *Store) UpdateJob(_ context.Context, id uuid.UUID, update queue.Update) error {
	if err := update.Validate(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	group, err := s.commit(func(c *change) error {
		before, err := c.readRecord(id)
		if err != nil {
			return err
		}
		r := before
		if r.Record, err = before.Update(update, c.now); err != nil {
			return err
		}
		j, err := s.readJob(id, update.Labels != nil)
		if err != nil {
			return mustExist(err)
		}
		if update.Labels != nil {
			j.Labels = *update.Labels
			c.setJob(&j)
		}
		was := waitingJob{id: id, lane: j.Lane(), place: j.place, record: before}
		if r.State != before.State || r.Priority != before.Priority || !r.RunAt.Equal(before.RunAt) {
			c.leave(was)
			c.standWhereItShould(waitingJob{id: id, lane: j.Lane(), place: j.place, record: r})
			return c.holdBackReady()
		}
		if before.asEnqueued() {
			c.setReady(&was, time.Time{})
		}
		c.setRecord(id, &r)
		return nil
	})
	if err != nil {
		return s.answer(err)
	}
	return s.durable(group)
}
