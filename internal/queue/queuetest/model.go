package queuetest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// model is the reference: what a queue does, said as plainly as possible, with no regard to
// cost, and without the rules of package queue, so that it can find fault with them. It is
// told the time, and the ids and tokens that the engine chose.
type model struct {
	now    time.Time
	jobs   map[uuid.UUID]*modelJob
	order  []uuid.UUID // as enqueued
	tokens map[uuid.UUID]*modelLease
	keys   map[string]*modelCall
}

type modelJob struct {
	id           uuid.UUID
	job          queue.NewJob
	edges        []modelEdge
	state        queue.State
	priority     int
	labels       map[string]string
	runAt        time.Time
	expires      time.Time // zero once it has begun, or is over
	result       string
	err          string // the error's reason
	byDependency bool   // it is over because of a dependency
	deleted      bool   // nobody finds it
	attempt      uint64
	retries      uint64
	failures     uint64
	timeouts     uint64
	generation   uint64
	queued       time.Time
	started      time.Time
	finished     time.Time
	worker       string
	principals   []string // of each lease
	token        uuid.UUID
	progress     *queue.Progress
	partial      string
}

type modelEdge struct {
	id   uuid.UUID
	name string
	over bool // any end will do
	// gone tells that the job was deleted when nobody knew that this one would run again.
	gone bool
}

type modelLease struct {
	job      uuid.UUID
	attempt  uint64
	beat     time.Time
	deadline time.Time   // zero if there is none
	ended    string      // "" while live, else how
	report   string      // what was reported
	state    queue.State // that the end led to
}

// modelCall is a call that was made with an idempotency key.
type modelCall struct {
	body     string
	until    time.Time
	enqueued []queue.Enqueued
	token    uuid.UUID
	vacant   bool // the lease was released when the call was made again
}

func newModel(now time.Time) *model {
	return &model{
		now: now, jobs: make(map[uuid.UUID]*modelJob), tokens: make(map[uuid.UUID]*modelLease),
		keys: make(map[string]*modelCall),
	}
}

// errInvalid stands for any *queue.InvalidError.
var errInvalid = errors.New("not valid")

// enqueue returns the error that is expected, or takes over the ids that the engine answered and
// returns which jobs should have existed already. What a job needs is added before it.
func (m *model) enqueue(jobs []queue.NewJob, answer []uuid.UUID) (existing []bool, err error) {
	names := make(map[string]int)
	for i := range jobs {
		if _, taken := names[jobs[i].Name]; taken && jobs[i].Name != "" {
			return nil, errInvalid
		}
		names[jobs[i].Name] = i
	}
	for i := range jobs {
		if !sound(jobs, names, i, nil) {
			return nil, errInvalid
		}
	}

	before := len(m.order)
	ids := make([]uuid.UUID, len(jobs))
	existing = make([]bool, len(jobs))
	var add func(i int) bool
	add = func(i int) bool {
		n := jobs[i]
		if ids[i] != uuid.Nil {
			return true
		}
		for _, need := range n.Needs {
			if !add(names[need.Name]) {
				return false
			}
		}
		if twin := m.withUniqueKey(n, uuid.Nil); twin != nil {
			ids[i], existing[i] = twin.id, true
			return true
		}
		for _, id := range n.Dependencies {
			if m.find(id) == nil {
				return false
			}
		}
		ids[i] = answer[i]
		m.add(n, answer[i], func(need queue.Need) uuid.UUID { return ids[names[need.Name]] })
		return true
	}
	for i := range jobs {
		if !add(i) {
			m.order = m.order[:before] // nothing else has been changed by those that were added
			return nil, queue.ErrNotExist
		}
	}
	// In line they stand in the order of the call.
	m.order = m.order[:before]
	for i := range jobs {
		if !existing[i] {
			m.order = append(m.order, ids[i])
		}
	}
	copy(answer, ids)
	return existing, nil
}

