package api

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
)

// Jobs and leases are written here and not by encoding/json, for two reasons. What is opaque
// comes out byte for byte: encoding/json checks it again, and writes < as \u003c. And it is the
// largest part of what the edge costs a request that can be spared. A test holds every field
// of the generated types to what encoding/json makes of it.

const (
	// encodedSize is the room, in bytes, for what of an answer has a length of its own.
	encodedSize = 512
	// encodedID is a UUID with its quotes and the comma after it.
	encodedID = 39
	// encodedDependency is the same as encodedSize, of a dependency.
	encodedDependency = 128
)

// jobSize is how long a job is as JSON, at most, in bytes, with its newline. Text that must be
// escaped, which only a reason or the name of a worker can be, is not counted: the buffer
// grows then.
func jobSize(job *oapi.Job) int {
	size := encodedSize + len(job.Args) + len(job.Type) + len(job.Channel) + len(job.Result) + errorSize(job.Error)
	if job.Worker != nil {
		size += len(*job.Worker)
	}
	return size + encodedID*(len(job.Dependencies)+len(job.Dependents))
}

// leaseSize is the same of a lease. What its job depends on may be many megabytes, which are
// not to be copied each time that a buffer has doubled.
func leaseSize(lease *oapi.Lease) int {
	size := encodedSize + len(lease.Args) + len(lease.Type) + len(lease.Channel)
	for i := range lease.Dependencies {
		dependency := &lease.Dependencies[i]
		size += encodedDependency + len(dependency.Type) + len(dependency.Result) + errorSize(dependency.Error)
	}
	return size
}

func errorSize(e *oapi.JobError) int {
	if e == nil {
		return 0
	}
	return len(e.Reason) + len(e.Details)
}

// appendJob appends a job as JSON.
func appendJob(b []byte, job *oapi.Job) []byte {
	b = appendOpaque(append(b, `{"args":`...), job.Args)
	b = strconv.AppendInt(append(b, `,"attempt":`...), job.Attempt, 10)
	b = strconv.AppendBool(append(b, `,"canceled":`...), job.Canceled)
	b = appendText(append(b, `,"channel":`...), job.Channel)
	b = appendIDs(append(b, `,"dependencies":`...), job.Dependencies)
	b = appendIDs(append(b, `,"dependents":`...), job.Dependents)
	b = appendError(b, job.Error)
	if job.FinishedAt != nil {
		b = appendTime(append(b, `,"finished_at":`...), *job.FinishedAt)
	}
	b = appendID(append(b, `,"id":`...), job.Id)
	if job.MaxRetries != nil {
		b = strconv.AppendInt(append(b, `,"max_retries":`...), *job.MaxRetries, 10)
	}
	b = appendTime(append(b, `,"queued_at":`...), job.QueuedAt)
	b = appendResult(b, job.Result)
	b = strconv.AppendInt(append(b, `,"retries":`...), job.Retries, 10)
	b = appendText(append(b, `,"run_if":`...), string(job.RunIf))
	if job.StartedAt != nil {
		b = appendTime(append(b, `,"started_at":`...), *job.StartedAt)
	}
	b = appendText(append(b, `,"state":`...), string(job.State))
	b = appendText(append(b, `,"type":`...), job.Type)
	if job.Worker != nil {
		b = appendText(append(b, `,"worker":`...), *job.Worker)
	}
	return append(b, '}')
}

// appendLease appends a lease as JSON.
func appendLease(b []byte, lease *oapi.Lease) []byte {
	b = appendOpaque(append(b, `{"args":`...), lease.Args)
	b = strconv.AppendInt(append(b, `,"attempt":`...), lease.Attempt, 10)
	b = strconv.AppendBool(append(b, `,"canceled":`...), lease.Canceled)
	b = appendText(append(b, `,"channel":`...), lease.Channel)
	b = append(b, `,"dependencies":[`...)
	for i := range lease.Dependencies {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDependency(b, &lease.Dependencies[i])
	}
	b = append(b, ']')
	b = appendSeconds(append(b, `,"heartbeat_in_seconds":`...), lease.HeartbeatInSeconds)
	b = appendSeconds(append(b, `,"heartbeat_timeout_seconds":`...), lease.HeartbeatTimeoutSeconds)
	b = appendID(append(b, `,"id":`...), lease.Id)
	b = appendID(append(b, `,"token":`...), lease.Token)
	b = appendText(append(b, `,"type":`...), lease.Type)
	return append(b, '}')
}

func appendDependency(b []byte, dependency *oapi.Dependency) []byte {
	b = appendID(append(b, `{"id":`...), dependency.Id)
	b = appendError(b, dependency.Error)
	b = appendResult(b, dependency.Result)
	b = appendText(append(b, `,"state":`...), string(dependency.State))
	b = appendText(append(b, `,"type":`...), dependency.Type)
	return append(b, '}')
}

// appendError appends the member error, after another one, if there is an error.
func appendError(b []byte, e *oapi.JobError) []byte {
	if e == nil {
		return b
	}
	b = append(b, `,"error":{`...)
	if e.Details != nil {
		b = append(appendOpaque(append(b, `"details":`...), e.Details), ',')
	}
	b = appendText(append(b, `"reason":`...), e.Reason)
	return append(b, '}')
}

// appendResult appends the member result, after another one, if there is a result.
func appendResult(b []byte, result json.RawMessage) []byte {
	if result == nil {
		return b
	}
	return appendOpaque(append(b, `,"result":`...), result)
}

// appendOpaque appends a value that was checked when it came in.
func appendOpaque(b []byte, value json.RawMessage) []byte { return append(b, value...) }

func appendText(b []byte, text string) []byte {
	// The error says that something was replaced that is not UTF-8, which nothing is.
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

func appendID(b []byte, id uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i, octet := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[octet>>4], digits[octet&15])
	}
	return append(b, '"')
}

func appendIDs(b []byte, ids []uuid.UUID) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendID(b, id)
	}
	return append(b, ']')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

func appendSeconds(b []byte, seconds float64) []byte {
	return strconv.AppendFloat(b, seconds, 'f', -1, 64)
}
