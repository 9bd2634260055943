package queue

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DefaultChannel is the channel of jobs and workers that name none.
const DefaultChannel = "default"

// RunIf says what becomes of a job whose dependencies are over.
type RunIf uint8

const (
	// AllSucceeded runs the job if all dependencies finished; a failed one fails it, a
	// canceled one cancels it. It is the zero value and the default.
	AllSucceeded RunIf = iota
	// AllFinished runs the job when all dependencies are over, whatever became of them, as
	// the origin did.
	AllFinished
)

// String returns the rule's name on the wire.
func (r RunIf) String() string {
	switch r {
	case AllSucceeded:
		return "all_succeeded"
	case AllFinished:
		return "all_finished"
	default:
		return "invalid"
	}
}

// Condition says what one dependency must have come to for the job to run.
type Condition uint8

const (
	// AsRunIf leaves it to the job's RunIf. It is the zero value and the default.
	AsRunIf Condition = iota
	// IfSucceeded wants the dependency to finish: one that failed fails the job, one that was
	// canceled cancels it.
	IfSucceeded
	// IfOver wants the dependency to be over, however it ended.
	IfOver
)

// of returns the condition with AsRunIf replaced by what the job's rule says.
func (c Condition) of(rule RunIf) Condition {
	switch {
	case c != AsRunIf:
		return c
	case rule == AllFinished:
		return IfOver
	default:
		return IfSucceeded
	}
}

// Lane is where a job waits: jobs of one lane are handed out by priority, and first in, first
// out.
type Lane struct {
	Channel string
	Type    string
}

// Need names a job of the same call to Enqueue that must be over first.
type Need struct {
	Name string // the NewJob.Name of the other one
	If   Condition
}

// NewJob is what a producer gives to Enqueue. Only Type is required.
type NewJob struct {
	Type    string
	Channel string // "" is DefaultChannel
	// Args is one JSON value, opaque to the queue; nil is null. The engine keeps no
	// reference to it after Enqueue has returned.
	Args json.RawMessage
	// Name is what the Needs of other jobs of the same call name this one by, and what its
	// result is called when it is handed to them. It may be empty, and is not stored with the
	// job itself.
	Name string
	// Dependencies are existing jobs that must be over first. Their order is kept; a job
	// named again counts once, at its first place.
	Dependencies []uuid.UUID
	// Needs are jobs of the same call that must be over first, after the Dependencies in the
	// order in which what became of them is handed on.
	Needs []Need
	RunIf RunIf
	// Priority is from -MaxPriority to MaxPriority: jobs of a higher one go first.
	Priority int
	// RunAt is the time before which the job is not handed out; zero for at once. Delay is
	// the same counted from now, by the store's clock. At most one of them is given.
	RunAt time.Time
	Delay time.Duration
	// ExpiresAt is the time after which a job that was never handed out fails with
	// ReasonExpired; zero for never.
	ExpiresAt time.Time
	// Timeout bounds each run, from its claim: a longer one ends with ReasonTimeout. Zero
	// for no bound.
	Timeout time.Duration
	// HeartbeatTimeout is how long the job's leases may be silent; zero leaves it to the
	// server.
	HeartbeatTimeout time.Duration
	// MaxRetries is how many silent leases requeue the job before it fails; nil leaves it
	// to the reaper's default.
	MaxRetries *uint64
	// MaxTimeouts is how many runs may exceed Timeout and be followed by another one, before
	// the job fails.
	MaxTimeouts uint64
	// Retry says what becomes of failures that a worker reports as retryable, and how long
	// to wait after those and after a timeout; nil fails the job at the first one.
	Retry *RetryPolicy
	// UniqueKey admits one job of its lane that is not over; "" admits any number.
	UniqueKey string
	// Labels are for people and filters. The engine keeps no reference to the map.
	Labels map[string]string
	// TraceParent is the producer's W3C trace context, handed to the worker as it is.
	TraceParent string
}

// Lane returns where the job will wait.
func (n NewJob) Lane() Lane {
	if n.Channel == "" {
		return Lane{Channel: DefaultChannel, Type: n.Type}
	}
	return Lane{Channel: n.Channel, Type: n.Type}
}

