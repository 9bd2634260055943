package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// changeLock is the advisory lock that every change holds until it commits: see the package's
// documentation. The number is arbitrary, and ours.
const changeLock = 0x4c6f6e6773686f72

// change is one transaction that changes jobs as the rules say, one at a time in the database.
type change struct {
	ctx   context.Context
	store *Store
	tx    pgx.Tx
	now   time.Time

	rows        map[int64]*tracked
	places      map[uuid.UUID]int64 // of those in rows, by id
	definitions map[int64]*jobColumns
	order       []int64              // of the rows that have changed, as they did
	over        []int64              // those that are over by now, and whose dependents have not been told
	known       map[int64][]edgeDown // edges that were read, by the dependency
	readAll     bool                 // all edges below some jobs were read at once
	writes      writes
}

// tracked is a row, as it is to be, and what it was.
type tracked struct {
	row
	was     queue.State // as it is in the database; 0 for a job that is new
	before  row
	touched bool
	deleted bool
	shown   uint64    // the version that the database has
	how     queue.End // its lease was ended by the change
}

// jobColumns are what a row of jobs has, without args.
type jobColumns struct {
	definition
	edges int
}

// change makes a change: queue.ErrUnavailable if nobody knows whether it was made, or if it has lost against
// others too often. If do fails, nothing is changed.
func (s *Store) change(ctx context.Context, do func(c *change) error) error {
	return tryAgain(func() error { return s.tryChange(ctx, do) })
}

func (s *Store) tryChange(ctx context.Context, do func(c *change) error) error {
	var applied []changed
	c := &change{
		store: s, rows: make(map[int64]*tracked), places: make(map[uuid.UUID]int64), definitions: make(map[int64]*jobColumns),
		known: make(map[int64][]edgeDown),
	}
	err := s.database(ctx, func(ctx context.Context) error {
		select {
		case s.changing <- struct{}{}:
			defer func() { <-s.changing }()
		case <-ctx.Done():
			return ctx.Err()
		}
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			c.ctx, c.tx = ctx, tx
			if err := c.begin(); err != nil {
				return err
			}
			if err := do(c); err != nil {
				return err
			}
			if err := c.settle(); err != nil {
				return fmt.Errorf("settle dependents: %w", err)
			}
			var err error
			applied, err = c.write()
			return err
		})
	})
	s.claims.noticeAll(c.passedOver(err))
	if err != nil {
		s.tail.doubt(err)
		return err
	}
	s.applyOwn(ctx, c.now, applied)
	return nil
}

// begin waits for those who change jobs at this moment.
func (c *change) begin() error {
	if _, err := c.tx.Exec(c.ctx, `SELECT pg_advisory_xact_lock($1)`, int64(changeLock)); err != nil {
		return err
	}
	err := c.tx.QueryRow(c.ctx, `SELECT longshore.now()`).Scan(&c.now)
	c.now = c.now.UTC()
	return err
}

// passedOver are the jobs in line that the change has kept others from claiming while it lasted, and
// which stay where they are: all of them if it has failed, else those that it has only looked at.
func (c *change) passedOver(failed error) (ready []changed) {
	for _, r := range c.rows {
		if r.was == queue.Pending && (failed != nil || !r.touched) {
			b := &r.before
			ready = append(ready, changed{place: b.place, lane: b.lane, rank: rankOf(b.Priority), state: queue.Pending})
		}
	}
	return ready
}

// The tables are read in the order in which a job can go through them without a change. So a job
// that is claimed or finished meanwhile is found all the same: whoever has locked it is waited for,
// and each statement sees what was committed before it.
const (
	lockReady = `
SELECT ` + recordColumnsOfR + ` FROM longshore.jobs j
JOIN longshore.ready r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
WHERE j.place = ANY($1) ORDER BY r.place FOR UPDATE OF r`
	lockLeases = `
SELECT ` + recordColumnsOfR + `, r.secret, r.beat, r.timeout, r.heartbeat_timeout, r.deadline, r.principal
FROM longshore.leases r WHERE r.place = ANY($1) ORDER BY r.place FOR UPDATE`
	readWaiting = `SELECT ` + recordColumnsOfR + ` FROM longshore.waiting r WHERE r.place = ANY($1)`
	readEnded   = `SELECT ` + recordColumnsOfR + `, r.secret, r.how, r.digest, r.hidden, r.principal FROM longshore.ended r WHERE r.place = ANY($1)`
	defineByID  = `
SELECT j.place, j.id, j.edges, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.terms::text
FROM longshore.jobs j WHERE j.id = ANY($1)`
	defineByPlace = `
SELECT j.place, j.id, j.edges, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.terms::text
FROM longshore.jobs j WHERE j.place = ANY($1)`
)

