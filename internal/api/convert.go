package api

import (
	"encoding/json"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// null is what a value is that was left out. A report without a result and one whose result
// is null must be the same report.
const null = "null"

// sizes are how long opaque values may be, in bytes.
type sizes struct {
	args   int64
	result int64 // and partial results, and details of errors
}

// check refuses a value that is too long.
func (s sizes) check(field string, value json.RawMessage, limit int64) error {
	if int64(len(value)) <= limit {
		return nil
	}
	return &requestError{
		code:   codeValueTooLarge,
		detail: field + ": is " + itoa(len(value)) + " bytes long; this server accepts at most " + itoa(int(limit)),
		field:  field,
	}
}

// dependencyView is what became of a dependency, as the holder of a lease sees it.
func dependencyView(dependency queue.Dependency) oapi.Dependency {
	view := oapi.Dependency{
		Id:    dependency.ID,
		Name:  textView(dependency.Name),
		Type:  dependency.Type,
		State: oapi.JobState(dependency.State.String()),
		Error: jobErrorView(dependency.Error),
	}
	switch {
	case dependency.Deleted:
		view.Deleted = &dependency.Deleted
	case dependency.State == queue.Finished:
		view.Result = orNull(dependency.Result)
	}
	return view
}

// leaseView is a lease as its holder sees it. timeout is how long it lasts without a
// heartbeat if its job does not say.
func leaseView(lease queue.Lease, timeout time.Duration) oapi.Lease {
	if lease.HeartbeatTimeout > 0 {
		timeout = lease.HeartbeatTimeout
	}
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
		TimeoutSeconds:          timeoutView(lease.Timeout),
		Labels:                  labelsView(lease.Labels),
		Traceparent:             textView(lease.TraceParent),
	}
	for i, dependency := range lease.Dependencies {
		view.Dependencies[i] = dependencyView(dependency)
	}
	return view
}

