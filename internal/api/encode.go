package api

import (
	"fmt"
	"strconv"

	"github.com/longshore-queue/longshore/internal/api/oapi"
)

// Jobs and leases are written here and not by encoding/json, for two reasons. What is opaque
// comes out byte for byte: encoding/json checks it again, and writes < as \u003c. And it is the
// largest part of what the edge costs a request that can be spared. A test holds every field
// of the generated types to what encoding/json makes of it.

const (
	// encodedSize is the room, in bytes, for what of every answer has a length of its own.
	encodedSize = 512
	// encodedMember is the room for a member that may be absent: its name, and a time or a
	// number.
	encodedMember = 56
	// encodedID is a UUID with its quotes and the comma after it.
	encodedID = 39
	// encodedDependency is the same as encodedSize, of a dependency.
	encodedDependency = 128
	// encodedCreated is the same, of an entry of the answer to a batch.
	encodedCreated = 96
	// encodedReported is the same, of an entry for a report.
	encodedReported = 96
	// encodedLabel is what a label has around its name and its value.
	encodedLabel = 6
)

// jobSize is how long a job is as JSON, at most, in bytes, with its newline. Text that must be
// escaped, which only reasons, messages, keys, labels and the names of workers can be, is not
// counted: the buffer grows then.
func jobSize(job *oapi.Job) int {
	size := encodedSize + len(job.Args) + len(job.Type) + len(job.Channel) + len(job.Result) + errorSize(job.Error)
	size += encodedID * (len(job.Dependencies) + len(job.Dependents))
	if job.Worker != nil {
		size += len(*job.Worker)
	}
	if job.FinishedAt != nil {
		size += encodedMember
	}
	return size + rareSize(job)
}

// rareSize is what jobSize has to say of the members that most jobs do not have.
func rareSize(job *oapi.Job) int {
	size := len(job.PartialResult) + labelsSize(job.Labels)
	for _, text := range [...]*string{job.UniqueKey, job.Traceparent} {
		if text != nil {
			size += encodedMember + len(*text)
		}
	}
	for _, number := range [...]*float64{job.HeartbeatTimeoutSeconds, job.TimeoutSeconds} {
		if number != nil {
			size += encodedMember
		}
	}
	if job.RunAt != nil {
		size += encodedMember
	}
	if job.ExpiresAt != nil {
		size += encodedMember
	}
	if job.Retry != nil {
		size += 5 * encodedMember
	}
	if job.Progress != nil {
		size += 2 * encodedMember
		if job.Progress.Message != nil {
			size += len(*job.Progress.Message)
		}
	}
	return size
}

// leaseSize is the same of a lease. What its job depends on may be many megabytes, which are
// not to be copied each time that a buffer has doubled.
func leaseSize(lease *oapi.Lease) int {
	size := encodedSize + len(lease.Args) + len(lease.Type) + len(lease.Channel) + labelsSize(lease.Labels)
	if lease.Traceparent != nil {
		size += len(*lease.Traceparent)
	}
	for i := range lease.Dependencies {
		dependency := &lease.Dependencies[i]
		size += encodedDependency + len(dependency.Type) + len(dependency.Result) + errorSize(dependency.Error)
		if dependency.Name != nil {
			size += len(*dependency.Name)
		}
	}
	return size
}

// createdJobsSize is the same of the answer to a batch.
func createdJobsSize(jobs []oapi.CreatedJob) int {
	size := encodedCreated
	for i := range jobs {
		size += encodedCreated
		if jobs[i].Name != nil {
			size += len(*jobs[i].Name)
		}
	}
	return size
}

// exchangeSize is the same of the answer to reports and a request for many leases.
func exchangeSize(finished []oapi.LeaseReported, leases []oapi.Lease) int {
	size := encodedReported + encodedReported*len(finished)
	for i := range finished {
		if finished[i].Detail != nil {
			size += len(*finished[i].Detail)
		}
	}
	for i := range leases {
		size += leaseSize(&leases[i])
	}
	return size
}

