package wait

import (
	"context"
	"sync/atomic"
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

// Events is the feed of what happens to jobs, since an engine was opened: one epoch, unless there
// was a Break.
type Events struct {
	feed  *Feed[queue.Event, eventKey]
	epoch atomic.Uint64
}

// NewEvents returns Events that keep so many. now tells this epoch from all others.
func NewEvents(keep int, now time.Time) *Events {
	e := &Events{feed: NewFeed[queue.Event, eventKey](keep)}
	e.Break(now)
	return e
}

// Break tells that something may have happened that was not appended: another epoch begins, so that
// readers learn that they have missed it. now tells it from all others.
func (e *Events) Break(now time.Time) { e.epoch.Store(uint64(now.UnixMicro())) }

// Append adds an event, and gives it its number.
func (e *Events) Append(event queue.Event) {
	lane := event.Lane
	e.feed.Append(event, eventKey{id: event.JobID}, eventKey{channel: lane.Channel}, eventKey{jobType: lane.Type})
}

// Position returns the position after all events so far.
func (e *Events) Position() queue.EventPosition {
	return queue.EventPosition{Epoch: e.epoch.Load(), Number: e.feed.Last()}
}

// Read blocks until there are events after a position that the filter means, and returns some of
// them, at most so many. When ctx or closing ends it returns none.
//
// A position of another epoch has missed what happened since.
func (e *Events) Read(ctx context.Context, closing <-chan struct{}, filter *queue.EventFilter, after queue.EventPosition, most int) queue.Events {
	if last := e.Position(); after.Epoch != last.Epoch || after.Number > last.Number {
		return queue.Events{Missed: true, Next: last}
	}
	found := queue.Events{Next: after}
	keys := keysOf(filter)
	for {
		before := found.Next.Number
		upTo, missed := e.feed.Read(before, eventsLooked, func(number uint64, event *queue.Event) bool {
			if filter.Matches(event) {
				found.Events = append(found.Events, *event)
				found.Events[len(found.Events)-1].Number = number
			}
			return len(found.Events) < most
		})
		found.Next.Number, found.Missed, found.MissedUpTo = upTo, missed > 0, missed
		switch {
		case len(found.Events) > 0 || found.Missed:
			return found
		case upTo > before:
			continue
		}
		next, ok := e.feed.Wait(ctx, closing, upTo, keys, filter.Matches)
		if found.Next.Number = next; !ok {
			return found
		}
	}
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
