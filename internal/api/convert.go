package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// null is what a value is that was left out. A report without a result and one whose result
// is null must be the same report.
const null = "null"

// newJob is what a producer asks for. The limits are checked by the domain.
func newJob(body oapi.NewJob) (queue.NewJob, error) {
	job := queue.NewJob{
		Type: body.Type,
		Args: orNull(body.Args),
	}
	if body.Channel != nil {
		if *body.Channel == "" {
			return queue.NewJob{}, invalid("channel", "must not be empty")
		}
		job.Channel = *body.Channel
	}
	if body.Dependencies != nil {
		job.Dependencies = *body.Dependencies
	}
	if body.RunIf != nil {
		switch *body.RunIf {
		case oapi.AllSucceeded:
			job.RunIf = queue.AllSucceeded
		case oapi.AllFinished:
			job.RunIf = queue.AllFinished
		default:
			return queue.NewJob{}, invalid("run_if", fmt.Sprintf("must be %q or %q", oapi.AllSucceeded, oapi.AllFinished))
		}
	}
	if body.MaxRetries != nil {
		if *body.MaxRetries < 0 {
			return queue.NewJob{}, invalid("max_retries", fmt.Sprintf("must be from 0 to %d", queue.MaxRetriesLimit))
		}
		retries := uint64(*body.MaxRetries)
		job.MaxRetries = &retries
	}
	return job, nil
}

// createdJob is what newJob became: the status that Enqueue returned, and what was given.
func createdJob(given queue.NewJob, status queue.Status) queue.Job {
	return queue.Job{
		ID:           status.ID,
		Type:         status.Type,
		Channel:      status.Channel,
		Args:         given.Args,
		Dependencies: status.Dependencies,
		RunIf:        given.RunIf,
		MaxRetries:   given.MaxRetries,
	}
}

// jobView is a job as clients see it.
func jobView(job queue.Job, status queue.Status) oapi.Job {
	view := oapi.Job{
		Id:           job.ID,
		Type:         job.Type,
		Channel:      job.Channel,
		State:        oapi.JobState(status.State.String()),
		Args:         orNull(job.Args),
		Error:        jobErrorView(status.Error),
		Canceled:     status.Canceled,
		Attempt:      int64(status.Attempt),
		Retries:      int64(status.Retries),
		RunIf:        oapi.RunIf(job.RunIf.String()),
		QueuedAt:     status.Queued.UTC(),
		StartedAt:    timeView(status.Started),
		FinishedAt:   timeView(status.Finished),
		Dependencies: idsView(job.Dependencies),
		Dependents:   idsView(status.Dependents),
	}
	if status.State == queue.Finished {
		view.Result = orNull(status.Result)
	}
	if job.MaxRetries != nil {
		retries := int64(*job.MaxRetries)
		view.MaxRetries = &retries
	}
	if status.Worker != "" {
		view.Worker = &status.Worker
	}
	return view
}

// leaseView is a lease as its holder sees it. timeout is how long it lasts without a
// heartbeat.
func leaseView(lease queue.Lease, timeout time.Duration) oapi.Lease {
	view := oapi.Lease{
		Token:                   lease.Token,
		Id:                      lease.JobID,
		Type:                    lease.Type,
		Channel:                 lease.Channel,
		Args:                    orNull(lease.Args),
		Attempt:                 int64(lease.Attempt),
		Canceled:                lease.Canceled,
		Dependencies:            make([]oapi.Dependency, len(lease.Dependencies)),
		HeartbeatTimeoutSeconds: secondsView(timeout),
		HeartbeatInSeconds:      secondsView(heartbeatIn(timeout)),
	}
	for i, dependency := range lease.Dependencies {
		view.Dependencies[i] = dependencyView(dependency)
	}
	return view
}

// heartbeatIn is how soon a heartbeat should follow: two may be lost on the way. It comes in
// whole milliseconds, unless it is less than one.
func heartbeatIn(timeout time.Duration) time.Duration {
	third := timeout / 3
	if third < time.Millisecond {
		return third
	}
	return third.Truncate(time.Millisecond)
}

func dependencyView(dependency queue.Dependency) oapi.Dependency {
	view := oapi.Dependency{
		Id:    dependency.ID,
		Type:  dependency.Type,
		State: oapi.JobState(dependency.State.String()),
		Error: jobErrorView(dependency.Error),
	}
	if dependency.State == queue.Finished {
		view.Result = orNull(dependency.Result)
	}
	return view
}

func jobErrorView(e *queue.JobError) *oapi.JobError {
	if e == nil {
		return nil
	}
	return &oapi.JobError{Reason: e.Reason, Details: e.Details}
}

// finished is the outcome of a job that was done. body is nil if none was sent.
func finished(body *oapi.FinishRequest) queue.Outcome {
	if body == nil {
		return queue.Outcome{Result: json.RawMessage(null)}
	}
	return queue.Outcome{Result: orNull(body.Result)}
}

// failed is the outcome of a job that its worker could not do.
func failed(body oapi.FailRequest) queue.Outcome {
	return queue.Outcome{Error: &queue.JobError{Reason: body.Error.Reason, Details: body.Error.Details}}
}

func reported(state queue.State) oapi.ReportedJSONResponse {
	return oapi.ReportedJSONResponse{State: oapi.JobState(state.String())}
}

// seconds is a duration of the wire, at most limit. It must have passed checkSeconds.
func seconds(s *float64, limit time.Duration) time.Duration {
	switch {
	case s == nil:
		return 0
	case *s >= limit.Seconds():
		return limit // compared as seconds: a large number would overflow a Duration
	default:
		return time.Duration(*s * float64(time.Second))
	}
}

// secondsView is a duration on the wire. One division, unlike the sum that Duration.Seconds
// makes, is the float64 next to the decimal number, and is written with no more digits.
func secondsView(d time.Duration) float64 { return float64(d) / float64(time.Second) }

func orNull(value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return json.RawMessage(null)
	}
	return value
}

func timeView(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// idsView returns ids, but never nil: a list that is empty is [] on the wire.
func idsView(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