// jobListSize is the same of a page of jobs.
func jobListSize(jobs []oapi.Job, next string) int {
	size := encodedMember + len(next)
	for i := range jobs {
		size += jobSize(&jobs[i])
	}
	return size
}

func errorSize(e *oapi.JobError) int {
	if e == nil {
		return 0
	}
	return encodedMember + len(e.Reason) + len(e.Details)
}

func labelsSize(labels *oapi.Labels) int {
	if labels == nil {
		return 0
	}
	size := encodedMember
	for name, value := range *labels {
		size += encodedLabel + len(name) + len(value)
	}
	return size
}

// appendJob appends a job as JSON.
func appendJob(b []byte, job *oapi.Job) []byte {
	b = appendOpaque(append(b, `{"args":`...), job.Args)
	b = appendInt(b, `,"attempt":`, job.Attempt)
	b = strconv.AppendBool(append(b, `,"canceled":`...), job.Canceled)
	b = appendText(append(b, `,"channel":`...), job.Channel)
	b = appendIDs(append(b, `,"dependencies":`...), job.Dependencies)
	b = appendIDs(append(b, `,"dependents":`...), job.Dependents)
	b = appendError(b, job.Error)
	b = appendTimeMember(b, `,"expires_at":`, job.ExpiresAt)
	b = appendInt(b, `,"failures":`, job.Failures)
	b = appendTimeMember(b, `,"finished_at":`, job.FinishedAt)
	b = appendInt(b, `,"generation":`, job.Generation)
	b = appendNumberMember(b, `,"heartbeat_timeout_seconds":`, job.HeartbeatTimeoutSeconds)
	b = appendID(append(b, `,"id":`...), job.Id)
	if job.Labels != nil {
		b = appendLabels(b, *job.Labels)
	}
	b = appendIntMember(b, `,"max_retries":`, job.MaxRetries)
	b = appendIntMember(b, `,"max_timeouts":`, job.MaxTimeouts)
	b = appendOpaqueMember(b, `,"partial_result":`, job.PartialResult)
	b = appendInt(b, `,"priority":`, job.Priority)
	b = appendProgress(b, job.Progress)
	b = appendTime(append(b, `,"queued_at":`...), job.QueuedAt)
	b = appendOpaqueMember(b, `,"result":`, job.Result)
	b = appendInt(b, `,"retries":`, job.Retries)
	b = appendRetry(b, job.Retry)
	b = appendTimeMember(b, `,"run_at":`, job.RunAt)
	b = appendText(append(b, `,"run_if":`...), string(job.RunIf))
	b = appendTimeMember(b, `,"started_at":`, job.StartedAt)
	b = appendText(append(b, `,"state":`...), string(job.State))
	b = appendNumberMember(b, `,"timeout_seconds":`, job.TimeoutSeconds)
	b = appendInt(b, `,"timeouts":`, job.Timeouts)
	b = appendTextMember(b, `,"traceparent":`, job.Traceparent)
	b = appendText(append(b, `,"type":`...), job.Type)
	b = appendTextMember(b, `,"unique_key":`, job.UniqueKey)
	b = appendTextMember(b, `,"worker":`, job.Worker)
	return append(b, '}')
}

// appendJobList appends a page of jobs as JSON, with these fields of each, nil for all.
func appendJobList(b []byte, jobs []oapi.Job, fields fieldSet, next string) (_ []byte, err error) {
	b = append(b, `{"jobs":[`...)
	var whole []byte
	for i := range jobs {
		if i > 0 {
			b = append(b, ',')
		}
		if fields == nil {
			b = appendJob(b, &jobs[i])
			continue
		}
		whole = appendJob(whole[:0], &jobs[i])
		if b, err = appendFields(b, whole, fields); err != nil {
			return nil, fmt.Errorf("leave fields of job %s out: %w", jobs[i].Id, err)
		}
	}
	b = append(b, ']')
	if next != "" {
		b = appendText(append(b, `,"next_cursor":`...), next)
	}
	return append(b, '}'), nil
}

