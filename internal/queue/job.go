package queue

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// DefaultChannel is the channel of jobs and workers that name none.
const DefaultChannel = "default"

// State is where a job stands in its life. docs/states.md draws the machine.
type State uint8

// The states of a job. The zero State is none of them.
const (
	Blocked  State = iota + 1 // it has dependencies that are not over
	Pending                   // it is ready and waits for a worker
	Running                   // a worker holds its lease
	Finished                  // over: a worker reported a result
	Failed                    // over: a worker reported an error, or the rules did
	Canceled                  // over: somebody canceled it, or a job it depended on
)

// States lists every state, in the order of a job's life.
func States() []State {
	return []State{Blocked, Pending, Running, Finished, Failed, Canceled}
}

// String returns the state's name on the wire, in lower case.
func (s State) String() string {
	switch s {
	case Blocked:
		return "blocked"
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Failed:
		return "failed"
	case Canceled:
		return "canceled"
	default:
		return "invalid"
	}
}

// Over reports whether the state is terminal: nothing leaves Finished, Failed or Canceled.
func (s State) Over() bool { return s == Finished || s == Failed || s == Canceled }

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

// Lane is where a job waits: jobs of one lane are handed out first in, first out.
type Lane struct {
	Channel string
	Type    string
}

// NewJob is what a producer gives to Enqueue. Only Type is required.
type NewJob struct {
	Type    string
	Channel string // "" is DefaultChannel
	// Args is one JSON value, opaque to the queue; nil is null. The engine keeps no
	// reference to it after Enqueue has returned.
	Args json.RawMessage
	// Dependencies are the jobs that must be over first. Their order is kept; a job named
	// again counts once, at its first place.
	Dependencies []uuid.UUID
	RunIf        RunIf
	// MaxRetries is how many silent leases requeue the job before it fails; nil leaves it
	// to the reaper's default.
	MaxRetries *uint64
}

// Lane returns where the job will wait.
func (j NewJob) Lane() Lane {
	if j.Channel == "" {
		return Lane{Channel: DefaultChannel, Type: j.Type}
	}
	return Lane{Channel: j.Channel, Type: j.Type}
}

// Job is everything that was given at Enqueue, with defaults filled in. It never changes.
type Job struct {
	ID           uuid.UUID
	Type         string
	Channel      string
	Args         json.RawMessage // never nil: null when none was given
	Dependencies []uuid.UUID     // without repetitions
	RunIf        RunIf
	MaxRetries   *uint64
}

// Lane returns where the job waits.
func (j Job) Lane() Lane { return Lane{Channel: j.Channel, Type: j.Type} }

// Status is a job's present state and how it got there.
type Status struct {
	ID           uuid.UUID
	Type         string
	Channel      string
	State        State
	Result       json.RawMessage // nil unless State is Finished
	Error        *JobError       // nil unless State is Failed
	Queued       time.Time       // UTC, as are the others
	Started      time.Time       // of the newest lease; zero while the job waits
	Finished     time.Time       // zero until the job is over, however it ended
	Canceled     bool            // State is Canceled
	Attempt      uint64          // leases granted so far
	Retries      uint64          // how often a lost lease put it back in line
	Worker       string          // the name that the newest lease's worker gave
	Dependencies []uuid.UUID     // in the order given at Enqueue
	Dependents   []uuid.UUID     // in the order they were enqueued
}

// Reasons that the queue itself gives for a failure. A worker cannot report them.
const (
	ReasonHeartbeatLost        = "heartbeat-lost"
	ReasonDependencyFailed     = "dependency-failed"
	ReasonDependenciesTooLarge = "dependencies-too-large" // their results exceed MaxDependencyBytes
	ReasonDamaged              = "damaged"                // the store cannot read the job or a dependency's result
)

// JobError says why a job failed.
type JobError struct {
	Reason  string          // a short word for programs
	Details json.RawMessage // nil, or one JSON value
}

// Outcome is what became of a run: an Error makes the job Failed, none makes it Finished
// with Result.
type Outcome struct {
	Result json.RawMessage // nil is null
	Error  *JobError
}

// State returns the state that the outcome leads to.
func (o Outcome) State() State {
	if o.Error != nil {
		return Failed
	}
	return Finished
}