// read returns a job to be changed; the caller uses set to change it. ErrNotExist.
func (c *change) read(id uuid.UUID) (*tracked, error) {
	if err := c.readMany([]uuid.UUID{id}); err != nil {
		return nil, err
	}
	return c.get(id)
}

// get is read for a job that was read before.
func (c *change) get(id uuid.UUID) (*tracked, error) {
	r := c.rows[c.places[id]]
	if r == nil || r.hidden || r.deleted {
		return nil, queue.ErrNotExist
	}
	return r, nil
}

// readMany reads jobs, those that exist.
func (c *change) readMany(ids []uuid.UUID) error {
	var unread [][16]byte // see columns
	for _, id := range ids {
		if _, found := c.places[id]; !found {
			unread = append(unread, id)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	places, err := c.define(defineByID, unread)
	if err != nil {
		return err
	}
	return c.lock(places)
}

// readPlaces is readMany by the places of jobs.
func (c *change) readPlaces(places []int64) error {
	var unread []int64
	for _, place := range places {
		if c.rows[place] == nil {
			unread = append(unread, place)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	found, err := c.define(defineByPlace, unread)
	if err != nil {
		return err
	}
	return c.lock(found)
}

// readSound is readPlaces, and passes over jobs of which nothing is left but what was given for them.
func (c *change) readSound(places []int64) error {
	if err := c.readPlaces(places); err != nil && !errors.Is(err, queue.ErrDamaged) {
		return err
	}
	return nil
}

func (c *change) define(statement string, which any) (places []int64, err error) {
	rows, err := c.tx.Query(c.ctx, statement, which)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			place int64
			id    uuid.UUID
			j     jobColumns
		)
		if err := rows.Scan(&place, &id, &j.edges, &j.timeout, &j.heartbeatTimeout, &j.traceParent, &j.labels, &j.terms); err != nil {
			return nil, err
		}
		c.definitions[place] = &j
		places = append(places, place)
	}
	return places, rows.Err()
}

// lock reads the records of jobs, and has nobody else change them.
func (c *change) lock(places []int64) error {
	var batch pgx.Batch
	add := func(r row, was queue.State) {
		t := &tracked{row: r, was: was, before: r, shown: r.Version}
		c.rows[r.place] = t
		c.places[r.id] = r.place
	}
	plain := func(rows pgx.Rows) error {
		for rows.Next() {
			var r row
			if err := r.scan(rows); err != nil {
				return err
			}
			add(r, r.State)
		}
		return rows.Err()
	}
	batch.Queue(lockReady, places).Query(plain)
	batch.Queue(lockLeases, places).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var r row
			if err := r.scanLease(rows); err != nil {
				return err
			}
			add(r, r.State)
		}
		return rows.Err()
	})
	batch.Queue(readWaiting, places).Query(plain)
	batch.Queue(readEnded, places).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var (
				r      row
				secret *uuid.UUID
				how    *int16
			)
			if err := r.scan(rows, &secret, &how, &r.end.digest, &r.hidden, &r.Principal); err != nil {
				return err
			}
			if secret != nil && how != nil {
				r.end.secret, r.end.how = *secret, queue.End(*how) //nolint:gosec // the table's own
			}
			add(r, r.State)
		}
		return rows.Err()
	})
	if err := c.tx.SendBatch(c.ctx, &batch).Close(); err != nil {
		return err
	}
	for _, place := range places { // the others were read
		if c.rows[place] == nil {
			return fmt.Errorf("job at place %d is in no state: %w", place, queue.ErrDamaged)
		}
	}
	return nil
}