// sound reports whether a job's needs name other jobs, each once, none of which needs one of
// those on the way to it.
func sound(jobs []queue.NewJob, names map[string]int, i int, way []int) bool {
	if slices.Contains(way, i) {
		return false
	}
	way = append(slices.Clip(way), i)
	seen := make(map[string]bool)
	for _, need := range jobs[i].Needs {
		k, known := names[need.Name]
		if !known || seen[need.Name] || !sound(jobs, names, k, way) {
			return false
		}
		seen[need.Name] = true
	}
	return true
}

// add adds one job. idOf tells which job a need has come to.
func (m *model) add(n queue.NewJob, id uuid.UUID, idOf func(queue.Need) uuid.UUID) {
	j := &modelJob{
		id: id, job: n, priority: n.Priority, labels: n.Labels, runAt: n.RunAt, expires: n.ExpiresAt, queued: m.now,
	}
	if n.Delay > 0 {
		j.runAt = m.now.Add(n.Delay)
	}
	for _, id := range n.Dependencies {
		j.addEdge(modelEdge{id: id, over: n.RunIf == queue.AllFinished})
	}
	for _, need := range n.Needs {
		over := need.If == queue.IfOver || need.If == queue.AsRunIf && n.RunIf == queue.AllFinished
		j.addEdge(modelEdge{id: idOf(need), name: need.Name, over: over})
	}
	m.jobs[id] = j
	m.order = append(m.order, id)
	m.begin(j)
}

// addEdge adds a dependency; of two on the same job the stricter one holds.
func (j *modelJob) addEdge(e modelEdge) {
	for i := range j.edges {
		if known := &j.edges[i]; known.id == e.id {
			known.over = known.over && e.over
			if known.name == "" {
				known.name = e.name
			}
			return
		}
	}
	j.edges = append(j.edges, e)
}

// withUniqueKey returns the job that has the unique key of n and is not over, apart from one.
func (m *model) withUniqueKey(n queue.NewJob, apart uuid.UUID) *modelJob {
	for _, id := range m.order {
		if j := m.jobs[id]; n.UniqueKey != "" && id != apart && !j.state.Over() &&
			j.job.UniqueKey == n.UniqueKey && j.job.Lane() == n.Lane() {
			return j
		}
	}
	return nil
}

// against returns the first dependency that decides against the job, if there is one.
func (m *model) against(j *modelJob) *modelJob {
	for _, e := range j.edges {
		if d := m.jobs[e.id]; !e.over && (d.state == queue.Failed || d.state == queue.Canceled) {
			return d
		}
	}
	return nil
}

// begin decides where a job begins that is new, or begins anew.
func (m *model) begin(j *modelJob) {
	if d := m.against(j); d != nil {
		m.overBy(j, d)
		return
	}
	if !j.expires.IsZero() && !j.expires.After(m.now) {
		m.over(j, queue.Failed, "", queue.ReasonExpired)
		return
	}
	m.wait(j)
}

// wait puts a job where it has to wait.
func (m *model) wait(j *modelJob) {
	j.state, j.token, j.started = queue.Pending, uuid.Nil, time.Time{}
	if j.runAt.After(m.now) {
		j.state = queue.Scheduled
	}
	for _, e := range j.edges {
		if !m.jobs[e.id].state.Over() {
			j.state = queue.Blocked
		}
	}
}

func (m *model) overBy(j, dependency *modelJob) {
	reason := ""
	if dependency.state == queue.Failed {
		reason = queue.ReasonDependencyFailed
	}
	m.over(j, dependency.state, "", reason)
	j.byDependency = true
}

// over ends a job, and settles those that depend on it.
func (m *model) over(j *modelJob, state queue.State, result, reason string) {
	j.state, j.result, j.err, j.token = state, result, reason, uuid.Nil
	j.expires, j.finished = time.Time{}, m.now
	if state == queue.Finished {
		j.progress, j.partial = nil, ""
	}
	for _, d := range m.dependentsOf(j.id) {
		if d.state != queue.Blocked {
			continue
		}
		if against := m.against(d); against != nil {
			m.overBy(d, against)
		} else {
			m.wait(d)
		}
	}
}

