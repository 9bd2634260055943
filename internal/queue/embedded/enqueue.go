package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Enqueue implements queue.JobQueue.
func (s *Store) Enqueue(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
	return s.enqueue(jobs, queue.Once{})
}

func (s *Store) enqueue(jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	graph, err := queue.NewGraph(jobs)
	if err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()

	var answer []queue.Enqueued
	group, err := s.commit(func(c *change) (err error) {
		entry, repeated, err := s.readOnce(once)
		if err != nil {
			return err
		}
		if repeated {
			answer, err = s.enqueuedOf(&entry)
			return err
		}
		e := enqueuing{
			change: c, jobs: jobs, graph: graph, ids: make([]uuid.UUID, len(jobs)),
			answer: make([]queue.Enqueued, len(jobs)), places: make([]uint64, len(jobs)),
		}
		if once.Given() {
			e.once = make([]onceJob, len(jobs))
		}
		if err := e.run(); err != nil {
			return err
		}
		if once.Given() {
			c.setOnce(once, &onceEntry{enqueued: e.once})
		}
		answer = e.answer
		return nil
	})
	if err != nil {
		return nil, s.answer(err)
	}
	if group == nil {
		return answer, s.answer(nil)
	}
	return answer, s.durable(group)
}

// enqueuing is one call to Enqueue as part of a change.
type enqueuing struct {
	*change
	jobs   []queue.NewJob
	graph  queue.Graph
	ids    []uuid.UUID // of the jobs; of one that is not added, the id of the one that exists
	places []uint64
	answer []queue.Enqueued
	unique map[string]int // by u key, which of these jobs has it
	once   []onceJob      // nil if the call has no idempotency key
}

func (e *enqueuing) run() error {
	for i := range e.places {
		e.places[i] = e.nextPlace()
		e.ids[i] = queue.NewID(e.now, e.places[i])
	}
	if len(e.jobs) > 1 {
		e.meetAgain()
	}
	for _, i := range e.graph.Order {
		if err := e.add(i); err != nil {
			return err
		}
	}
	return nil
}

// add adds one job, after those that it needs.
func (e *enqueuing) add(i int) error {
	n := &e.jobs[i]
	if n.UniqueKey != "" {
		exists, err := e.findUnique(i)
		if err != nil || exists {
			return err
		}
	}
	if err := n.ValidateAt(e.now); err != nil {
		return queue.OfJob(err, i)
	}
	j := job{Job: n.Job(e.ids[i], e.graph.Edges(n, i, e.ids), e.now), place: e.places[i]}
	states, err := e.dependOn(&j)
	if missing := (*queue.DependencyError)(nil); errors.As(err, &missing) {
		missing.Job = i
		missing.Index = slices.Index(n.Dependencies, missing.ID)
	}
	if err != nil {
		return err
	}
	r, outcome := e.admit(&j, states, e.graph.Needed[i])
	if outcome == nil {
		outcome = new(queue.Outcome)
	}
	if r.State.Over() && r.hasUniqueKey {
		delete(e.unique, string(uniqueKey(nil, j.Lane(), j.UniqueKey))) // it is free again
	}
	e.answer[i] = queue.Enqueued{Status: queue.StatusOf(&j.Job, &r.Record, *outcome)}
	e.keepAnswer(i, &r, *outcome)
	return nil
}

// keepAnswer keeps what one job is answered with for a call that is repeated.
func (e *enqueuing) keepAnswer(i int, r *record, outcome queue.Outcome) {
	if e.once == nil {
		return
	}
	e.once[i] = onceJob{id: e.ids[i], existing: e.answer[i].Existing, record: r.encode(nil)}
	if outcome.Error != nil || outcome.Result != nil {
		e.once[i].outcome = encodeOutcome(nil, outcome)
	}
}

