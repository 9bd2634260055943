package postgres

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// writes are what a change writes besides the rows of its jobs.
type writes struct {
	jobs       []newJob
	edges      []edge
	attempts   []attempt
	unreported []int64
	freed      []uniqueKey // in this order: freed, then taken
	taken      []uniqueKey
	hidden     []int64     // jobs that are deleted and still needed
	purged     purges      // jobs that go for good
	statements []statement // others
}

type newJob struct {
	place int64
	id    uuid.UUID
	lane  int32
	rank  int16
	edges int
	args  []byte
	definition
}

type uniqueKey struct {
	lane  int32
	key   string
	place int64
}

type statement struct {
	text string
	args []any
}

func (w *writes) freeUnique(lane int32, key string) {
	w.freed = append(w.freed, uniqueKey{lane: lane, key: key})
}

func (w *writes) add(text string, args ...any) {
	w.statements = append(w.statements, statement{text, args})
}

// columns are recordColumns of many rows. Ids and secrets are bytes in all that is written of many: of each
// uuid.UUID in an array the driver makes a text, which it reads again.
type columns struct {
	places                                                             []int64
	ids                                                                [][16]byte
	lanes                                                              []int32
	states, ranks, ties                                                []int16
	versions, attempts, retries, failures, timeouts, generations, open []int64
	queued                                                             []time.Time
	started, finished, runAt, expiresAt                                []*time.Time
	workers                                                            []string
	byDependency                                                       []bool
}

// rawIDs returns ids as columns have them.
func rawIDs(ids []uuid.UUID) [][16]byte {
	bytes := make([][16]byte, len(ids))
	for i := range ids {
		bytes[i] = ids[i]
	}
	return bytes
}

func (t *columns) add(r *row) {
	t.places, t.ids, t.lanes = append(t.places, r.place), append(t.ids, r.id), append(t.lanes, r.lane)
	t.states, t.ranks, t.ties = append(t.states, int16(r.State)), append(t.ranks, rankOf(r.Priority)), append(t.ties, r.ties)
	t.versions, t.attempts = append(t.versions, number(r.Version)), append(t.attempts, number(r.Attempt))
	t.retries, t.failures = append(t.retries, number(r.Retries)), append(t.failures, number(r.Failures))
	t.timeouts, t.generations = append(t.timeouts, number(r.Timeouts)), append(t.generations, number(r.Generation))
	t.open, t.queued = append(t.open, number(r.Open)), append(t.queued, r.Queued)
	t.started, t.finished = append(t.started, nullTime(r.Started)), append(t.finished, nullTime(r.Finished))
	t.runAt, t.expiresAt = append(t.runAt, nullTime(r.RunAt)), append(t.expiresAt, nullTime(r.ExpiresAt))
	t.workers, t.byDependency = append(t.workers, r.Worker), append(t.byDependency, r.ByDependency)
}

// number is a count as a column has it. None comes near the bound.
func number(n uint64) int64 { return int64(n) } //nolint:gosec // counts of what happened one by one

func (t *columns) args(more ...any) []any {
	return append([]any{
		t.places, t.ids, t.lanes, t.states, t.ranks, t.versions, t.attempts, t.retries, t.failures, t.timeouts, t.generations, t.open,
		t.queued, t.started, t.finished, t.runAt, t.expiresAt, t.workers, t.byDependency, t.ties,
	}, more...)
}

const unnestRecords = `$1::bigint[], $2::uuid[], $3::int[], $4::smallint[], $5::smallint[], $6::bigint[], $7::bigint[], $8::bigint[],
	$9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[],
	$16::timestamptz[], $17::timestamptz[], $18::text[], $19::boolean[], $20::smallint[]`

