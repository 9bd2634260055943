package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Enqueue implements queue.JobQueue.
func (s *Store) Enqueue(ctx context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
	return s.enqueue(ctx, jobs, queue.Once{})
}

// EnqueueOnce is Enqueue, but once: again with the same key and digest it answers what it did
// the first time and adds nothing. What is remembered of it is as durable as the jobs are.
// ErrKeyReused, ErrKeyInUse.
func (s *Store) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	end, err := s.underWay.Begin(once)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.enqueue(ctx, jobs, once)
}

// EnqueuedOnce returns what EnqueueOnce has answered to the same once; nil if it is not known, and
// nothing was added then. ErrKeyReused, ErrKeyInUse.
func (s *Store) EnqueuedOnce(ctx context.Context, once queue.Once) (answer []queue.Enqueued, err error) {
	end, err := s.underWay.Begin(once)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var kept *keptCall
	err = s.database(ctx, func(ctx context.Context) (err error) {
		kept, err = findCall(ctx, s.pool, once)
		return err
	})
	if err != nil || kept == nil {
		return nil, err
	}
	err = s.change(ctx, func(c *change) (err error) {
		answer, err = c.enqueuedOf(kept)
		return err
	})
	return answer, err
}

func (s *Store) enqueue(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	graph, err := queue.NewGraph(jobs)
	if err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	if len(jobs) == 0 {
		return []queue.Enqueued{}, nil
	}
	lanes := make([]queue.Lane, len(jobs))
	for i := range jobs {
		lanes[i] = jobs[i].Lane()
	}
	for {
		call := enqueueCall{jobs: jobs, once: once, losses: s.lanes.lost()}
		if call.lanes, err = s.numberLanes(ctx, lanes); err != nil {
			return nil, err
		}
		answer, err := s.enqueueNumbered(ctx, call, graph)
		if !errors.Is(err, errLanesForgotten) {
			return answer, err
		}
	}
}

func (s *Store) enqueueNumbered(ctx context.Context, call enqueueCall, graph queue.Graph) ([]queue.Enqueued, error) {
	if !arePlain(call.jobs) {
		return s.enqueueGraph(ctx, call, graph)
	}
	answer, err := s.enqueues.do(call)
	if err != nil {
		return nil, err
	}
	if answer == nil { // the key is known
		return s.enqueueGraph(ctx, call, graph)
	}
	return answer, nil
}

// arePlain reports whether all that is to be done for jobs is to add them: they are pending then.
func arePlain(jobs []queue.NewJob) bool {
	for i := range jobs {
		n := &jobs[i]
		if len(n.Dependencies)+len(n.Needs) > 0 || n.UniqueKey != "" || n.Delay > 0 || !n.RunAt.IsZero() || !n.ExpiresAt.IsZero() {
			return false
		}
	}
	return true
}

// enqueueCall is one call.
type enqueueCall struct {
	jobs   []queue.NewJob
	lanes  []int32 // by job
	losses int     // what laneNumbers.lost was before they were read
	once   queue.Once
}

// enqueueAnswer is nil if nothing was added because the call's key is known.
type enqueueAnswer []queue.Enqueued

// hashOf is what stands for an idempotency key in the database: keys are as long as their callers
// like.
func hashOf(key string) []byte {
	hash := sha256.Sum256([]byte(key))
	return hash[:]
}

// Where a call has an idempotency key, only those calls are added that are new. Every AS MATERIALIZED
// copies what it has once: args are copied as seldom as can be.
const (
	addJobsBegin = `WITH clock AS MATERIALIZED (SELECT longshore.now() AS now),`
	numberedJobs = `
  SELECT s.*, longshore.job_id((extract(epoch FROM s.now) * 1000000)::bigint, s.place) AS id
  FROM (
    SELECT g.*, nextval('longshore.places') AS place, clock.now
    FROM unnest($1::int[], $2::smallint[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
      WITH ORDINALITY AS g(lane, rank, args, labels, terms, trace_parent, timeout, heartbeat_timeout, call, n), clock
  ) s`
	keyedJobs = `
numbered AS MATERIALIZED (` + numberedJobs + `),
calls AS MATERIALIZED (SELECT * FROM unnest($12::bytea[], $13::bytea[]) WITH ORDINALITY AS k(hash, digest, call)),
keyed AS (
  INSERT INTO longshore.calls (hash, digest, until, jobs)
  SELECT k.hash, k.digest, min(n.now) + $14::bigint * interval '1 microsecond', array_agg(n.id ORDER BY n.n)
  FROM calls k JOIN numbered n ON n.call = k.call WHERE k.hash IS NOT NULL
  GROUP BY k.call, k.hash, k.digest ORDER BY k.hash
  ON CONFLICT DO NOTHING RETURNING hash
),
added AS MATERIALIZED (
  SELECT n.* FROM numbered n JOIN calls k ON k.call = n.call
  WHERE k.hash IS NULL OR k.hash IN (SELECT hash FROM keyed)
  ORDER BY n.n
),`
	keylessJobs = `
added AS MATERIALIZED (` + numberedJobs + `),`
	addThem = `
defined AS (
  INSERT INTO longshore.jobs (place, id, lane, rank, timeout, heartbeat_timeout, trace_parent, labels, terms, args)
  SELECT place, id, lane, rank, timeout, heartbeat_timeout, trace_parent, labels::jsonb, terms::jsonb, args FROM added
),
readied AS (
  INSERT INTO longshore.ready (place, id, lane, state, rank, version, queued)
  SELECT place, id, lane, 3, rank, 1, now FROM added
),
counted AS (
  INSERT INTO longshore.count_differences (lane, pending, bytes) SELECT lane, count(*), sum(octet_length(args)) FROM added GROUP BY lane
),
logged AS (
  INSERT INTO longshore.changes (xact, part, server, at, ids, places, lanes, ranks, was, states, attempts, versions, deleted)
  SELECT pg_current_xact_id(), $11, $10, now, array_agg(id), array_agg(place), array_agg(lane), array_agg(rank),
    array_fill(0::smallint, ARRAY[count(*)::int]), array_fill(3::smallint, ARRAY[count(*)::int]),
    array_fill(0::bigint, ARRAY[count(*)::int]), array_fill(1::bigint, ARRAY[count(*)::int]), false
  FROM added GROUP BY now
)
SELECT n, place, id, now FROM added`
	addJobs        = addJobsBegin + keyedJobs + addThem
	addJobsKeyless = addJobsBegin + keylessJobs + addThem
)