// beatView is what a worker is told. timeout is how long a lease lasts without a heartbeat if
// its job does not say.
func beatView(answer queue.BeatAnswer, timeout time.Duration) oapi.HeartbeatAnswer {
	if answer.HeartbeatTimeout > 0 {
		timeout = answer.HeartbeatTimeout
	}
	return oapi.HeartbeatAnswer{
		Canceled:                answer.Canceled,
		HeartbeatTimeoutSeconds: secondsView(timeout),
		HeartbeatInSeconds:      secondsView(heartbeatIn(timeout)),
	}
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

func jobErrorView(e *queue.JobError) *oapi.JobError {
	if e == nil {
		return nil
	}
	return &oapi.JobError{Reason: e.Reason, Details: e.Details}
}

// beat is what a worker says with a heartbeat. body is nil if none was sent.
func (s sizes) beat(body *oapi.HeartbeatRequest) (queue.Beat, error) {
	if body == nil {
		return queue.Beat{}, nil
	}
	if err := s.check("partial_result", body.PartialResult, s.result); err != nil {
		return queue.Beat{}, err
	}
	beat := queue.Beat{PartialResult: body.PartialResult}
	if body.Progress != nil {
		beat.Progress = &queue.Progress{Percent: body.Progress.Percent, Message: textOf(body.Progress.Message)}
	}
	return beat, beat.Validate()
}

// finished is the outcome of a job that was done. body is nil if none was sent.
func (s sizes) finished(body *oapi.FinishRequest) (queue.Outcome, error) {
	if body == nil {
		return queue.Outcome{Result: json.RawMessage(null)}, nil
	}
	return queue.Outcome{Result: orNull(body.Result)}, s.check("result", body.Result, s.result)
}

// failed is the failure of a job that its worker could not do.
func (s sizes) failed(body oapi.FailRequest) (queue.Failure, error) {
	if err := s.check("error.details", body.Error.Details, s.result); err != nil {
		return queue.Failure{}, err
	}
	failure := queue.Failure{
		Error:     queue.JobError{Reason: body.Error.Reason, Details: body.Error.Details},
		Retryable: body.Retryable != nil && *body.Retryable,
	}
	if body.RetryAfterSeconds != nil {
		after := duration(*body.RetryAfterSeconds)
		failure.RetryAfter = &after
	}
	return failure, failure.Validate()
}

// report is what a worker says of a lease that it may say something else with. The error is
// that of the same report alone, and its field is inside the item.
func (s sizes) report(item *oapi.LeaseReport) (queue.Report, error) {
	if item.Error == nil {
		switch {
		case item.Retryable != nil:
			return queue.Report{}, invalid("retryable", "makes no sense without error")
		case item.RetryAfterSeconds != nil:
			return queue.Report{}, invalid("retry_after_seconds", "makes no sense without error")
		}
		return queue.Report{Token: item.Token, Result: orNull(item.Result)}, s.check("result", item.Result, s.result)
	}
	if item.Result != nil {
		return queue.Report{}, invalid("result", "makes no sense together with error")
	}
	failure, err := s.failed(oapi.FailRequest{Error: *item.Error, Retryable: item.Retryable, RetryAfterSeconds: item.RetryAfterSeconds})
	return queue.Report{Token: item.Token, Failure: &failure}, err
}

func reported(state queue.State) oapi.ReportedJSONResponse {
	return oapi.ReportedJSONResponse{State: oapi.JobState(state.String())}
}

// waitOf is a wait of the wire, at most limit. It must have passed checkSeconds.
func waitOf(s *float64, limit time.Duration) time.Duration {
	switch {
	case s == nil:
		return 0
	case *s >= limit.Seconds():
		return limit // compared as seconds: a large number would overflow a Duration
	default:
		return time.Duration(*s * float64(time.Second))
	}
}

// duration is a duration of the wire, in whole microseconds. What a Duration cannot hold
// becomes the nearest that it can, and what is not 0 does not become 0, so that the domain,
// which knows the limits of each, refuses what it must.
func duration(seconds float64) time.Duration {
	const largest = math.MaxInt64 / int64(time.Microsecond)
	micros := math.Round(seconds * 1e6)
	switch {
	case micros >= float64(largest):
		return math.MaxInt64
	case micros <= -float64(largest):
		return math.MinInt64
	case micros == 0 && seconds > 0:
		return time.Microsecond
	case micros == 0 && seconds < 0:
		return -time.Microsecond
	default:
		return time.Duration(micros) * time.Microsecond
	}
}

// bound is a duration of which the domain takes 0 for none: 0 becomes what it refuses.
func bound(seconds *float64) time.Duration {
	if seconds == nil {
		return 0
	}
	if d := duration(*seconds); d != 0 {
		return d
	}
	return time.Nanosecond
}

// timeOf is a time of the wire, in whole microseconds and not before the one given: the limits
// hold for what will be stored. The domain takes the zero time, which is in the year 1, for
// none: it becomes one that the domain refuses.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	whole := t.UTC().Truncate(time.Microsecond)
	if whole.Before(*t) || whole.IsZero() {
		whole = whole.Add(time.Microsecond)
	}
	return whole
}

// secondsView is a duration on the wire. One division, unlike the sum that Duration.Seconds
// makes, is the float64 next to the decimal number, and is written with no more digits. In
// microseconds a float64 holds all durations that there are exactly.
func secondsView(d time.Duration) float64 {
	if d%time.Microsecond == 0 {
		return float64(d/time.Microsecond) / 1e6
	}
	return float64(d) / float64(time.Second)
}

// timeoutView is a bound on the wire, where there is one.
func timeoutView(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	seconds := secondsView(d)
	return &seconds
}

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
	utc := t.UTC() // a copy after the check: t itself would be put on the heap each time
	return &utc
}

// idsView returns ids, but never nil: a list that is empty is [] on the wire.
func idsView(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}

func labelsView(labels map[string]string) *oapi.Labels {
	if len(labels) == 0 {
		return nil
	}
	view := oapi.Labels(labels)
	return &view
}

func textView(s string) *string {
	if s == "" {
		return nil
	}
	text := s // see timeView
	return &text
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
