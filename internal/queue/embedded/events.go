package embedded

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// eventsLooked is how many events are looked at before somebody else may have the feed.
const eventsLooked = 1 << 10

// eventKey is what a reader of events waits for: a job, a channel or a type.
type eventKey struct {
	id      uuid.UUID
	channel string
	jobType string
}

// EventPosition returns the position after all events so far.
func (s *Store) EventPosition() queue.EventPosition {
	return queue.EventPosition{Epoch: s.epoch, Number: s.events.Last()}
}

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
	if last := s.EventPosition(); after.Epoch != last.Epoch || after.Number > last.Number {
		return queue.Events{Missed: true, Next: last}, nil
	}
	found := queue.Events{Next: after}
	keys := keysOf(&filter)
	for {
		before := found.Next.Number
		upTo, missed := s.events.Read(before, eventsLooked, func(number uint64, e *queue.Event) bool {
			if filter.Matches(e) {
				found.Events = append(found.Events, *e)
				found.Events[len(found.Events)-1].Number = number
			}
			return len(found.Events) < most
		})
		found.Next.Number, found.Missed, found.MissedUpTo = upTo, missed > 0, missed
		switch {
		case len(found.Events) > 0 || found.Missed:
			return found, s.whenDurable()
		case upTo > before:
			continue
		}
		next, ok := s.events.Wait(ctx, s.closing, upTo, keys, filter.Matches)
		if found.Next.Number = next; !ok {
			return found, s.Ready(ctx)
		}
	}
}

// whenDurable waits until all events that were read are on disk.
func (s *Store) whenDurable() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.answer(nil)
}

// keysOf returns what every event has one of that a filter means: its narrowest part.
func keysOf(filter *queue.EventFilter) (keys []eventKey) {
	switch {
	case len(filter.IDs) > 0:
		for _, id := range filter.IDs {
			keys = append(keys, eventKey{id: id})
		}
	case len(filter.Types) > 0:
		for _, jobType := range filter.Types {
			keys = append(keys, eventKey{jobType: jobType})
		}
	default:
		for _, channel := range filter.Channels {
			keys = append(keys, eventKey{channel: channel})
		}
	}
	return keys
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
	}, eventKey{id: id}, eventKey{channel: lane.Channel}, eventKey{jobType: lane.Type})
}

// laneOf returns the lane of a job; none if that could not be read.
func (c *change) laneOf(r *record) queue.Lane {
	if t := c.store.tallies.byNumber[r.lane]; t != nil {
		return t.lane
	}
	return queue.Lane{}
}

// newEpoch tells one opening of the store from another.
func newEpoch(at time.Time) uint64 { return uint64(at.UnixMicro()) }
