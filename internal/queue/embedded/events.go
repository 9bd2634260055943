package embedded

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// EventPosition returns the position after all events so far.
func (s *Store) EventPosition() queue.EventPosition { return s.events.Position() }

// ReadEvents blocks until there are events after a position that the filter means, and returns some
// of them, at most so many. Each is on disk. When ctx ends it returns none, which is no error.
//
// A position of another epoch, which is that of an earlier opening of the store, has missed what
// happened since.
func (s *Store) ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error) {
	if err := filter.Validate(); err != nil {
		return queue.Events{}, err
	}
	if err := s.Ready(ctx); err != nil {
		return queue.Events{}, err
	}
	found := s.events.Read(ctx, s.closing, &filter, after, most)
	if len(found.Events) == 0 {
		return found, s.Ready(ctx)
	}
	return found, s.whenDurable()
}

// whenDurable waits until all events that were read are on disk.
func (s *Store) whenDurable() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.answer(nil)
}

// tellEvents tells of what the change has made of jobs.
func (c *change) tellEvents() {
	for i := range c.records {
		if r := &c.records[i].record; !r.deleted {
			c.tellEvent(c.records[i].id, c.laneOf(r), r, false)
		}
	}
	for i := range c.waiting {
		c.tellEvent(c.waiting[i].id, c.waiting[i].lane, &c.waiting[i].record, false)
	}
	for i := range c.forgotten {
		f := &c.forgotten[i]
		c.tellEvent(f.id, f.lane, &f.record, true)
	}
}

func (c *change) tellEvent(id uuid.UUID, lane queue.Lane, r *record, deleted bool) {
	c.store.events.Append(queue.Event{
		JobID: id, Lane: lane, State: r.State, Attempt: r.Attempt, Version: r.Version, At: c.now, Deleted: deleted,
	})
}

// laneOf returns the lane of a job; none if that could not be read.
func (c *change) laneOf(r *record) queue.Lane {
	if t := c.store.tallies.byNumber[r.lane]; t != nil {
		return t.lane
	}
	return queue.Lane{}
}