// Job returns the job that is to be added: what was given, with defaults filled in. edges are
// its dependencies and needs, resolved.
func (n NewJob) Job(id uuid.UUID, edges []Edge, now time.Time) Job {
	lane := n.Lane()
	j := Job{
		ID:               id,
		Type:             lane.Type,
		Channel:          lane.Channel,
		Args:             n.StoredArgs(),
		Dependencies:     distinctEdges(edges),
		RunIf:            n.RunIf,
		Priority:         n.Priority,
		RunAt:            storedTime(n.RunAt),
		ExpiresAt:        storedTime(n.ExpiresAt),
		Timeout:          n.Timeout,
		HeartbeatTimeout: n.HeartbeatTimeout,
		MaxRetries:       n.MaxRetries,
		MaxTimeouts:      n.MaxTimeouts,
		Retry:            n.Retry,
		UniqueKey:        n.UniqueKey,
		Labels:           n.Labels,
		TraceParent:      n.TraceParent,
	}
	if n.Delay > 0 {
		j.RunAt = storedTime(now.Add(n.Delay))
	}
	return j
}

// StoredArgs are the args that the job has: null if none were given.
func (n NewJob) StoredArgs() json.RawMessage {
	if len(n.Args) == 0 {
		return json.RawMessage("null")
	}
	return n.Args
}

// storedTime returns the time as stores keep it: UTC, in whole microseconds, and not before
// the one given.
func storedTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	whole := t.UTC().Truncate(time.Microsecond)
	if whole.Before(t) {
		whole = whole.Add(time.Microsecond)
	}
	return whole
}

// Edge is one dependency of a job.
type Edge struct {
	ID   uuid.UUID
	Name string    // as the job that has the dependency calls it; "" if it does not
	If   Condition // never AsRunIf in a Job
}

// Job is everything that was given at Enqueue, with defaults filled in. Of all that only the
// Labels can be changed.
type Job struct {
	ID               uuid.UUID
	Type             string
	Channel          string
	Args             json.RawMessage // never nil: null when none was given
	Dependencies     []Edge          // without repetitions
	RunIf            RunIf
	Priority         int       // as given; Status has the present one
	RunAt            time.Time // as given, Delay resolved; Status has the present one
	ExpiresAt        time.Time
	Timeout          time.Duration
	HeartbeatTimeout time.Duration
	MaxRetries       *uint64
	MaxTimeouts      uint64
	Retry            *RetryPolicy
	UniqueKey        string
	Labels           map[string]string
	TraceParent      string
}

// Lane returns where the job waits.
func (j Job) Lane() Lane { return Lane{Channel: j.Channel, Type: j.Type} }

// DependencyIDs returns the ids of the job's dependencies, in order.
func (j Job) DependencyIDs() []uuid.UUID {
	if len(j.Dependencies) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(j.Dependencies))
	for i := range j.Dependencies {
		ids[i] = j.Dependencies[i].ID
	}
	return ids
}

// Status is a job's present state and how it got there.
type Status struct {
	ID       uuid.UUID
	Type     string
	Channel  string
	State    State
	Result   json.RawMessage // nil unless State is Finished
	Error    *JobError       // nil unless State is Failed
	Queued   time.Time       // UTC, as are the others
	Started  time.Time       // of the newest lease; zero while the job waits
	Finished time.Time       // zero until the job is over, however it ended
	RunAt    time.Time       // before which it is not handed out; zero if there is no such time
	Canceled bool            // State is Canceled
	Priority int
	Attempt  uint64 // leases granted so far
	Retries  uint64 // how often a lost lease put it back in line
	Failures uint64 // how often a worker reported that it failed
	Timeouts uint64 // how often a run took too long
	// Generation is 0 at first and grows by one with each operator's retry, which sets
	// Retries, Failures and Timeouts to 0.
	Generation uint64
	// Version grows with each change of what is shown here and of the job's Labels, apart
	// from Dependents.
	Version      uint64
	Worker       string      // the name that the newest lease's worker gave
	Dependencies []uuid.UUID // in the order given at Enqueue
	Dependents   []uuid.UUID // in the order they were enqueued
	// Progress and PartialResult are what the newest lease's worker reported last; gone when
	// the job finishes, and with the next lease.
	Progress      *Progress
	PartialResult json.RawMessage
}

// Enqueued is a job as Enqueue answers it.
type Enqueued struct {
	Status
	// Existing tells that nothing was added, because the job's unique key is that of a job
	// which is not over: Status is that job's, without Dependents, Progress and PartialResult.
	Existing bool
	// Repeated tells that nothing was added, because the call had been made before: all else is as it was
	// answered then.
	Repeated bool
}

// Progress is how far a run has come, as its worker sees it.
type Progress struct {
	Percent *float64 // 0 to 100; nil if not said
	Message string   // may be empty
}

// Update is a change of a job that waits. A nil field leaves things as they are.
type Update struct {
	Priority *int
	RunAt    *time.Time // zero for at once
	Labels   *map[string]string
	// IfVersion makes the update conditional: ErrChanged if the job has another Version.
	IfVersion *uint64
}