// findUnique tells whether the job's unique key is taken; if so, the answer is the job that
// has it, and it stands for this one from here on.
func (e *enqueuing) findUnique(i int) (exists bool, err error) {
	key := string(uniqueKey(nil, e.jobs[i].Lane(), e.jobs[i].UniqueKey))
	if other, found := e.unique[key]; found {
		e.ids[i] = e.ids[other]
		e.answer[i] = queue.Enqueued{Status: e.answer[other].Status, Existing: true}
		if e.once != nil {
			e.once[i] = e.once[other]
			e.once[i].existing = true
		}
		return true, nil
	}
	value, found, err := e.store.get([]byte(key))
	if err != nil {
		return false, err
	}
	if !found {
		e.rememberUnique(key, i)
		return false, nil
	}
	id, err := uuid.FromBytes(value)
	if err != nil {
		return false, fmt.Errorf("the job of a unique key: %w", queue.ErrDamaged)
	}
	r, err := e.readRecord(id)
	var j job
	if err == nil {
		j, err = e.store.readJob(id, false)
	}
	if err != nil {
		return false, fmt.Errorf("read job %s, which has the unique key: %w", id, mustExist(err))
	}
	e.ids[i] = id
	// Without its dependents, of which there may be many: the mutex is held.
	e.answer[i] = queue.Enqueued{Status: queue.StatusOf(&j.Job, &r.Record, queue.Outcome{}), Existing: true}
	e.keepAnswer(i, &r, queue.Outcome{})
	e.rememberUnique(key, i)
	return true, nil
}

func (e *enqueuing) rememberUnique(key string, i int) {
	if e.unique == nil {
		e.unique = make(map[string]int)
	}
	e.unique[key] = i
}

// admit writes a new job as the rules begin it. hasDependents tells that jobs of the same call
// need it.
func (c *change) admit(j *job, states []queue.State, hasDependents bool) (record, *queue.Outcome) {
	j.number = c.laneNumber(j.Lane())
	r := record{
		lane: j.number, hasDependents: hasDependents, hasUniqueKey: j.UniqueKey != "",
		timeout: j.Timeout, heartbeatTimeout: j.HeartbeatTimeout, size: int64(len(j.Args)),
	}
	var outcome *queue.Outcome
	r.Record, outcome = j.Admit(states, c.now)
	c.setJob(j)
	if r.State.Over() {
		c.set(idKey(c.key[:0], prefixDead, j.ID), nil)
		c.setRecord(j.ID, &r)
		if outcome != nil {
			c.setOutcome(j.ID, *outcome)
		}
		return r, outcome
	}
	if !r.ExpiresAt.IsZero() {
		c.setDue(r.ExpiresAt, dueToExpire, j.ID[:])
	}
	if r.hasUniqueKey {
		c.set(uniqueKey(c.key[:0], j.Lane(), j.UniqueKey), append(c.value[:0], j.ID[:]...))
	}
	c.standWhereItShould(waitingJob{
		id: j.ID, lane: j.Lane(), place: j.place, record: r,
		fresh: r.State == queue.Pending && r.asEnqueued(),
	})
	return r, nil
}

// dependOn makes the job a dependent of its dependencies, and returns their states. A
// *queue.DependencyError has neither Job nor Index yet.
func (c *change) dependOn(j *job) ([]queue.State, error) {
	if len(j.Dependencies) == 0 {
		return nil, nil
	}
	c.meetAgain()
	states := make([]queue.State, len(j.Dependencies))
	for i := range j.Dependencies {
		edge := &j.Dependencies[i]
		r, err := c.readRecord(edge.ID)
		if errors.Is(err, queue.ErrNotExist) {
			return nil, &queue.DependencyError{ID: edge.ID}
		}
		if err != nil {
			return nil, fmt.Errorf("read dependency %s: %w", edge.ID, err)
		}
		if !r.hasDependents && !r.State.Over() {
			if err := c.setHasDependents(edge.ID, r); err != nil {
				return nil, fmt.Errorf("read dependency %s: %w", edge.ID, err)
			}
		}
		known := dependency{state: r.State, generation: r.Generation}
		if _, underWay := c.store.reviving[edge.ID]; underWay {
			known = dependency{state: queue.Blocked, generation: r.Generation + 1} // as dependencyOf says
		}
		c.setDependent(edge, j, known)
		states[i] = known.state
	}
	return states, nil
}

// setHasDependents remembers that a job has its first dependent. A pending one may be as it was
// enqueued until then, and its ready entry say so.
func (c *change) setHasDependents(id uuid.UUID, r record) error {
	if _, own := c.overlay[id]; !own && r.asEnqueued() {
		j, err := c.store.readJob(id, false)
		if err != nil {
			return err
		}
		c.setReady(&waitingJob{id: id, lane: j.Lane(), place: j.place, record: r}, time.Time{})
	}
	r.hasDependents = true
	c.setRecord(id, &r)
	return nil
}
