package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// timekeeper does what falls due: jobs that wait for a time or expire, runs that take too long,
// calls that are forgotten. So does that of every server; they do not get into each other's way.
type timekeeper struct {
	store *Store
	wake  chan struct{} // holds a token if something may fall due earlier than was known
	poll  time.Duration

	orphans orphans

	mu     sync.Mutex
	offset time.Duration    // guarded by mu; how far the database's clock is ahead of ours
	clock  func() time.Time // for tests; nil for ours
}

func (k *timekeeper) init(s *Store) {
	k.store = s
	k.wake = make(chan struct{}, 1)
	k.poll = DefaultPollInterval
}

// kick has the timekeeper look again.
func (k *timekeeper) kick() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// now is what the database's clock shows, as far as we know without asking: for what is shown to
// people.
func (k *timekeeper) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clock != nil {
		return k.clock()
	}
	return time.Now().Add(k.offset).UTC().Truncate(time.Microsecond)
}

// runUntil does what falls due, when it does, until ctx ends.
func (k *timekeeper) runUntil(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
		pause, err := k.store.doAllDue(ctx)
		if err != nil && !errors.Is(err, queue.ErrUnavailable) && ctx.Err() == nil {
			k.store.log.Error(err, "what is due could not be done; it is tried again soon")
		}
		timer.Reset(pause)
	}
}

// doAllDue does what is due, and returns how long to wait before looking again.
func (s *Store) doAllDue(ctx context.Context) (time.Duration, error) {
	const leastPause = time.Millisecond
	if err := s.takeBackOrphans(ctx); err != nil {
		return s.keeper.poll, err
	}
	for {
		until, err := s.untilDue(ctx)
		if err != nil || until > 0 {
			return max(min(until, s.keeper.poll), leastPause), err
		}
		if err := s.doDue(ctx); err != nil {
			return s.keeper.poll, err
		}
	}
}

// isNotLost is what holds of a row r of a job that exists. One whose row in jobs is lost, which the audit tells of,
// stays where it is: nothing can be done with it. OFFSET 0 has that be looked up for each row that is found.
const isNotLost = `EXISTS (SELECT FROM longshore.jobs j WHERE j.place = r.place OFFSET 0)`

const nextDue = `
SELECT least(
  (SELECT run_at FROM longshore.waiting r WHERE state = 1 AND ` + isNotLost + ` ORDER BY run_at LIMIT 1),
  (SELECT expires_at FROM longshore.waiting r WHERE expires_at IS NOT NULL AND ` + isNotLost + ` ORDER BY expires_at LIMIT 1),
  (SELECT expires_at FROM longshore.ready r WHERE expires_at IS NOT NULL AND ` + isNotLost + ` ORDER BY expires_at LIMIT 1),
  (SELECT deadline FROM longshore.leases r WHERE deadline IS NOT NULL AND ` + isNotLost + ` ORDER BY deadline LIMIT 1),
  (SELECT min(until) FROM longshore.calls)
), longshore.now()`

// untilDue returns how long it is until something falls due.
func (s *Store) untilDue(ctx context.Context) (time.Duration, error) {
	var next *time.Time
	var now time.Time
	err := s.database(ctx, func(ctx context.Context) error { return s.pool.QueryRow(ctx, nextDue).Scan(&next, &now) })
	if err != nil {
		return s.keeper.poll, err
	}
	s.keeper.mu.Lock()
	s.keeper.offset = time.Until(now)
	s.keeper.mu.Unlock()
	if next == nil {
		return s.keeper.poll, nil
	}
	return next.Sub(now), nil
}

// dueJobs are the jobs that expire, or wait for a time that has come, in the order in which they do;
// and those whose runs take too long.
const (
	dueJobs = `
(SELECT place, false AS runs, expires_at AS at, id FROM longshore.waiting r WHERE expires_at <= $1 AND ` + isNotLost + ` ORDER BY expires_at LIMIT $2)
UNION ALL (SELECT place, false, expires_at, id FROM longshore.ready r WHERE expires_at <= $1 AND ` + isNotLost + ` ORDER BY expires_at LIMIT $2)
UNION ALL (SELECT place, true, run_at, id FROM longshore.waiting r WHERE state = 1 AND run_at <= $1 AND ` + isNotLost + ` ORDER BY run_at LIMIT $2)
ORDER BY at, runs, id LIMIT $2`
	longRuns = `
SELECT place, false, deadline, id FROM longshore.leases r WHERE deadline <= $1 AND ` + isNotLost + ` ORDER BY deadline, id LIMIT $2`
)

// dueJob is a row of those.
type dueJob struct {
	place int64
	runs  bool // it waits for a time, else it expires, or its run takes too long
}

// doDue does some of what is due.
func (s *Store) doDue(ctx context.Context) error {
	var now time.Time
	err := s.change(ctx, func(c *change) error {
		now = c.now
		if err := c.doEach(dueJobs, c.runOrExpire); err != nil {
			return err
		}
		return c.doEach(longRuns, c.timeOut)
	})
	if err != nil {
		return err
	}
	_, err = s.forgetCalls(ctx, now)
	return err
}

// doEach does something to each job that a statement finds. Dependents are settled in between: what
// falls due for one that is over by then is nothing any more.
func (c *change) doEach(statement string, do func(*tracked, dueJob) error) error {
	rows, err := c.tx.Query(c.ctx, statement, c.now, c.store.limits.dueStep)
	if err != nil {
		return err
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d dueJob, err error) {
		var at time.Time
		var id uuid.UUID
		err = row.Scan(&d.place, &d.runs, &at, &id)
		return d, err
	})
	if err != nil {
		return err
	}
	places := make([]int64, len(due))
	for i := range due {
		places[i] = due[i].place
	}
	if err := c.readPlaces(distinct(places)); err != nil {
		return err
	}
	for i := range due {
		if err := do(c.rows[due[i].place], due[i]); err != nil {
			return err
		}
		if err := c.settle(); err != nil {
			return err
		}
	}
	return nil
}

// runOrExpire makes a scheduled job pending whose time has come, or fails one that nobody has begun
// in time.
func (c *change) runOrExpire(r *tracked, d dueJob) error {
	if d.runs {
		if next := r.Due(c.now); next != r.Record {
			c.set(r, next)
		}
		return nil
	}
	if !r.Expired(c.now) {
		return nil
	}
	outcome := queue.ExpiredOutcome()
	return c.finish(r, r.Expire(c.now), &outcome)
}

// timeOut ends a run that has taken too long.
func (c *change) timeOut(r *tracked, _ dueJob) error {
	if r.State != queue.Running || r.lease.deadline.IsZero() || r.lease.deadline.After(c.now) {
		return nil
	}
	j, err := c.job(r)
	if errors.Is(err, queue.ErrDamaged) {
		c.store.log.Error(err, "a job whose run took too long cannot be read; it fails", "job", r.id.String())
	} else if err != nil {
		return err
	}
	next, err := r.TimeOut(j.MaxTimeouts, j.Retry, rand.Float64(), c.now) //nolint:gosec // not for secrets
	if err != nil {
		return err
	}
	outcome := queue.TimeoutOutcome()
	return c.endLease(r, next, queue.EndTimedOut, nil, &outcome)
}