// addJobsPart is the part of a round that adds the jobs of several calls, in their order.
type addJobsPart struct {
	*adding
	store   *Store
	found   []enqueueAnswer
	changes []changed
	at      time.Time
}

func (s *Store) prepareEnqueue(calls []enqueueCall) (prepared[enqueueAnswer], error) {
	lost := s.lanes.lost()
	if slices.ContainsFunc(calls, func(c enqueueCall) bool { return c.losses != lost }) {
		return nil, errLanesForgotten
	}
	in, err := newAdding(calls)
	if err != nil {
		return nil, err
	}
	return &addJobsPart{adding: in, store: s}, nil
}

func (p *addJobsPart) queue(batch *pgx.Batch, number int16) {
	in := p.adding
	statement := addJobsKeyless
	args := []any{
		in.lanes, in.ranks, in.args, in.labels, in.terms, in.traces, in.timeouts, in.heartbeats, in.calls, p.store.id, number,
	}
	if in.keyed {
		statement = addJobs
		args = append(args, in.hashes, in.digests, p.store.onceTTL.Microseconds())
	}
	batch.Queue(statement, args...).Query(p.read)
}

func (p *addJobsPart) read(rows pgx.Rows) error {
	in := p.adding
	p.found, p.changes = make([]enqueueAnswer, len(in.sizes)), make([]changed, 0, len(in.jobs))
	for rows.Next() {
		var (
			n, place int64
			id       uuid.UUID
		)
		if err := rows.Scan(&n, &place, (*[16]byte)(&id), &p.at); err != nil {
			return err
		}
		p.at = p.at.UTC()
		j := &in.jobs[n-1]
		j.ID = id
		record, _ := j.Admit(nil, p.at)
		call := in.calls[n-1] - 1
		if p.found[call] == nil {
			p.found[call] = make(enqueueAnswer, 0, in.sizes[call])
		}
		p.found[call] = append(p.found[call], queue.Enqueued{Status: queue.StatusOf(j, &record, queue.Outcome{})})
		p.changes = append(p.changes, changed{
			id: id, place: place, lane: in.lanes[n-1], rank: in.ranks[n-1], state: queue.Pending, version: record.Version,
		})
	}
	return rows.Err()
}

func (p *addJobsPart) answers(ctx context.Context) []enqueueAnswer {
	p.store.applyOwn(ctx, p.at, p.changes)
	return p.found
}

// adding are the jobs of several calls, column by column.
type adding struct {
	jobs                  []queue.Job
	lanes                 []int32
	ranks                 []int16
	args                  [][]byte
	labels, terms, traces []*string
	timeouts, heartbeats  []*int64
	calls                 []int64 // by job, counting from 1
	sizes                 []int   // how many jobs each call has
	hashes, digests       [][]byte
	keyed                 bool
}

func newAdding(calls []enqueueCall) (*adding, error) {
	in, n := new(adding), 0
	for i := range calls {
		in.sizes = append(in.sizes, len(calls[i].jobs))
		n += len(calls[i].jobs)
	}
	in.jobs, in.lanes, in.ranks, in.args = make([]queue.Job, 0, n), make([]int32, 0, n), make([]int16, 0, n), make([][]byte, 0, n)
	in.labels, in.terms, in.traces = make([]*string, 0, n), make([]*string, 0, n), make([]*string, 0, n)
	in.timeouts, in.heartbeats, in.calls = make([]*int64, 0, n), make([]*int64, 0, n), make([]int64, 0, n)
	for i := range calls {
		call := &calls[i]
		var hash, digest []byte
		if call.once.Given() {
			in.keyed = true
			hash, digest = hashOf(call.once.Key), call.once.Digest[:]
		}
		in.hashes, in.digests = append(in.hashes, hash), append(in.digests, digest)
		for k := range call.jobs {
			j := call.jobs[k].Job(uuid.Nil, nil, time.Time{})
			d, err := defineJob(&j)
			if err != nil {
				return nil, err
			}
			in.jobs = append(in.jobs, j)
			in.lanes = append(in.lanes, call.lanes[k])
			in.ranks = append(in.ranks, rankOf(j.Priority))
			in.args = append(in.args, j.Args)
			in.labels, in.terms, in.traces = append(in.labels, d.labels), append(in.terms, d.terms), append(in.traces, d.traceParent)
			in.timeouts, in.heartbeats = append(in.timeouts, d.timeout), append(in.heartbeats, d.heartbeatTimeout)
			in.calls = append(in.calls, int64(i+1))
		}
	}
	return in, nil
}
