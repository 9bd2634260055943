package queuetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// model is the reference: what a queue does, said as plainly as possible, with no regard to
// cost, and without the rules of package queue, so that it can find fault with them. It is
// told the ids and tokens that the engine chose.
type model struct {
	now    time.Duration
	jobs   map[uuid.UUID]*modelJob
	order  []uuid.UUID // as enqueued, which is also the order in line
	tokens map[uuid.UUID]*modelLease
}

type modelJob struct {
	id           uuid.UUID
	job          queue.NewJob
	dependencies []uuid.UUID
	state        queue.State
	result       string
	err          string // the error's reason
	attempt      uint64
	retries      uint64
	token        uuid.UUID
}

type modelLease struct {
	job     uuid.UUID
	attempt uint64
	beat    time.Duration
	ended   string // "" while live, else how
	report  string // what was reported
	state   queue.State
}

func newModel() *model {
	return &model{jobs: make(map[uuid.UUID]*modelJob), tokens: make(map[uuid.UUID]*modelLease)}
}

// enqueue returns the error that is expected.
func (m *model) enqueue(job queue.NewJob, id uuid.UUID) error {
	for _, dependency := range job.Dependencies {
		if m.jobs[dependency] == nil {
			return queue.ErrNotExist
		}
	}
	j := &modelJob{id: id, job: job, state: queue.Blocked}
	for _, dependency := range job.Dependencies {
		if !slices.Contains(j.dependencies, dependency) {
			j.dependencies = append(j.dependencies, dependency)
		}
	}
	m.jobs[id] = j
	m.order = append(m.order, id)
	m.settle(j)
	return nil
}

// settle looks at a blocked job afresh.
func (m *model) settle(j *modelJob) {
	if j.state != queue.Blocked {
		return
	}
	open := 0
	for _, id := range j.dependencies {
		switch dependency := m.jobs[id]; dependency.state {
		case queue.Failed:
			if j.job.RunIf == queue.AllSucceeded {
				m.over(j, queue.Failed, "", queue.ReasonDependencyFailed)
				return
			}
		case queue.Canceled:
			if j.job.RunIf == queue.AllSucceeded {
				m.over(j, queue.Canceled, "", "")
				return
			}
		case queue.Finished:
		default:
			open++
		}
	}
	if open == 0 {
		j.state = queue.Pending
	}
}

func (m *model) over(j *modelJob, state queue.State, result, reason string) {
	j.state, j.result, j.err, j.token = state, result, reason, uuid.Nil
	for _, id := range m.order {
		if slices.Contains(m.jobs[id].dependencies, j.id) {
			m.settle(m.jobs[id])
		}
	}
}

// next returns the job that a dequeue is expected to lease, or nil.
func (m *model) next(request queue.DequeueRequest) *modelJob {
	lanes := request.Lanes()
	for _, id := range m.order {
		if j := m.jobs[id]; j.state == queue.Pending && slices.Contains(lanes, j.job.Lane()) {
			return j
		}
	}
	return nil
}

func (m *model) grant(j *modelJob, token uuid.UUID) {
	j.state = queue.Running
	j.attempt++
	j.token = token
	m.tokens[token] = &modelLease{job: j.id, attempt: j.attempt, beat: m.now}
}

// report returns the state or the error that is expected of RequeueOrFinishJob.
func (m *model) report(token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	l := m.tokens[token]
	if l == nil {
		return 0, queue.ErrNotExist
	}
	text := describe(outcome)
	switch l.ended {
	case "reported":
		if l.report == text {
			return l.state, nil
		}
		return 0, queue.ErrAlreadyReported
	case "canceled":
		return 0, queue.ErrCanceled
	case "lost", "released":
		return 0, queue.ErrLeaseLost
	}
	j := m.jobs[l.job]
	lost := outcome.Error != nil && outcome.Error.Reason == queue.ReasonHeartbeatLost
	switch {
	case j.retries < maxRetries:
		j.retries++
		j.state, j.token = queue.Pending, uuid.Nil
		l.ended = "lost"
	case outcome.Error != nil:
		m.over(j, queue.Failed, "", outcome.Error.Reason)
		l.ended = "reported"
	default:
		m.over(j, queue.Finished, string(outcome.Result), "")
		l.ended = "reported"
	}
	if lost {
		l.ended = "lost"
	}
	l.report, l.state = text, j.state
	return j.state, nil
}

func (m *model) release(token uuid.UUID) (queue.State, error) {
	l := m.tokens[token]
	switch {
	case l == nil:
		return 0, queue.ErrNotExist
	case l.ended == "canceled":
		return queue.Canceled, nil
	case l.ended == "released":
		return queue.Pending, nil
	case l.ended != "":
		return 0, queue.ErrLeaseLost
	}
	j := m.jobs[l.job]
	j.state, j.token = queue.Pending, uuid.Nil
	l.ended = "released"
	return queue.Pending, nil
}

func (m *model) cancel(id uuid.UUID) error {
	j := m.jobs[id]
	switch {
	case j == nil:
		return queue.ErrNotExist
	case j.state == queue.Finished, j.state == queue.Failed:
		return queue.ErrNotRunning
	case j.state == queue.Canceled:
		return nil
	}
	if l := m.tokens[j.token]; l != nil {
		l.ended = "canceled"
	}
	m.over(j, queue.Canceled, "", "")
	return nil
}

func (m *model) beat(token uuid.UUID) (canceled bool, err error) {
	l := m.tokens[token]
	switch {
	case l == nil:
		return false, queue.ErrNotExist
	case l.ended == "":
		l.beat = m.now
		return false, nil
	case l.ended == "canceled":
		return true, nil
	default:
		return false, queue.ErrLeaseLost
	}
}

// stale returns the tokens that are expected of Heartbeats, sorted.
func (m *model) stale(olderThan time.Duration) []uuid.UUID {
	var tokens []uuid.UUID
	for token, l := range m.tokens {
		if l.ended == "" && m.now-l.beat >= olderThan {
			tokens = append(tokens, token)
		}
	}
	return sorted(tokens)
}

func (m *model) restart() {
	for _, l := range m.tokens {
		l.beat = m.now
	}
}

// status returns what is expected of JobStatus, without times and details.
func (m *model) status(id uuid.UUID) queue.Status {
	j := m.jobs[id]
	s := queue.Status{
		ID: id, Type: j.job.Type, Channel: j.job.Lane().Channel, State: j.state,
		Canceled: j.state == queue.Canceled, Attempt: j.attempt, Retries: j.retries, Dependencies: j.dependencies,
	}
	if j.state == queue.Finished {
		s.Result = json.RawMessage(j.result)
	}
	if j.err != "" {
		s.Error = &queue.JobError{Reason: j.err}
	}
	for _, other := range m.order {
		if slices.Contains(m.jobs[other].dependencies, id) {
			s.Dependents = append(s.Dependents, other)
		}
	}
	return s
}

func describe(o queue.Outcome) string {
	if o.Error != nil {
		return fmt.Sprintf("error %s %s", o.Error.Reason, o.Error.Details)
	}
	return fmt.Sprintf("result %s", o.Result)
}

func sorted(ids []uuid.UUID) []uuid.UUID {
	sort.Slice(ids, func(a, b int) bool { return ids[a].String() < ids[b].String() })
	return ids
}