const (
	insertReady   = `INSERT INTO longshore.ready (` + recordColumns + `) SELECT * FROM unnest(` + unnestRecords + `)`
	insertWaiting = `INSERT INTO longshore.waiting (` + recordColumns + `) SELECT * FROM unnest(` + unnestRecords + `)`
	insertLeases  = `INSERT INTO longshore.leases (` + recordColumns + `, secret, beat, timeout, heartbeat_timeout, deadline, principal)
SELECT * FROM unnest(` + unnestRecords + `, $21::uuid[], $22::timestamptz[], $23::bigint[], $24::bigint[], $25::timestamptz[],
	$26::text[])`
	insertEnded = `INSERT INTO longshore.ended (` + recordColumns + `, secret, how, digest, result, reason, details, principal)
SELECT * FROM unnest(` + unnestRecords + `, $21::uuid[], $22::smallint[], $23::bytea[], $24::bytea[], $25::text[], $26::bytea[],
	$27::text[])`
	deleteReady = `DELETE FROM longshore.ready r USING unnest($1::int[], $2::smallint[], $3::bigint[]) AS g(lane, rank, place)
WHERE r.lane = g.lane AND r.rank = g.rank AND r.place = g.place`
	deleteLeases  = `DELETE FROM longshore.leases WHERE place = ANY($1)`
	deleteWaiting = `DELETE FROM longshore.waiting WHERE place = ANY($1)`
	deleteEnded   = `DELETE FROM longshore.ended WHERE place = ANY($1)`
	insertJobs    = `INSERT INTO longshore.jobs (place, id, lane, rank, edges, timeout, heartbeat_timeout, trace_parent, labels, terms, args)
SELECT place, id, lane, rank, edges, timeout, heartbeat_timeout, trace_parent, labels::jsonb, terms::jsonb, args
FROM unnest($1::bigint[], $2::uuid[], $3::int[], $4::smallint[], $5::int[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], $10::text[],
  $11::bytea[]) AS g(place, id, lane, rank, edges, timeout, heartbeat_timeout, trace_parent, labels, terms, args)`
	insertEdges = `INSERT INTO longshore.edges (dependent, ordinal, dependency, dependency_id, succeeded, name)
SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::uuid[], $5::boolean[], $6::text[])`
	insertAttempts = `INSERT INTO longshore.attempts (place, number, secret, worker, started, ended, how, state, digest, reason, details, principal)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::smallint[],
  $8::smallint[], $9::bytea[], $10::text[], $11::bytea[], $12::text[])`
	deleteReported = `DELETE FROM longshore.reported WHERE place = ANY($1)`
	deleteUnique   = `DELETE FROM longshore.unique_keys u USING unnest($1::int[], $2::text[]) AS g(lane, key) WHERE u.lane = g.lane AND u.key = g.key COLLATE "C"`
	insertUnique   = `INSERT INTO longshore.unique_keys (lane, key, place) SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[])`
	// insertCounts adds to the bytes that are given how large those jobs are that cease to be over, or begin to be.
	insertCounts = `
WITH crossed AS (
  SELECT j.lane, sum(g.times * octet_length(j.args)) AS bytes
  FROM unnest($10::bigint[], $11::int[]) AS g(place, times) JOIN longshore.jobs j ON j.place = g.place GROUP BY j.lane
)
INSERT INTO longshore.count_differences (lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes)
SELECT g.lane, scheduled, blocked, pending, running, finished, failed, canceled, g.bytes + coalesce(crossed.bytes, 0)
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
  AS g(lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes) LEFT JOIN crossed ON crossed.lane = g.lane`
	insertChange = `
INSERT INTO longshore.changes (xact, part, server, at, ids, places, lanes, ranks, was, states, attempts, versions, deleted)
VALUES (pg_current_xact_id(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
)

// write writes everything, and returns what others are to be told of it.
func (c *change) write() ([]changed, error) {
	var batch pgx.Batch
	c.deleteRows(&batch)
	c.insertRows(&batch)
	told, deleted := c.tell()
	c.count(&batch) // which looks at jobs that writes may delete
	c.writes.queue(&batch)
	c.log(&batch, 0, told, false)
	c.log(&batch, 1, deleted, true)
	if batch.Len() == 0 {
		return nil, nil
	}
	return append(told, deleted...), c.tx.SendBatch(c.ctx, &batch).Close()
}

// deleteRows takes all rows that have changed out of the tables where they are. A row that stays
// in its table is written anew.
func (c *change) deleteRows(batch *pgx.Batch) {
	var ready columns
	var leases, waiting, ended []int64
	for _, place := range c.order {
		r := c.rows[place]
		switch {
		case r.was == 0, r.deleted:
		case r.was == queue.Pending:
			ready.add(&r.before)
		case r.was == queue.Running:
			leases = append(leases, place)
		case r.was.Over():
			ended = append(ended, place)
		default:
			waiting = append(waiting, place)
		}
	}
	if len(ready.places) > 0 {
		batch.Queue(deleteReady, ready.lanes, ready.ranks, ready.places)
	}
	for _, of := range []struct {
		text   string
		places []int64
	}{{deleteLeases, leases}, {deleteWaiting, waiting}, {deleteEnded, ended}} {
		if len(of.places) > 0 {
			batch.Queue(of.text, of.places)
		}
	}
}

func (c *change) insertRows(batch *pgx.Batch) {
	var (
		ready, waiting, leases, ended columns
		l                             struct {
			secrets           [][16]byte
			beats             []time.Time
			timeouts, silence []*int64
			deadlines         []*time.Time
			principals        []string
		}
		e struct {
			secrets                   []*[16]byte
			hows                      []*int16
			digests, results, details [][]byte
			reasons                   []*string
			principals                []string
		}
	)
	for _, place := range c.order {
		r := c.rows[place]
		switch {
		case r.deleted:
		case r.State == queue.Pending:
			ready.add(&r.row)
		case r.State == queue.Running:
			leases.add(&r.row)
			l.secrets, l.beats = append(l.secrets, r.lease.secret), append(l.beats, r.lease.beat)
			l.timeouts, l.silence = append(l.timeouts, nullDuration(r.lease.timeout)), append(l.silence, nullDuration(r.lease.heartbeatTimeout))
			l.deadlines, l.principals = append(l.deadlines, nullTime(r.lease.deadline)), append(l.principals, r.Principal)
		case r.State.Over():
			ended.add(&r.row)
			var secret *[16]byte
			var how *int16
			if r.end.how != 0 {
				secret, how = (*[16]byte)(&r.end.secret), new(int16(r.end.how))
			}
			result, reason, details := outcomeColumns(&r.end.outcome)
			e.secrets, e.hows, e.digests = append(e.secrets, secret), append(e.hows, how), append(e.digests, r.end.digest)
			e.results, e.reasons, e.details = append(e.results, result), append(e.reasons, reason), append(e.details, details)
			e.principals = append(e.principals, r.Principal)
		default:
			waiting.add(&r.row)
		}
	}
	if len(ready.places) > 0 {
		batch.Queue(insertReady, ready.args()...)
	}
	if len(waiting.places) > 0 {
		batch.Queue(insertWaiting, waiting.args()...)
	}
	if len(leases.places) > 0 {
		batch.Queue(insertLeases, leases.args(l.secrets, l.beats, l.timeouts, l.silence, l.deadlines, l.principals)...)
	}
	if len(ended.places) > 0 {
		batch.Queue(insertEnded, ended.args(e.secrets, e.hows, e.digests, e.results, e.reasons, e.details, e.principals)...)
	}
}

// outcomeColumns is the inverse of outcomeOf.
func outcomeColumns(o *queue.Outcome) (result []byte, reason *string, details []byte) {
	if o.Error != nil {
		return nil, &o.Error.Reason, o.Error.Details
	}
	return o.Result, nil, nil
}

// queue adds what is to be written elsewhere.
func (w *writes) queue(batch *pgx.Batch) {
	w.queueJobs(batch)
	w.queueEdges(batch)
	w.queueAttempts(batch)
	if len(w.unreported) > 0 {
		batch.Queue(deleteReported, w.unreported)
	}
	split := func(keys []uniqueKey) (lanes []int32, texts []string, places []int64) {
		for _, k := range keys {
			lanes, texts, places = append(lanes, k.lane), append(texts, k.key), append(places, k.place)
		}
		return lanes, texts, places
	}
	if lanes, texts, _ := split(w.freed); len(lanes) > 0 {
		batch.Queue(deleteUnique, lanes, texts)
	}
	if lanes, texts, places := split(w.taken); len(lanes) > 0 {
		batch.Queue(insertUnique, lanes, texts, places)
	}
	w.queueForgotten(batch)
	for _, s := range w.statements {
		batch.Queue(s.text, s.args...)
	}
}

func (w *writes) queueForgotten(batch *pgx.Batch) {
	if len(w.hidden) > 0 {
		batch.Queue(hideJobs, w.hidden)
	}
	if len(w.purged.places) > 0 {
		batch.Queue(forgetGone, w.purged.places, w.purged.states, w.purged.types)
		batch.Queue(deleteJobs, w.purged.places)
		batch.Queue(deleteEnded, w.purged.places)
	}
	if all := slices.Concat(w.hidden, w.purged.places); len(all) > 0 {
		batch.Queue(deleteEdges, all)
		batch.Queue(deleteAttempts, all)
		batch.Queue(deleteReported, all)
	}
}

func (w *writes) queueJobs(batch *pgx.Batch) {
	if len(w.jobs) == 0 {
		return
	}
	var (
		t                     columns
		edges                 []int32
		timeouts, silence     []*int64
		traces, labels, terms []*string
		args                  [][]byte
	)
	for i := range w.jobs {
		j := &w.jobs[i]
		t.places, t.ids, t.lanes, t.ranks = append(t.places, j.place), append(t.ids, j.id), append(t.lanes, j.lane), append(t.ranks, j.rank)
		edges = append(edges, int32(j.edges)) //nolint:gosec // bounded by queue.MaxEdges
		timeouts, silence = append(timeouts, j.timeout), append(silence, j.heartbeatTimeout)
		traces, labels, terms = append(traces, j.traceParent), append(labels, j.labels), append(terms, j.terms)
		args = append(args, j.args)
	}
	batch.Queue(insertJobs, t.places, t.ids, t.lanes, t.ranks, edges, timeouts, silence, traces, labels, terms, args)
}

func (w *writes) queueEdges(batch *pgx.Batch) {
	if len(w.edges) == 0 {
		return
	}
	var (
		dependents, dependencies []int64
		ordinals                 []int32
		ids                      [][16]byte
		succeeded                []bool
		names                    []string
	)
	for i := range w.edges {
		e := &w.edges[i]
		dependents, ordinals = append(dependents, e.dependent), append(ordinals, e.ordinal)
		dependencies, ids = append(dependencies, e.dependency), append(ids, e.id)
		succeeded, names = append(succeeded, e.succeeded), append(names, e.name)
	}
	batch.Queue(insertEdges, dependents, ordinals, dependencies, ids, succeeded, names)
}

func (w *writes) queueAttempts(batch *pgx.Batch) {
	if len(w.attempts) == 0 {
		return
	}
	var (
		places, numbers  []int64
		secrets          [][16]byte
		workers          []string
		principals       []string
		started, ended   []time.Time
		hows, states     []int16
		digests, details [][]byte
		reasons          []*string
	)
	for i := range w.attempts {
		a := &w.attempts[i]
		places, numbers, secrets = append(places, a.place), append(numbers, number(a.Number)), append(secrets, a.secret)
		workers, principals = append(workers, a.Worker), append(principals, a.Principal)
		started, ended = append(started, a.Started), append(ended, a.Ended)
		hows, states, digests = append(hows, int16(a.End)), append(states, int16(a.State)), append(digests, a.digest)
		_, reason, more := outcomeColumns(&queue.Outcome{Error: a.Error})
		reasons, details = append(reasons, reason), append(details, more)
	}
	batch.Queue(insertAttempts, places, numbers, secrets, workers, started, ended, hows, states, digests, reasons, details, principals)
}

// tell returns what has become of jobs, in the order in which it did: of those that are there, and
// of those that were deleted.
func (c *change) tell() (told, deleted []changed) {
	for _, place := range c.order {
		r := c.rows[place]
		t := changed{
			id: r.id, place: place, lane: r.lane, rank: rankOf(r.Priority), was: r.was, state: r.State, attempt: r.Attempt,
			version: r.Version, deleted: r.deleted, end: r.how,
		}
		switch {
		case r.was == queue.Running:
			t.since = r.before.Started
		case r.State == queue.Running && r.Attempt == 1:
			t.since = r.Started.Add(-r.Waited())
		}
		switch {
		case r.deleted:
			deleted = append(deleted, t)
		case r.Version != r.shown || r.State == queue.Pending: // who passed over one in line looks again
			told = append(told, t)
		}
	}
	return told, deleted
}

// difference is what a change adds to what is counted of a lane.
type difference struct {
	counts queue.Counts
	bytes  int64 // of the jobs that are new
}

// count notes how many jobs came to which state and left which, and how large those are that are not
// over any more, or again.
func (c *change) count(batch *pgx.Batch) {
	differences := make(map[int32]*difference)
	var crossed []int64
	var times []int32
	sizes := c.writes.sizes()
	for _, place := range c.order {
		r := c.rows[place]
		if r.was == r.State && !r.deleted {
			continue
		}
		by := differences[r.lane]
		if by == nil {
			by = new(difference)
			differences[r.lane] = by
		}
		if r.was != 0 {
			by.counts[r.was]--
		}
		if !r.deleted {
			by.counts[r.State]++
		}
		switch wasOpen, isOpen := r.was != 0 && !r.was.Over(), !r.deleted && !r.State.Over(); {
		case r.was == 0 && isOpen:
			by.bytes += sizes[place]
		case isOpen && !wasOpen:
			crossed, times = append(crossed, place), append(times, 1)
		case wasOpen && !isOpen:
			crossed, times = append(crossed, place), append(times, -1)
		}
	}
	if len(differences) == 0 {
		return
	}
	var lanes []int32
	var bytes []int64
	var by [queue.Canceled + 1][]int64
	for lane, d := range differences {
		lanes, bytes = append(lanes, lane), append(bytes, d.bytes)
		for state := range d.counts {
			by[state] = append(by[state], d.counts[state])
		}
	}
	batch.Queue(insertCounts, lanes, by[1], by[2], by[3], by[4], by[5], by[6], by[7], bytes, crossed, times)
}

// sizes returns how large the args of the jobs are that are new, in bytes.
func (w *writes) sizes() map[int64]int64 {
	sizes := make(map[int64]int64, len(w.jobs))
	for i := range w.jobs {
		sizes[w.jobs[i].place] = int64(len(w.jobs[i].args))
	}
	return sizes
}

// log tells other servers.
func (c *change) log(batch *pgx.Batch, part int16, changes []changed, deleted bool) {
	if len(changes) == 0 {
		return
	}
	var t columns
	var was []int16
	for i := range changes {
		d := &changes[i]
		t.ids, t.places, t.lanes, t.ranks = append(t.ids, d.id), append(t.places, d.place), append(t.lanes, d.lane), append(t.ranks, d.rank)
		was, t.states = append(was, int16(d.was)), append(t.states, int16(d.state))
		t.attempts, t.versions = append(t.attempts, number(d.attempt)), append(t.versions, number(d.version))
	}
	batch.Queue(insertChange, part, c.store.id, c.now, t.ids, t.places, t.lanes, t.ranks, was, t.states, t.attempts, t.versions, deleted)
}
