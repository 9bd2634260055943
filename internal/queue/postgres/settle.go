package postgres

import (
	"maps"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// edge is a dependency of a job, as a row of edges.
type edge struct {
	dependent  int64
	ordinal    int32
	dependency int64
	id         uuid.UUID // of the dependency
	succeeded  bool      // whether it must have succeeded
	name       string
	gone       queue.State // that the dependency was in when it was deleted; 0 if it was not
}

func (e *edge) condition() queue.Condition {
	if e.succeeded {
		return queue.IfSucceeded
	}
	return queue.IfOver
}

// edgeDown is an edge as seen from the dependency.
type edgeDown struct {
	dependent int64
	succeeded bool
}

const (
	edgesBelow = `
SELECT dependency, dependent, succeeded FROM longshore.edges WHERE dependency = ANY($1) ORDER BY dependency, dependent`
	// Each level is looked up in the index, which is what OFFSET 0 is for: it keeps the planner from a
	// merge with all edges there are, for every level, when it knows nothing of the table.
	allEdgesBelow = `
WITH RECURSIVE below AS (
  SELECT dependency, dependent, succeeded FROM longshore.edges WHERE dependency = ANY($1)
  UNION
  SELECT e.dependency, e.dependent, e.succeeded FROM below b
  CROSS JOIN LATERAL (SELECT dependency, dependent, succeeded FROM longshore.edges WHERE dependency = b.dependent OFFSET 0) e
)
SELECT dependency, dependent, succeeded FROM below ORDER BY dependency, dependent`
)

// settle tells the dependents of jobs that are over by this change, level by level: those that are
// over by that have dependents too.
func (c *change) settle() error {
	for level := 0; len(c.over) > 0; level++ {
		over := c.over
		c.over = nil
		if err := c.readBelow(over, level); err != nil {
			return err
		}
		for _, place := range over {
			dependency := c.rows[place]
			for _, e := range c.known[place] {
				if err := c.settleOne(dependency, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *change) settleOne(dependency *tracked, e edgeDown) error {
	r := c.rows[e.dependent]
	if r == nil || r.deleted {
		return nil
	}
	down := edge{succeeded: e.succeeded}
	next, outcome := r.Settle(dependency.id, down.condition(), dependency.State, c.now)
	switch {
	case next == r.Record:
		return nil
	case next.State.Over():
		return c.finish(r, next, outcome)
	default:
		c.set(r, next)
		return nil
	}
}

// readBelow reads the edges that lead down from jobs, and the jobs that they lead to. After some
// levels it reads all that is below: a long chain must not cost a question for each of its jobs.
func (c *change) readBelow(places []int64, level int) error {
	var unread []int64
	for _, place := range places {
		if _, read := c.known[place]; !read {
			unread = append(unread, place)
			c.known[place] = nil
		}
	}
	if len(unread) == 0 {
		return nil
	}
	all := level >= c.store.limits.levels
	statement := edgesBelow
	if all {
		statement = allEdgesBelow
	}
	rows, err := c.tx.Query(c.ctx, statement, unread)
	if err != nil {
		return err
	}
	defer rows.Close()
	var dependents []int64
	fresh := make(map[int64][]edgeDown)
	for rows.Next() {
		var (
			dependency int64
			e          edgeDown
		)
		if err := rows.Scan(&dependency, &e.dependent, &e.succeeded); err != nil {
			return err
		}
		fresh[dependency] = append(fresh[dependency], e)
		dependents = append(dependents, e.dependent)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	maps.Copy(c.known, fresh)
	dependents = distinct(dependents)
	if all {
		c.readAll = true
		for _, place := range dependents {
			if _, read := c.known[place]; !read {
				c.known[place] = nil // it has none
			}
		}
	}
	return c.readSound(dependents)
}

// distinct returns places without repetitions, in the same memory.
func distinct(places []int64) []int64 {
	seen := make(map[int64]bool, len(places))
	once := places[:0]
	for _, place := range places {
		if !seen[place] {
			seen[place] = true
			once = append(once, place)
		}
	}
	return once
}

const edgesAbove = `
SELECT dependent, ordinal, dependency, dependency_id, succeeded, name, gone_state FROM longshore.edges
WHERE dependent = ANY($1) ORDER BY dependent, ordinal`

// readAbove returns the dependencies of jobs, in their order, and reads the jobs that they are.
func (c *change) readAbove(places []int64) (map[int64][]edge, error) {
	rows, err := c.tx.Query(c.ctx, edgesAbove, places)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	above := make(map[int64][]edge)
	var dependencies []int64
	for rows.Next() {
		var e edge
		var gone *int16
		if err := rows.Scan(&e.dependent, &e.ordinal, &e.dependency, &e.id, &e.succeeded, &e.name, &gone); err != nil {
			return nil, err
		}
		if gone == nil {
			dependencies = append(dependencies, e.dependency)
		} else {
			e.gone = queue.State(*gone) //nolint:gosec // the table's own
		}
		above[e.dependent] = append(above[e.dependent], e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return above, c.readSound(distinct(dependencies))
}

// stateAbove is what the job that an edge leads up to is, as far as this change has come.
func (c *change) stateAbove(e *edge) queue.State {
	if e.gone != 0 {
		return e.gone
	}
	if r := c.rows[e.dependency]; r != nil {
		return r.State
	}
	return queue.Canceled // it is missing, which the audit tells
}

// edgesOf makes edges of rules' edges.
func queueEdges(above []edge) []queue.Edge {
	if len(above) == 0 {
		return nil
	}
	edges := make([]queue.Edge, len(above))
	for i := range above {
		edges[i] = queue.Edge{ID: above[i].id, Name: above[i].name, If: above[i].condition()}
	}
	return edges
}
