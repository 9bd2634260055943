package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// producer turns what producers ask for into what the domain takes. The limits are checked by
// the domain, but for those that it cannot see: what is there and empty, and sizes.
type producer struct {
	sizes sizes
	need  *object // how a need is read that is an object
}

func newProducer(sizes sizes) (producer, error) {
	need, err := objectOf(reflect.TypeFor[oapi.Need]())
	if err != nil {
		return producer{}, fmt.Errorf("api: need: %w", err)
	}
	return producer{sizes: sizes, need: need}, nil
}

// job fills in one job. trace is the trace context of a job that has none of its own.
func (p producer) job(job *queue.NewJob, body *oapi.NewJob, trace string) (err error) {
	if err := p.sizes.check("args", body.Args, p.sizes.args); err != nil {
		return err
	}
	if job.Channel, err = text("channel", body.Channel); err != nil {
		return err
	}
	if job.Name, err = text("name", body.Name); err != nil {
		return err
	}
	if job.UniqueKey, err = text("unique_key", body.UniqueKey); err != nil {
		return err
	}
	if job.TraceParent, err = text("traceparent", body.Traceparent); err != nil {
		return err
	}
	job.Type = body.Type
	job.Args = orNull(body.Args)
	if job.TraceParent == "" {
		job.TraceParent = trace
	}
	if body.Dependencies != nil {
		job.Dependencies = *body.Dependencies
	}
	if body.Needs != nil {
		if job.Needs, err = p.needs(*body.Needs); err != nil {
			return err
		}
	}
	if body.RunIf != nil {
		if job.RunIf, err = runIf(*body.RunIf); err != nil {
			return err
		}
	}
	if body.Priority != nil {
		job.Priority = *body.Priority
	}
	if body.MaxRetries != nil {
		retries := count(*body.MaxRetries)
		job.MaxRetries = &retries
	}
	if body.MaxTimeouts != nil {
		job.MaxTimeouts = count(*body.MaxTimeouts)
	}
	if body.Retry != nil {
		policy := retryPolicy(*body.Retry)
		job.Retry = &policy
	}
	if body.Labels != nil {
		job.Labels = *body.Labels
	}
	return times(job, body)
}

// text is a text of which the domain takes "" for none: one that is given is not empty.
func text(field string, given *string) (string, error) {
	switch {
	case given == nil:
		return "", nil
	case *given == "":
		return "", invalid(field, "must not be empty; leave it out instead")
	default:
		return *given, nil
	}
}

// times fills in when the job is to run.
func times(job *queue.NewJob, body *oapi.NewJob) error {
	if body.DelaySeconds != nil {
		if body.RunAt != nil { // also where the delay is 0, which the domain takes for none
			return invalid("delay_seconds", "and run_at contradict each other; give one of them")
		}
		job.Delay = duration(*body.DelaySeconds)
	}
	job.RunAt = timeOf(body.RunAt)
	job.ExpiresAt = timeOf(body.ExpiresAt)
	job.Timeout = bound(body.TimeoutSeconds)
	job.HeartbeatTimeout = bound(body.HeartbeatTimeoutSeconds)
	return nil
}

// count is a number that must not be negative: such a one becomes far too large, which the
// domain refuses.
func count(n int) uint64 { return uint64(n) }

func runIf(given oapi.RunIf) (queue.RunIf, error) {
	switch given {
	case oapi.AllSucceeded:
		return queue.AllSucceeded, nil
	case oapi.AllFinished:
		return queue.AllFinished, nil
	default:
		return 0, invalid("run_if", fmt.Sprintf("must be %q or %q", oapi.AllSucceeded, oapi.AllFinished))
	}
}

func retryPolicy(given oapi.RetryPolicy) queue.RetryPolicy {
	policy := queue.RetryPolicy{
		MaxAttempts: count(given.MaxAttempts),
		Initial:     queue.DefaultRetryInitial,
		Factor:      queue.DefaultRetryFactor,
		Jitter:      queue.DefaultRetryJitter,
	}
	if given.InitialSeconds != nil {
		policy.Initial = duration(*given.InitialSeconds)
	}
	if given.Factor != nil {
		policy.Factor = *given.Factor
	}
	if given.Jitter != nil {
		policy.Jitter = *given.Jitter
	}
	policy.Max = max(queue.DefaultRetryMax, policy.Initial)
	if given.MaxSeconds != nil {
		policy.Max = duration(*given.MaxSeconds)
	}
	return policy
}

