package queuetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What the model shows of itself.

// list returns the ids that are expected of ListJobs, of all pages.
func (m *model) list(l *queue.Listing) (ids []uuid.UUID) {
	for _, id := range m.order {
		if j := m.find(id); j != nil && j.isMeant(&l.Filter) {
			ids = append(ids, id)
		}
	}
	if !l.OldestFirst {
		slices.Reverse(ids)
	}
	return ids
}

// lanes returns what is expected of Queues: how many jobs of each lane there are in each state, and how
// large the args are of those that are not over.
func (m *model) lanes() (counts map[queue.Lane]queue.Counts, bytes map[queue.Lane]int64) {
	counts, bytes = make(map[queue.Lane]queue.Counts), make(map[queue.Lane]int64)
	for _, id := range m.order {
		j := m.find(id)
		if j == nil {
			continue
		}
		lane := j.job.Lane()
		of := counts[lane]
		of[j.state]++
		counts[lane] = of
		if !j.state.Over() {
			bytes[lane] += int64(len(j.job.Args))
		}
	}
	return counts, bytes
}

func (j *modelJob) isMeant(f *queue.Filter) bool {
	for _, label := range f.Labels {
		value, has := j.labels[label.Name]
		if !has || label.Value != nil && *label.Value != value {
			return false
		}
	}
	switch lane := j.job.Lane(); {
	case f.States != nil && !slices.Contains(f.States, j.state),
		f.Types != nil && !slices.Contains(f.Types, lane.Type),
		f.Channels != nil && !slices.Contains(f.Channels, lane.Channel),
		!f.QueuedFrom.IsZero() && j.queued.Before(f.QueuedFrom),
		!f.QueuedBefore.IsZero() && !j.queued.Before(f.QueuedBefore):
		return false
	}
	return true
}

// status returns what is expected of JobStatus, without the version and the details of errors.
func (m *model) status(id uuid.UUID) queue.Status {
	j := m.jobs[id]
	s := queue.Status{
		ID: id, Type: j.job.Type, Channel: j.job.Lane().Channel, State: j.state, RunAt: j.runAt,
		Canceled: j.state == queue.Canceled, Priority: j.priority, Attempt: j.attempt, Retries: j.retries,
		Failures: j.failures, Timeouts: j.timeouts, Generation: j.generation, Progress: j.progress,
		Queued: j.queued, Started: j.started, Finished: j.finished, Worker: j.worker,
	}
	if j.partial != "" {
		s.PartialResult = json.RawMessage(j.partial)
	}
	if j.state == queue.Finished {
		s.Result = json.RawMessage(j.result)
	}
	if j.err != "" {
		s.Error = &queue.JobError{Reason: j.err}
	}
	for _, e := range j.edges {
		s.Dependencies = append(s.Dependencies, e.id)
	}
	for _, d := range m.dependentsOf(id) {
		if !d.deleted {
			s.Dependents = append(s.Dependents, d.id)
		}
	}
	return s
}

// given returns what is expected of Job.
func (m *model) given(id uuid.UUID) queue.Job {
	j := m.jobs[id]
	job := queue.Job{
		ID: id, Type: j.job.Type, Channel: j.job.Lane().Channel, Args: j.job.Args, RunIf: j.job.RunIf,
		Priority: j.job.Priority, RunAt: j.job.RunAt, ExpiresAt: j.job.ExpiresAt, Timeout: j.job.Timeout,
		HeartbeatTimeout: j.job.HeartbeatTimeout, MaxTimeouts: j.job.MaxTimeouts, Retry: j.job.Retry,
		UniqueKey: j.job.UniqueKey, Labels: j.labels, TraceParent: j.job.TraceParent,
	}
	if j.job.Delay > 0 {
		job.RunAt = j.queued.Add(j.job.Delay)
	}
	for _, e := range j.edges {
		condition := queue.IfSucceeded
		if e.over {
			condition = queue.IfOver
		}
		job.Dependencies = append(job.Dependencies, queue.Edge{ID: e.id, Name: e.name, If: condition})
	}
	return job
}

// live returns those of the tokens whose leases are not over.
func (m *model) live(tokens []uuid.UUID) (live []uuid.UUID) {
	for _, token := range tokens {
		if l := m.tokens[token]; l != nil && l.ended == "" {
			live = append(live, token)
		}
	}
	return live
}

// lease returns what is expected of a lease that is live, or over because of a cancel. Its
// dependencies that are Deleted may be there yet.
func (m *model) lease(token uuid.UUID) queue.Lease {
	l := m.tokens[token]
	j := m.jobs[l.job]
	lease := queue.Lease{
		Token: token, JobID: j.id, Type: j.job.Type, Channel: j.job.Lane().Channel, Args: j.job.Args, Attempt: l.attempt,
		Canceled: l.ended == "canceled", Timeout: j.job.Timeout, HeartbeatTimeout: j.job.HeartbeatTimeout,
		Labels: j.labels, TraceParent: j.job.TraceParent,
	}
	for _, e := range j.edges {
		d := m.jobs[e.id]
		dependency := queue.Dependency{ID: e.id, Name: e.name, Type: d.job.Type, State: d.state, Deleted: e.gone || d.deleted && j.state.Over()}
		switch d.state {
		case queue.Finished:
			dependency.Result = json.RawMessage(d.result)
		case queue.Failed:
			dependency.Error = &queue.JobError{Reason: d.err}
		default:
		}
		lease.Dependencies = append(lease.Dependencies, dependency)
	}
	return lease
}

func describe(o queue.Outcome) string {
	if o.Error != nil {
		return describeFailure(queue.Failure{Error: *o.Error})
	}
	return fmt.Sprintf("result %s", o.Result)
}

func describeFailure(f queue.Failure) string {
	after := ""
	if f.RetryAfter != nil {
		after = f.RetryAfter.String()
	}
	return fmt.Sprintf("error %s %s %t %s", f.Error.Reason, f.Error.Details, f.Retryable, after)
}

func sorted(ids []uuid.UUID) []uuid.UUID {
	sort.Slice(ids, func(a, b int) bool { return ids[a].String() < ids[b].String() })
	return ids
}
