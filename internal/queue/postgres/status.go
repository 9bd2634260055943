package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// readListed reads jobs as a list shows them. Parts that are to be omitted are not read.
const readListed = `
SELECT ` + recordColumnsOfR + `, j.edges, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.terms::text,
  CASE WHEN $2::boolean THEN NULL ELSE j.args END,
  CASE WHEN $3::boolean THEN NULL ELSE d.result END, CASE WHEN $3::boolean THEN NULL ELSE d.reason END,
  CASE WHEN $3::boolean THEN NULL ELSE d.details END,
  p.progress, p.percent, p.message, p.partial
FROM longshore.jobs j
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
LEFT JOIN longshore.ended d ON d.place = j.place
LEFT JOIN longshore.reported p ON NOT $4::boolean AND p.place = j.place
WHERE j.id = ANY($1) AND NOT r.hidden`

// listed is a job as it was read.
type listed struct {
	queue.ListedJob
	row
	edges      int
	definition definition
	outcome    queue.Outcome
}

// readJobs reads jobs, those that exist, each as it was at one moment.
func (s *Store) readJobs(ctx context.Context, ids []uuid.UUID, omit queue.Parts) (map[uuid.UUID]*listed, error) {
	found := make(map[uuid.UUID]*listed, len(ids))
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readListed, rawIDs(ids), omit.Args, omit.Outcome, omit.Reported)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			l := new(listed)
			if err := l.scan(rows); err != nil {
				return err
			}
			found[l.id] = l
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		if err := s.complete(ctx, l); err != nil {
			return nil, err
		}
	}
	return found, s.addEdges(ctx, found, omit)
}

func (l *listed) scan(rows pgx.Rows) error {
	var (
		d                     = &l.definition
		args, result, details []byte
		reason                *string
		progress              *bool
		percent               *float64
		message, partial      []byte
	)
	err := l.row.scan(rows, &l.edges, &d.timeout, &d.heartbeatTimeout, &d.traceParent, &d.labels, &d.terms, &args, &result, &reason, &details,
		&progress, &percent, &message, &partial)
	if err != nil {
		return err
	}
	l.Job.Args, l.outcome = args, outcomeOf(l.State, result, reason, details)
	l.Status.Progress, l.Status.PartialResult = reportedOf(progress, percent, message, partial)
	return nil
}

// complete makes of what was read what is shown. It may need a connection to find the lane: all of them may be
// in the hands of those who read.
func (s *Store) complete(ctx context.Context, l *listed) error {
	lane, err := s.laneOf(ctx, l.lane)
	if err != nil {
		return err
	}
	args, progress, partial := l.Job.Args, l.Status.Progress, l.Status.PartialResult
	if l.Job, err = jobOf(l.id, lane, &l.definition); err != nil {
		return err
	}
	l.Job.Args = args
	l.Status = queue.StatusOf(&l.Job, &l.Record, l.outcome)
	l.Status.Progress, l.Status.PartialResult = progress, partial
	return nil
}

const readEdgesOf = `
SELECT dependent, dependency_id, succeeded, name FROM longshore.edges WHERE dependent = ANY($1) ORDER BY dependent, ordinal`

const readDependents = `
SELECT e.dependency, j.id FROM longshore.edges e JOIN longshore.jobs j ON j.place = e.dependent
WHERE e.dependency = ANY($1) ORDER BY e.dependency, e.dependent`

// addEdges adds what jobs depend on, and what depends on them.
func (s *Store) addEdges(ctx context.Context, found map[uuid.UUID]*listed, omit queue.Parts) error {
	byPlace := make(map[int64]*listed, len(found))
	var dependents, all []int64
	for _, l := range found {
		byPlace[l.place] = l
		all = append(all, l.place)
		if l.edges > 0 {
			dependents = append(dependents, l.place)
		}
	}
	if len(dependents) > 0 {
		if err := s.addDependencies(ctx, dependents, byPlace); err != nil {
			return err
		}
	}
	if omit.Dependents || len(all) == 0 {
		return nil
	}
	return s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readDependents, all)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var place int64
			var id uuid.UUID
			if err := rows.Scan(&place, &id); err != nil {
				return err
			}
			status := &byPlace[place].Status
			status.Dependents = append(status.Dependents, id)
		}
		return rows.Err()
	})
}

func (s *Store) addDependencies(ctx context.Context, places []int64, byPlace map[int64]*listed) error {
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readEdgesOf, places)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e edge
			if err := rows.Scan(&e.dependent, &e.id, &e.succeeded, &e.name); err != nil {
				return err
			}
			j := &byPlace[e.dependent].Job
			j.Dependencies = append(j.Dependencies, queueEdges([]edge{e})...)
		}
		return rows.Err()
	})
	for _, place := range places {
		l := byPlace[place]
		l.Status.Dependencies = l.Job.DependencyIDs()
	}
	return err
}

// readOne is readJobs for one job. ErrNotExist.
func (s *Store) readOne(ctx context.Context, id uuid.UUID, omit queue.Parts) (*listed, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	found, err := s.readJobs(ctx, []uuid.UUID{id}, omit)
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", id, err)
	}
	if found[id] == nil {
		return nil, queue.ErrNotExist
	}
	return found[id], nil
}

