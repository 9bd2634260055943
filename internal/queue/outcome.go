package queue

import (
	"encoding/json"
	"time"
)

// Reasons that the queue itself gives for a failure. A worker cannot report them.
const (
	ReasonHeartbeatLost        = "heartbeat-lost"
	ReasonTimeout              = "timeout"
	ReasonExpired              = "expired"
	ReasonDependencyFailed     = "dependency-failed"
	ReasonDependenciesTooLarge = "dependencies-too-large" // their results exceed MaxDependencyBytes
	ReasonDamaged              = "damaged"                // the store cannot read the job or a dependency's result
)

func reservedReason(reason string) bool {
	switch reason {
	case ReasonHeartbeatLost, ReasonTimeout, ReasonExpired, ReasonDependencyFailed, ReasonDependenciesTooLarge, ReasonDamaged:
		return true
	default:
		return false
	}
}

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

// Failure is what a worker reports of a run that failed.
type Failure struct {
	Error JobError
	// Retryable says that another run may succeed: the job's Retry policy decides whether
	// there is one.
	Retryable bool
	// RetryAfter is how long to wait before that; nil leaves it to the policy.
	RetryAfter *time.Duration
}
