package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// enqueueGraph adds jobs of which some depend on others, wait for a time, or are unique; and
// answers calls whose idempotency key is known.
func (s *Store) enqueueGraph(ctx context.Context, call enqueueCall, graph queue.Graph) ([]queue.Enqueued, error) {
	jobs, once := call.jobs, call.once
	var answer []queue.Enqueued
	err := s.change(ctx, func(c *change) error {
		kept, err := c.readCall(once)
		if err != nil {
			return err
		}
		if kept != nil {
			answer, err = c.enqueuedOf(kept)
			return err
		}
		if call.losses != s.lanes.lost() {
			return errLanesForgotten
		}
		e := enqueuing{
			change: c, jobs: jobs, lanes: call.lanes, graph: graph, ids: make([]uuid.UUID, len(jobs)),
			places: make([]int64, len(jobs)), answer: make([]queue.Enqueued, len(jobs)),
		}
		if err := e.run(); err != nil {
			return err
		}
		if once.Given() {
			if err := c.keepEnqueued(once, e.answer); err != nil {
				return err
			}
		}
		answer = e.answer
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.keeper.kick() // some may fall due
	return answer, nil
}

// enqueuing is one call to Enqueue as part of a change.
type enqueuing struct {
	*change
	jobs   []queue.NewJob
	lanes  []int32
	graph  queue.Graph
	ids    []uuid.UUID // of the jobs; of one that is not added, the id of the one that exists
	places []int64     // likewise
	answer []queue.Enqueued
	unique map[uniqueKey]int // without places: which of these jobs has it
}

func (e *enqueuing) run() error {
	rows, err := e.tx.Query(e.ctx, `SELECT nextval('longshore.places') FROM generate_series(1, $1::int)`, len(e.jobs))
	if err != nil {
		return err
	}
	i := 0
	for ; rows.Next(); i++ {
		if err := rows.Scan(&e.places[i]); err != nil {
			return err
		}
		e.ids[i] = queue.NewID(e.now, uint64(e.places[i])) //nolint:gosec // places are positive
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	if err := e.readDependencies(); err != nil {
		return err
	}
	for _, i := range e.graph.Order {
		if err := e.add(i); err != nil {
			return err
		}
	}
	return nil
}

// readDependencies reads all that the jobs depend on and that exists already.
func (e *enqueuing) readDependencies() error {
	var ids []uuid.UUID
	for i := range e.jobs {
		ids = append(ids, e.jobs[i].Dependencies...)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return e.readMany(slices.Compact(ids))
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
	j := n.Job(e.ids[i], e.graph.Edges(n, i, e.ids), e.now)
	states, err := e.dependOn(&j, e.places[i])
	if missing := (*queue.DependencyError)(nil); errors.As(err, &missing) {
		missing.Job = i
		missing.Index = slices.Index(n.Dependencies, missing.ID)
	}
	if err != nil {
		return err
	}
	r, outcome, err := e.admit(&j, e.places[i], e.lanes[i], states)
	if err != nil {
		return err
	}
	if r.State.Over() && j.UniqueKey != "" {
		delete(e.unique, uniqueKey{lane: r.lane, key: j.UniqueKey}) // it is free again
	}
	if outcome == nil {
		outcome = new(queue.Outcome)
	}
	e.answer[i] = queue.Enqueued{Status: queue.StatusOf(&j, &r.Record, *outcome)}
	return nil
}

// findUnique tells whether a job's unique key is taken; if so, the answer is the job that has it,
// and it stands for this one from here on.
func (e *enqueuing) findUnique(i int) (exists bool, err error) {
	key := uniqueKey{lane: e.lanes[i], key: e.jobs[i].UniqueKey}
	if e.unique == nil {
		e.unique = make(map[uniqueKey]int)
	}
	if other, found := e.unique[key]; found {
		e.ids[i], e.places[i] = e.ids[other], e.places[other]
		e.answer[i] = queue.Enqueued{Status: e.answer[other].Status, Existing: true}
		return true, nil
	}
	e.unique[key] = i
	place, found, err := e.uniqueHolder(key.lane, key.key)
	if err != nil || !found {
		return false, err
	}
	if err := e.readPlaces([]int64{place}); err != nil {
		return false, err
	}
	r := e.rows[place]
	if r == nil {
		return false, fmt.Errorf("the job at place %d, which has the unique key: %w", place, queue.ErrDamaged)
	}
	j, err := e.job(r)
	if err != nil {
		return false, err
	}
	above, err := e.readAbove([]int64{place})
	if err != nil {
		return false, err
	}
	j.Dependencies = queueEdges(above[place])
	e.ids[i], e.places[i] = r.id, place
	e.answer[i] = queue.Enqueued{Status: queue.StatusOf(&j, &r.Record, queue.Outcome{}), Existing: true}
	return true, nil
}

// dependOn makes a new job a dependent of its dependencies, and returns their states. A
// *queue.DependencyError has neither Job nor Index yet.
func (c *change) dependOn(j *queue.Job, place int64) ([]queue.State, error) {
	if len(j.Dependencies) == 0 {
		return nil, nil
	}
	states := make([]queue.State, len(j.Dependencies))
	for i := range j.Dependencies {
		d := &j.Dependencies[i]
		r, err := c.get(d.ID)
		if err != nil {
			return nil, &queue.DependencyError{ID: d.ID}
		}
		states[i] = r.State
		if !r.State.Over() {
			c.tie(r, tieDependents)
		}
		c.writes.edges = append(c.writes.edges, edge{
			dependent: place, ordinal: int32(i), dependency: r.place, id: d.ID, //nolint:gosec // bounded by queue.MaxEdges
			succeeded: d.If == queue.IfSucceeded, name: d.Name,
		})
	}
	return states, nil
}

// admit adds a new job as the rules begin it.
func (c *change) admit(j *queue.Job, place int64, lane int32, states []queue.State) (*tracked, *queue.Outcome, error) {
	d, err := defineJob(j)
	if err != nil {
		return nil, nil, err
	}
	r := &tracked{row: row{place: place, id: j.ID, lane: lane}, touched: true}
	var outcome *queue.Outcome
	r.Record, outcome = j.Admit(states, c.now)
	if outcome != nil {
		r.end.outcome = *outcome
	}
	c.rows[place], c.places[j.ID] = r, place
	c.definitions[place] = &jobColumns{definition: d, edges: len(j.Dependencies)}
	c.order = append(c.order, place)
	if j.UniqueKey != "" && !r.State.Over() {
		r.ties |= tieUniqueKey
		c.writes.taken = append(c.writes.taken, uniqueKey{lane: lane, key: j.UniqueKey, place: place})
	}
	c.writes.jobs = append(c.writes.jobs, newJob{
		place: place, id: j.ID, lane: lane, rank: rankOf(j.Priority), edges: len(j.Dependencies), args: j.Args, definition: d,
	})
	return r, outcome, nil
}