// needs reads what a job needs: each a name, or an object with one. The contract leaves them
// as they were written, since its types know no choice.
func (p producer) needs(given []json.RawMessage) ([]queue.Need, error) {
	needs := make([]queue.Need, len(given))
	var s *scanner // made for the first object
	for i, value := range given {
		at := func(inside string) string { return "needs[" + itoa(i) + "]" + inside }
		switch value[0] {
		case '"':
			name, ok := unquote(value)
			if !ok {
				return nil, invalid(at(""), badEscape)
			}
			needs[i].Name = string(name)
		case '{':
			if s == nil {
				s = newScanner()
			}
			var need oapi.Need
			s.reset(bytes.NewBuffer(value), true)
			if err := decode(s, p.need, reflect.ValueOf(&need).Elem()); err != nil {
				return nil, inside(err, at("."))
			}
			condition, known := conditionOf(need.If)
			if !known {
				return nil, invalid(at(".if"), fmt.Sprintf("must be %q or %q", oapi.NeedIfSucceeded, oapi.NeedIfFinished))
			}
			needs[i] = queue.Need{Name: need.Name, If: condition}
		default:
			return nil, invalid(at(""), "must be a name, or an object with a name")
		}
	}
	return needs, nil
}

func conditionOf(given *oapi.NeedIf) (queue.Condition, bool) {
	switch {
	case given == nil:
		return queue.AsRunIf, true
	case *given == oapi.NeedIfSucceeded:
		return queue.IfSucceeded, true
	case *given == oapi.NeedIfFinished:
		return queue.IfOver, true
	default:
		return 0, false
	}
}

// update is a change of a job that waits.
func update(body oapi.JobUpdate) (queue.Update, error) {
	u := queue.Update{Priority: body.Priority}
	if body.RunAt != nil {
		at := timeOf(body.RunAt)
		u.RunAt = &at
	}
	if body.Labels != nil {
		labels := map[string]string(*body.Labels)
		u.Labels = &labels
	}
	return u, u.Validate()
}

// createdJob is what a new job became: the status that Enqueue returned, and what was given.
// RunAt is not looked at: the status has it.
func createdJob(given *queue.NewJob, status *queue.Status) queue.Job {
	return given.Job(status.ID, nil, status.Queued)
}

// createdView is an entry of the answer to a batch. name is what the client called the job.
func createdView(name *string, created *queue.Enqueued) oapi.CreatedJob {
	view := oapi.CreatedJob{
		Name:  name,
		Id:    created.ID,
		State: oapi.JobState(created.State.String()),
	}
	if created.Existing {
		existing := true
		view.Existing = &existing
	}
	return view
}

// jobView is a job as clients see it.
func jobView(job *queue.Job, status *queue.Status) oapi.Job {
	view := oapi.Job{
		Id:                      job.ID,
		Type:                    job.Type,
		Channel:                 job.Channel,
		State:                   oapi.JobState(status.State.String()),
		Args:                    orNull(job.Args),
		Error:                   jobErrorView(status.Error),
		Canceled:                status.Canceled,
		Priority:                int64(status.Priority),
		Attempt:                 int64(status.Attempt),
		Retries:                 int64(status.Retries),
		Failures:                int64(status.Failures),
		Timeouts:                int64(status.Timeouts),
		Generation:              int64(status.Generation),
		MaxTimeouts:             numberView(job.MaxTimeouts),
		TimeoutSeconds:          timeoutView(job.Timeout),
		HeartbeatTimeoutSeconds: timeoutView(job.HeartbeatTimeout),
		Retry:                   retryView(job.Retry),
		UniqueKey:               textView(job.UniqueKey),
		RunIf:                   oapi.RunIf(job.RunIf.String()),
		RunAt:                   timeView(status.RunAt),
		ExpiresAt:               timeView(job.ExpiresAt),
		Labels:                  labelsView(job.Labels),
		Traceparent:             textView(job.TraceParent),
		PartialResult:           status.PartialResult,
		QueuedAt:                status.Queued.UTC(),
		StartedAt:               timeView(status.Started),
		FinishedAt:              timeView(status.Finished),
		Dependencies:            idsView(status.Dependencies),
		Dependents:              idsView(status.Dependents),
		Worker:                  textView(status.Worker),
	}
	if status.State == queue.Finished {
		view.Result = orNull(status.Result)
	}
	if job.MaxRetries != nil {
		retries := int64(*job.MaxRetries)
		view.MaxRetries = &retries
	}
	if status.Progress != nil {
		view.Progress = &oapi.Progress{Percent: status.Progress.Percent, Message: textView(status.Progress.Message)}
	}
	return view
}

func numberView(n uint64) *int64 {
	if n == 0 {
		return nil
	}
	view := int64(n)
	return &view
}

func retryView(policy *queue.RetryPolicy) *oapi.RetryPolicy {
	if policy == nil {
		return nil
	}
	initial, most := secondsView(policy.Initial), secondsView(policy.Max)
	factor, jitter := policy.Factor, policy.Jitter
	return &oapi.RetryPolicy{
		MaxAttempts:    int(policy.MaxAttempts),
		InitialSeconds: &initial,
		Factor:         &factor,
		MaxSeconds:     &most,
		Jitter:         &jitter,
	}
}
