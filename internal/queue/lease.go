package queue

import (
	"encoding/json"
	"time"

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
	Dependencies []Dependency // in the order given at Enqueue; nil if Withheld is not 0
	// Withheld is how many bytes the results and errors of the job's dependencies have, if that is more than
	// MaxLeaseResults: then Dependencies has none of them. They are there when the whole lease is asked for.
	Withheld int64
	// Timeout is how long the run may take, from its claim; zero for no bound.
	Timeout time.Duration
	// HeartbeatTimeout is the job's own; zero leaves it to the server.
	HeartbeatTimeout time.Duration
	Labels           map[string]string
	TraceParent      string
}

// Holder is whom a lease is granted to, for people who look at it. Nothing is decided by it.
type Holder struct {
	Worker    string // as it calls itself; may be empty
	Principal string // by its credential; empty where nobody is asked for one
}

// Dependency is what became of a job that another one depends on.
type Dependency struct {
	ID     uuid.UUID
	Name   string // as the dependent calls it; "" if it does not
	Type   string
	State  State
	Result json.RawMessage // nil unless State is Finished
	Error  *JobError       // nil unless State is Failed
	// Deleted tells that the dependency was deleted since, and its result or error with it.
	Deleted bool
}

// Beat is what a worker says with a heartbeat. The zero Beat says only that it is alive.
type Beat struct {
	Progress      *Progress       // nil leaves what was reported before
	PartialResult json.RawMessage // one JSON value; nil leaves what was reported before
}

// Empty reports whether the beat says only that the worker is alive.
func (b Beat) Empty() bool { return b.Progress == nil && b.PartialResult == nil }

// BeatAnswer is what a worker is told.
type BeatAnswer struct {
	Canceled bool // the job was canceled; nothing the worker reports is accepted any more
	// HeartbeatTimeout is the job's own; zero leaves it to the server.
	HeartbeatTimeout time.Duration
}