// scanLease reads recordColumns, leaseColumns and the principal.
func (r *row) scanLease(from pgx.Row) error {
	var timeout, heartbeatTimeout *int64
	var deadline *time.Time
	err := r.scan(from, &r.lease.secret, &r.lease.beat, &timeout, &heartbeatTimeout, &deadline, &r.Principal)
	r.lease.timeout, r.lease.heartbeatTimeout, r.lease.deadline = durationOf(timeout), durationOf(heartbeatTimeout), timeOf(deadline)
	r.Token = tokenOf(r.place, r.lease.secret)
	return err
}

// lane returns a job's lane. It needs no other connection: all of them may be in the hands of changes
// that wait for this one.
func (c *change) lane(r *tracked) (queue.Lane, error) { return c.store.lanes.find(c.ctx, c.tx, r.lane) }

// job returns what was given for a job, without Args and Dependencies.
func (c *change) job(r *tracked) (queue.Job, error) {
	lane, err := c.lane(r)
	if err != nil {
		return queue.Job{}, err
	}
	return jobOf(r.id, lane, &c.definitions[r.place].definition)
}

// set has a job have another record from now on.
func (c *change) set(r *tracked, next queue.Record) {
	if !r.touched {
		r.touched = true
		c.order = append(c.order, r.place)
	}
	wasOver := r.State.Over()
	r.Record = next
	if next.State.Over() && !wasOver && r.ties&tieDependents != 0 {
		c.over = append(c.over, r.place)
	}
}

// tie notes that something elsewhere is to be looked after when a job changes.
func (c *change) tie(r *tracked, ties int16) {
	if r.ties&ties == ties {
		return
	}
	r.ties |= ties
	c.set(r, r.Record)
}

// finish ends a job that is not over, as next says, with the outcome if it has one.
func (c *change) finish(r *tracked, next queue.Record, outcome *queue.Outcome) error {
	if r.ties&tieUniqueKey != 0 {
		switch j, err := c.job(r); {
		case errors.Is(err, queue.ErrDamaged): // it is over all the same, and there is another way to its key
			c.writes.add(`DELETE FROM longshore.unique_keys WHERE lane = $1 AND place = $2`, r.lane, r.place)
		case err != nil:
			return err
		default:
			c.writes.freeUnique(r.lane, j.UniqueKey)
		}
		r.ties &^= tieUniqueKey
	}
	if next.State == queue.Finished && r.ties&tieReported != 0 {
		c.unreport(r)
	}
	r.end = endColumns{}
	if outcome != nil {
		r.end.outcome = *outcome
	}
	c.set(r, next)
	return nil
}

// unreport forgets what a job's worker has reported.
func (c *change) unreport(r *tracked) {
	c.writes.unreported = append(c.writes.unreported, r.place)
	r.ties &^= tieReported
}

// endLease ends the lease of a running job, as how says, and leaves the job as next says, with the
// outcome if it is over then.
func (c *change) endLease(r *tracked, next queue.Record, how queue.End, digest []byte, outcome *queue.Outcome) error {
	secret := r.lease.secret
	r.how = how
	if how != queue.EndReported {
		digest = nil
	}
	if next.State.Over() {
		if err := c.finish(r, next, outcome); err != nil {
			return err
		}
		r.end.secret, r.end.how, r.end.digest = secret, how, digest
		return nil
	}
	a := attempt{place: r.place, secret: secret, digest: digest, Attempt: queue.Attempt{
		Number: r.Attempt, Worker: r.Worker, Principal: r.Principal, Started: r.Started, Ended: c.now, End: how, State: next.State,
	}}
	if outcome != nil {
		a.setError(outcome.Error)
	}
	c.writes.attempts = append(c.writes.attempts, a)
	c.set(r, next)
	return nil
}

// refused reports whether an error concerns one of the jobs of a change only, so that the others
// can go on.
func refused(err error) bool {
	return isRule(err) || errors.Is(err, queue.ErrDamaged)
}