// Job implements queue.JobQueue.
func (s *Store) Job(ctx context.Context, id uuid.UUID) (queue.Job, error) {
	l, err := s.readOne(ctx, id, queue.Parts{Outcome: true, Reported: true, Dependents: true})
	if err != nil {
		return queue.Job{}, err
	}
	return l.Job, nil
}

// JobStatus implements queue.JobQueue.
func (s *Store) JobStatus(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	l, err := s.readOne(ctx, id, queue.Parts{Args: true})
	if err != nil {
		return queue.Status{}, err
	}
	return l.Status, nil
}

// Await blocks until the job is over or ctx ends, and returns the job's status as it is then:
// the end of ctx is no error. ErrNotExist.
func (s *Store) Await(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return s.awaitStatus(ctx, id, func(status *queue.Status) bool { return status.State.Over() })
}

// AwaitChange blocks until the job has another version or ctx ends, and returns the job's status
// as it is then: the end of ctx is no error. ErrNotExist.
func (s *Store) AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error) {
	return s.awaitStatus(ctx, id, func(status *queue.Status) bool { return status.Version != version })
}

func (s *Store) awaitStatus(ctx context.Context, id uuid.UUID, reached func(*queue.Status) bool) (status queue.Status, err error) {
	err = s.await(ctx, id, func() (bool, error) {
		if status, err = s.JobStatus(ctx, id); err != nil {
			return false, err
		}
		return reached(&status), nil
	})
	return status, err
}

// await blocks until reached tells that a job is as it should be, or ctx ends, or the store is
// closed. It asks at first, and whenever the job has changed.
func (s *Store) await(ctx context.Context, id uuid.UUID, reached func() (bool, error)) error {
	for {
		changed, unsubscribe := s.changed.Subscribe(id)
		is, err := reached()
		if err != nil || is || ctx.Err() != nil {
			unsubscribe()
			return err
		}
		more := true
		select {
		case <-changed:
		case <-ctx.Done():
			more = false
		case <-s.life.closing:
			more = false
		}
		unsubscribe()
		if !more {
			_, err := reached() // as it is now
			return err
		}
	}
}

const readStates = `
SELECT j.id, r.state FROM longshore.jobs j
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
WHERE j.id = ANY($1) AND NOT r.hidden`

// AwaitAll blocks until all of the jobs are over or ctx ends, and returns the states that they
// are in then: the end of ctx is no error. *queue.NotExistError.
func (s *Store) AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error) {
	states, err := s.states(ctx, ids)
	for err == nil {
		// One after the other: all of them are waited for anyway.
		i := 0
		for i < len(states) && states[i].Over() {
			i++
		}
		if i == len(states) || ctx.Err() != nil {
			return states, nil
		}
		err = s.await(ctx, ids[i], func() (bool, error) {
			some, err := s.states(ctx, ids[i:i+1])
			var missing *queue.NotExistError
			if errors.As(err, &missing) {
				missing.Index = i
			}
			return err == nil && some[0].Over(), err
		})
		if err == nil {
			states, err = s.states(ctx, ids)
		}
	}
	return nil, err
}

// states returns the states that jobs are in. *queue.NotExistError.
func (s *Store) states(ctx context.Context, ids []uuid.UUID) ([]queue.State, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	found := make(map[uuid.UUID]queue.State, len(ids))
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readStates, rawIDs(ids))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			var state int16
			if err := rows.Scan(&id, &state); err != nil {
				return err
			}
			found[id] = queue.State(state) //nolint:gosec // the table's own
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	states := make([]queue.State, len(ids))
	for i, id := range ids {
		if states[i] = found[id]; states[i] == 0 {
			return nil, &queue.NotExistError{Index: i, ID: id}
		}
	}
	return states, nil
}

// AwaitLease blocks until the lease is over or ctx ends. One that never was is over.
func (s *Store) AwaitLease(ctx context.Context, token uuid.UUID) error {
	place, secret := cutToken(token)
	var id uuid.UUID
	look := func() (over bool, err error) {
		if err := s.enter(); err != nil {
			return false, err
		}
		defer s.leave()
		err = s.database(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, `SELECT id FROM longshore.leases WHERE place = $1 AND secret = $2`, place, secret).Scan(&id)
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return true, nil
		}
		return false, err
	}
	if over, err := look(); err != nil || over {
		return err
	}
	return s.await(ctx, id, look)
}

// EventPosition returns the position after all events so far.
func (s *Store) EventPosition() queue.EventPosition { return s.events.Position() }

// ReadEvents blocks until there are events after a position that the filter means, and returns some
// of them, at most so many. When ctx ends it returns none, which is no error.
//
// Each server numbers the events that it tells by itself: a position of another server's is one of
// another epoch, and has missed what happened since.
func (s *Store) ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error) {
	if err := filter.Validate(); err != nil {
		return queue.Events{}, err
	}
	if err := s.Ready(ctx); err != nil {
		return queue.Events{}, err
	}
	found := s.events.Read(ctx, s.life.closing, &filter, after, most)
	if len(found.Events) == 0 {
		return found, s.Ready(ctx)
	}
	return found, nil
}
