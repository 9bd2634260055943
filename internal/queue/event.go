package queue

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Event is a change of a job: what it is after it.
type Event struct {
	Number  uint64 // grows by one with each, in one epoch
	JobID   uuid.UUID
	Lane    Lane
	State   State
	Attempt uint64
	Version uint64
	At      time.Time
	Deleted bool // the job was deleted; State is what it was
}

// EventFilter says which events are meant: those for which all of it holds.
type EventFilter struct {
	Channels []string    // any of these; none is all
	Types    []string    // any of these; none is all
	IDs      []uuid.UUID // of jobs: any of these; none is all
}

// MaxEventIDs is how many jobs a filter of events may name.
const MaxEventIDs = 100

// Validate returns an *InvalidError for the first field that breaks a limit.
func (f *EventFilter) Validate() error {
	if len(f.IDs) > MaxEventIDs {
		return &InvalidError{Field: "id", Reason: "names too many jobs; at most 100 are allowed"}
	}
	return (&Filter{Types: f.Types, Channels: f.Channels}).Validate()
}

// Matches reports whether the filter means an event.
func (f *EventFilter) Matches(e *Event) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, e.Lane.Type)) &&
		(len(f.Channels) == 0 || slices.Contains(f.Channels, e.Lane.Channel)) &&
		(len(f.IDs) == 0 || slices.Contains(f.IDs, e.JobID))
}

// EventPosition is where a reader of events stands: it has seen the event with that number, and
// those before it. Numbers of another epoch mean nothing.
type EventPosition struct {
	Epoch  uint64
	Number uint64
}

// Events are some events, in their order.
type Events struct {
	Events []Event
	// Missed tells that there were others before these which are not kept any more, and MissedUpTo
	// how many at most, whatever they were about; 0 if nobody knows.
	Missed     bool
	MissedUpTo uint64
	Next       EventPosition // from where to go on
}
