package queue

import (
	"encoding/json"

	"github.com/google/uuid"
)

// Lease is the right to run a job and to report what became of it, held by whoever knows
// its token, until the report, a requeue, or a cancel.
type Lease struct {
	// Token is secret: it must not be logged or listed. It is a random UUID and never used
	// for a second lease.
	Token   uuid.UUID
	JobID   uuid.UUID
	Type    string
	Channel string
	Args    json.RawMessage // never nil
	// Attempt is 1 for a job's first lease and grows by one with each: it fences side
	// effects outside of the queue.
	Attempt uint64
	// Canceled tells that the job was canceled under this lease. Nothing it reports is
	// accepted any more.
	Canceled     bool
	Dependencies []Dependency // in the order given at Enqueue
}

// Dependency is what became of a job that another one depends on.
type Dependency struct {
	ID     uuid.UUID
	Type   string
	State  State
	Result json.RawMessage // nil unless State is Finished
	Error  *JobError       // nil unless State is Failed
}