func (m *model) dependentsOf(id uuid.UUID) (dependents []*modelJob) {
	for _, other := range m.order {
		j := m.jobs[other]
		if slices.ContainsFunc(j.edges, func(e modelEdge) bool { return e.id == id }) {
			dependents = append(dependents, j)
		}
	}
	return dependents
}

// find returns a job that is there; nil if there is none.
func (m *model) find(id uuid.UUID) *modelJob {
	if j := m.jobs[id]; j != nil && !j.deleted {
		return j
	}
	return nil
}

func (m *model) cancel(id uuid.UUID) error {
	j := m.find(id)
	switch {
	case j == nil:
		return queue.ErrNotExist
	case j.state == queue.Finished, j.state == queue.Failed:
		return queue.ErrNotRunning
	case j.state == queue.Canceled:
		return nil
	}
	if l := m.tokens[j.token]; l != nil {
		l.ended, l.state = "canceled", queue.Canceled
	}
	m.over(j, queue.Canceled, "", "")
	return nil
}

// retry begins a new generation of a job and of those that are over because of it.
func (m *model) retry(id uuid.UUID) error {
	root := m.find(id)
	switch {
	case root == nil:
		return queue.ErrNotExist
	case root.state != queue.Failed && root.state != queue.Canceled:
		return queue.ErrNotFailed
	case m.against(root) != nil:
		return queue.ErrDependencyFailed
	case m.withUniqueKey(root.job, id) != nil:
		return queue.ErrUniqueKeyTaken
	}
	m.renew(root)
	back := []*modelJob{root}
	for len(back) > 0 {
		first := back[0]
		back = back[1:]
		for _, d := range m.dependentsOf(first.id) {
			switch {
			case d.state.Waiting():
				m.wait(d)
			case !d.deleted && d.state.Over() && d.byDependency && m.against(d) == nil && m.withUniqueKey(d.job, d.id) == nil:
				m.renew(d)
				back = append(back, d)
			}
		}
	}
	return nil
}

func (m *model) renew(j *modelJob) {
	j.generation++
	j.retries, j.failures, j.timeouts = 0, 0, 0
	j.err, j.byDependency, j.worker, j.finished = "", false, "", time.Time{}
	for i := range j.edges {
		j.edges[i].gone = j.edges[i].gone || m.jobs[j.edges[i].id].deleted
	}
	m.wait(j)
}

// update returns the error that is expected; stale tells that the job has another version.
func (m *model) update(id uuid.UUID, u queue.Update, stale bool) error {
	j := m.find(id)
	switch {
	case j == nil:
		return queue.ErrNotExist
	case stale:
		return queue.ErrChanged
	case !j.state.Waiting():
		return queue.ErrNotPending
	case u.RunAt != nil && !j.expires.IsZero() && !u.RunAt.Before(j.expires):
		return errInvalid
	}
	if u.Priority != nil {
		j.priority = *u.Priority
	}
	if u.Labels != nil {
		j.labels = *u.Labels
	}
	if u.RunAt != nil {
		j.runAt = *u.RunAt
		m.wait(j)
	}
	return nil
}

func (m *model) delete(id uuid.UUID) error {
	j := m.find(id)
	switch {
	case j == nil:
		return queue.ErrNotExist
	case !j.state.Over():
		return queue.ErrNotOver
	}
	j.deleted = true
	for _, d := range m.dependentsOf(id) {
		for i := range d.edges {
			d.edges[i].gone = d.edges[i].gone || d.edges[i].id == id && d.state.Over()
		}
	}
	for token, l := range m.tokens {
		if l.job == id {
			delete(m.tokens, token)
		}
	}
	return nil
}

// prune deletes what was over before a time and what nobody who is not over depends on.
func (m *model) prune(before time.Time) {
	for _, id := range m.order {
		j := m.jobs[id]
		needed := slices.ContainsFunc(m.dependentsOf(id), func(d *modelJob) bool { return !d.state.Over() })
		if j.state.Over() && !j.deleted && j.finished.Before(before) && !needed {
			if err := m.delete(id); err != nil {
				panic(err)
			}
		}
	}
}