// appendCreatedJobs appends the answer to a batch as JSON.
func appendCreatedJobs(b []byte, jobs []oapi.CreatedJob) []byte {
	b = append(b, `{"jobs":[`...)
	for i := range jobs {
		job := &jobs[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if job.Existing != nil {
			b = append(strconv.AppendBool(append(b, `"existing":`...), *job.Existing), ',')
		}
		b = appendID(append(b, `"id":`...), job.Id)
		b = appendTextMember(b, `,"name":`, job.Name)
		b = appendText(append(b, `,"state":`...), string(job.State))
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// appendExchange appends the answer to reports and a request for many leases as JSON.
func appendExchange(b []byte, finished []oapi.LeaseReported, leases []oapi.Lease) []byte {
	b = append(b, `{"finished":[`...)
	for i := range finished {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendReported(b, &finished[i])
	}
	b = append(b, `],"leases":[`...)
	for i := range leases {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLease(b, &leases[i])
	}
	return append(b, "]}"...)
}

func appendReported(b []byte, r *oapi.LeaseReported) []byte {
	b = appendID(append(b, `{"token":`...), r.Token)
	b = appendTextMember(b, `,"code":`, r.Code)
	b = appendTextMember(b, `,"detail":`, r.Detail)
	b = appendTextMember(b, `,"state":`, (*string)(r.State))
	return append(b, '}')
}

// appendLease appends a lease as JSON.
func appendLease(b []byte, lease *oapi.Lease) []byte {
	b = appendOpaque(append(b, `{"args":`...), lease.Args)
	b = appendInt(b, `,"attempt":`, lease.Attempt)
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
	b = appendNumber(append(b, `,"heartbeat_in_seconds":`...), lease.HeartbeatInSeconds)
	b = appendNumber(append(b, `,"heartbeat_timeout_seconds":`...), lease.HeartbeatTimeoutSeconds)
	b = appendID(append(b, `,"id":`...), lease.Id)
	if lease.Labels != nil {
		b = appendLabels(b, *lease.Labels)
	}
	b = appendNumberMember(b, `,"timeout_seconds":`, lease.TimeoutSeconds)
	b = appendID(append(b, `,"token":`...), lease.Token)
	b = appendTextMember(b, `,"traceparent":`, lease.Traceparent)
	b = appendText(append(b, `,"type":`...), lease.Type)
	return append(b, '}')
}

func appendDependency(b []byte, dependency *oapi.Dependency) []byte {
	b = append(b, '{')
	if dependency.Deleted != nil {
		b = append(strconv.AppendBool(append(b, `"deleted":`...), *dependency.Deleted), ',')
	}
	b = appendID(append(b, `"id":`...), dependency.Id)
	b = appendError(b, dependency.Error)
	b = appendTextMember(b, `,"name":`, dependency.Name)
	b = appendOpaqueMember(b, `,"result":`, dependency.Result)
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

// appendProgress appends the member progress, after another one, if there is any.
func appendProgress(b []byte, progress *oapi.Progress) []byte {
	if progress == nil {
		return b
	}
	b = append(b, `,"progress":{`...)
	if progress.Message != nil {
		b = appendText(append(b, `"message":`...), *progress.Message)
		if progress.Percent != nil {
			b = append(b, ',')
		}
	}
	if progress.Percent != nil {
		b = appendNumber(append(b, `"percent":`...), *progress.Percent)
	}
	return append(b, '}')
}

// appendRetry appends the member retry, after another one, if there is a policy.
func appendRetry(b []byte, retry *oapi.RetryPolicy) []byte {
	if retry == nil {
		return b
	}
	b = append(b, `,"retry":{`...)
	for _, member := range [...]struct {
		name  string
		value *float64
	}{
		{`"factor":`, retry.Factor},
		{`"initial_seconds":`, retry.InitialSeconds},
		{`"jitter":`, retry.Jitter},
	} {
		if member.value != nil {
			b = append(appendNumber(append(b, member.name...), *member.value), ',')
		}
	}
	b = appendInt(b, `"max_attempts":`, int64(retry.MaxAttempts))
	b = appendNumberMember(b, `,"max_seconds":`, retry.MaxSeconds)
	return append(b, '}')
}
