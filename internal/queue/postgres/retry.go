package postgres

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// RetryJob begins a new generation of a job that failed or was canceled, as queue.Job.Renew says,
// and of the dependents that were over because of it, and so on, before it returns. ErrNotExist,
// ErrNotFailed; ErrUniqueKeyTaken; ErrDependencyFailed if a dependency still decides against it.
func (s *Store) RetryJob(ctx context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.change(ctx, func(c *change) error {
		r, err := c.read(id)
		if err != nil {
			return err
		}
		if r.State != queue.Failed && r.State != queue.Canceled {
			return queue.ErrNotFailed
		}
		t := retry{change: c, renewed: make(map[int64]int), against: make(map[int64]map[int64]bool), above: make(map[int64][]edge)}
		return t.run(r)
	})
}

// retry brings a job back, and those that are over because of it.
type retry struct {
	*change
	above    map[int64][]edge         // the dependencies of jobs that were looked at
	against  map[int64]map[int64]bool // by job, the dependencies that decide against it
	renewed  map[int64]int            // the jobs that came back, and in which order
	back     []int64                  // those whose dependents have not been looked at
	searched int                      // how many rows there were when all of them were looked through
}

func (t *retry) run(root *tracked) error {
	if err := t.readAboveAll([]int64{root.place}); err != nil {
		return err
	}
	if len(t.against[root.place]) > 0 {
		return queue.ErrDependencyFailed
	}
	taken, err := t.renew(root)
	if err != nil {
		return err
	}
	if taken {
		return queue.ErrUniqueKeyTaken
	}
	for level := 0; len(t.back) > 0; level++ {
		back := t.back
		t.back = nil
		if err := t.readBelow(back, level); err != nil {
			return err
		}
		if err := t.readAboveAll(t.comeBack(back)); err != nil {
			return err
		}
		for _, place := range back {
			for _, e := range t.known[place] {
				if err := t.look(place, e.dependent); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// comeBack returns the dependents that may come back, of which it is not known yet what they depend
// on.
func (t *retry) comeBack(back []int64) (places []int64) {
	if t.readAll && len(t.rows) > t.searched {
		// Once for all levels below, which were read at once, and not for each of them again.
		t.searched = len(t.rows)
		for place, r := range t.rows {
			if _, looked := t.against[place]; !looked && r.State.Over() && r.ByDependency {
				places = append(places, place)
			}
		}
		return places
	}
	for _, place := range back {
		for _, e := range t.known[place] {
			r := t.rows[e.dependent]
			if _, looked := t.against[e.dependent]; !looked && r != nil && r.State.Over() && r.ByDependency {
				places = append(places, e.dependent)
			}
		}
	}
	return distinct(places)
}

// readAboveAll finds out what decides against jobs.
func (t *retry) readAboveAll(places []int64) error {
	if len(places) == 0 {
		return nil
	}
	above, err := t.readAbove(places)
	if err != nil {
		return err
	}
	for _, place := range places {
		t.above[place] = above[place]
		against := make(map[int64]bool)
		for i := range above[place] {
			e := &above[place][i]
			if e.condition().DecidesAgainst(t.stateAbove(e)) {
				against[e.dependency] = true
			}
		}
		t.against[place] = against
	}
	return nil
}

// look has a dependent take notice that the job at a place has come back.
func (t *retry) look(place, dependent int64) error {
	r := t.rows[dependent]
	switch {
	case r == nil || r.deleted || r.hidden:
		return nil
	case !r.State.Over():
		if order, came := t.renewed[dependent]; came && order > t.renewed[place] {
			return nil // it knew when it came back itself
		}
		t.set(r, r.Reopen())
		return nil
	case !r.ByDependency:
		return nil // it does not come back
	}
	delete(t.against[dependent], place)
	if len(t.against[dependent]) > 0 {
		return nil
	}
	_, err := t.renew(r)
	return err
}

// renew brings a job back that nothing decides against; not if its unique key is taken.
func (t *retry) renew(r *tracked) (taken bool, err error) {
	j, err := t.job(r)
	if err != nil {
		return false, err
	}
	above := t.above[r.place]
	j.Dependencies = queueEdges(above)
	states := make([]queue.State, len(above))
	for i := range above {
		states[i] = t.stateAbove(&above[i])
	}
	next, err := j.Renew(r.Record, states, t.now)
	if err != nil || next.State.Over() {
		return false, err
	}
	if j.UniqueKey != "" {
		if taken, err := t.takeUnique(r, j.UniqueKey); err != nil || taken {
			return taken, err
		}
	}
	if err := t.keepLastAttempt(r); err != nil {
		return false, err
	}
	r.end = endColumns{}
	r.ties |= tieDependents // those that were added when it was over have not been noted
	t.set(r, next)
	t.renewed[r.place] = len(t.renewed)
	t.back = append(t.back, r.place)
	return false, nil
}

// takeUnique has a job have its unique key again, unless another one has it.
func (c *change) takeUnique(r *tracked, key string) (taken bool, err error) {
	if _, found, err := c.uniqueHolder(r.lane, key); err != nil || found {
		return found, err
	}
	c.writes.taken = append(c.writes.taken, uniqueKey{lane: r.lane, key: key, place: r.place})
	r.ties |= tieUniqueKey
	return false, nil
}

// uniqueHolder returns the job that is not over and has a unique key.
func (c *change) uniqueHolder(lane int32, key string) (place int64, found bool, err error) {
	for _, taken := range c.writes.taken {
		if taken.lane == lane && taken.key == key {
			return taken.place, true, nil
		}
	}
	rows, err := c.tx.Query(c.ctx, `SELECT place FROM longshore.unique_keys WHERE lane = $1 AND key = $2::text COLLATE "C"`, lane, key)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for rows.Next() {
		found = true
		if err := rows.Scan(&place); err != nil {
			return 0, false, err
		}
	}
	return place, found, rows.Err()
}

// keepLastAttempt writes down the lease that a job was over with.
func (c *change) keepLastAttempt(r *tracked) error {
	if r.end.how == 0 {
		return nil
	}
	var (
		reason  *string
		details []byte
	)
	err := c.tx.QueryRow(c.ctx, `SELECT reason, details FROM longshore.ended WHERE place = $1`, r.place).Scan(&reason, &details)
	if err != nil {
		return err
	}
	a := attempt{place: r.place, secret: r.end.secret, digest: r.end.digest, Attempt: queue.Attempt{
		Number: r.Attempt, Worker: r.Worker, Principal: r.Principal, Started: r.Started, Ended: r.Finished,
		End: r.end.how, State: r.State,
	}}
	a.setError(outcomeOf(r.State, nil, reason, details).Error)
	c.writes.attempts = append(c.writes.attempts, a)
	return nil
}
