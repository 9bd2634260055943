package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// RequeueOrFinishJob implements queue.JobQueue.
func (s *Store) RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.finishOrReport(ctx, token, requeueOrFinish(maxRetries, outcome))
}

// Fail reports that a lease's run failed. If the failure is retryable and the job's policy has an
// attempt left, the job waits for its next run; else it is failed. It returns the state that the
// job is in then. Repeated, it is answered as RequeueOrFinishJob answers; so is a lease that is
// over. ErrNotExist, ErrLeaseLost, ErrCanceled, ErrAlreadyReported.
func (s *Store) Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.report(ctx, token, fail(failure))
}

// Release gives a lease's job back: it waits at its old place in line, from now or after delay, and
// nothing is counted against it. It returns the state that the job is in then. The same again is
// answered the same; if the job was canceled meanwhile there is nothing to give back, and that is
// no error. ErrLeaseLost if the lease is over otherwise, ErrNotExist.
func (s *Store) Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.report(ctx, token, release(delay))
}

// ending is one way to end a lease.
type ending struct {
	outcome *queue.Outcome    // what the job is left with, if it is over then
	digest  [sha256.Size]byte // of what was reported, if that is how it ends
	plain   bool              // the job is finished, whatever it was before
	// rule says what becomes of the job.
	rule func(j *queue.Job, r queue.Record, now time.Time) (queue.Record, queue.End, error)
	// again answers when the lease is over already.
	again func(queue.EndedLease) (queue.State, error)
}

func requeueOrFinish(maxRetries uint64, outcome queue.Outcome) *ending {
	if outcome.Error == nil && len(outcome.Result) == 0 {
		outcome.Result = json.RawMessage("null")
	}
	digest := outcome.Digest()
	return &ending{
		outcome: &outcome, digest: digest, plain: maxRetries == 0 && outcome.Error == nil,
		rule: func(_ *queue.Job, r queue.Record, now time.Time) (queue.Record, queue.End, error) {
			return r.RequeueOrFinish(maxRetries, outcome, now)
		},
		again: func(ended queue.EndedLease) (queue.State, error) { return ended.Report(digest) },
	}
}

func fail(failure queue.Failure) *ending {
	digest := failure.Digest()
	return &ending{
		outcome: &queue.Outcome{Error: &failure.Error}, digest: digest,
		rule: func(j *queue.Job, r queue.Record, now time.Time) (queue.Record, queue.End, error) {
			next, err := r.Fail(failure, j.Retry, rand.Float64(), now) //nolint:gosec // not for secrets
			return next, queue.EndReported, err
		},
		again: func(ended queue.EndedLease) (queue.State, error) { return ended.Report(digest) },
	}
}

func release(delay time.Duration) *ending {
	return &ending{
		rule: func(_ *queue.Job, r queue.Record, now time.Time) (queue.Record, queue.End, error) {
			next, err := r.Release(delay, now)
			return next, queue.EndReleased, err
		},
		again: queue.EndedLease.Release,
	}
}

// finishOrReport ends a lease in the cheap way, if that can be.
func (s *Store) finishOrReport(ctx context.Context, token uuid.UUID, e *ending) (queue.State, error) {
	if e.plain {
		done, err := s.finishes.do(finishCall{{token: token, ending: e}})
		if err == nil && done[0] {
			return queue.Finished, nil
		}
		if err != nil && !errors.Is(err, queue.ErrUnavailable) {
			return 0, err
		}
		// If nobody knows whether it is finished, to report it again tells.
	}
	return s.report(ctx, token, e)
}

// finishCall are leases whose jobs are to be finished by one caller.
type finishCall []reportCall

// finishAnswer tells of each whether it was; if not, the lease may be over, or locked at the moment,
// or there is more to do.
type finishAnswer []bool

const finishLeases = `
WITH clock AS MATERIALIZED (SELECT longshore.now() AS now),
given AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[]) WITH ORDINALITY AS g(place, secret, result, digest, n)
),
found AS MATERIALIZED (
  SELECT l.*, g.result, g.digest, g.n, clock.now
  FROM given g JOIN longshore.leases l ON l.place = g.place, clock
  WHERE l.secret = g.secret AND l.ties = 0
  FOR UPDATE OF l SKIP LOCKED
),
gone AS (DELETE FROM longshore.leases WHERE place = ANY (ARRAY(SELECT place FROM found))),
done AS (
  INSERT INTO longshore.ended (place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, queued,
    started, finished, run_at, worker, principal, secret, how, digest, result)
  SELECT place, id, lane, 5, rank, version + 1, attempt, retries, failures, timeouts, generation, queued,
    started, now, run_at, worker, principal, secret, 1, digest, result
  FROM found
),
counted AS (
  INSERT INTO longshore.count_differences (lane, running, finished, bytes)
  SELECT lane, -count(*), count(*), -sum(octet_length(args)) FROM longshore.jobs WHERE place = ANY (ARRAY(SELECT place FROM found)) GROUP BY lane
),
logged AS (
  INSERT INTO longshore.changes (xact, part, server, at, ids, places, lanes, ranks, was, states, attempts, versions, deleted)
  SELECT pg_current_xact_id(), $6, $5, now, array_agg(id), array_agg(place), array_agg(lane), array_agg(rank),
    array_fill(4::smallint, ARRAY[count(*)::int]), array_fill(5::smallint, ARRAY[count(*)::int]), array_agg(attempt), array_agg(version + 1), false
  FROM found GROUP BY now
)
SELECT n, id, lane, rank, attempt, version + 1, now, started FROM found`

// finishPart is the part of a round that finishes the jobs of leases that nothing is tied to.
type finishPart struct {
	store            *Store
	places           []int64
	secrets          [][16]byte
	results, digests [][]byte
	finished         []bool
	sizes            []int // of the calls
	changes          []changed
	at               time.Time
}

func (s *Store) prepareFinish(calls []finishCall) (prepared[finishAnswer], error) {
	p := &finishPart{store: s}
	seen := make(map[uuid.UUID]struct{}, len(calls))
	for _, call := range calls {
		p.sizes = append(p.sizes, len(call))
		for i := range call {
			place, secret := cutToken(call[i].token)
			if _, again := seen[call[i].token]; again {
				place = 0 // which no job has: one of them finishes it, and the others are told of that when they report again
			}
			seen[call[i].token] = struct{}{}
			p.places, p.secrets = append(p.places, place), append(p.secrets, secret)
			p.results, p.digests = append(p.results, call[i].ending.outcome.Result), append(p.digests, call[i].ending.digest[:])
		}
	}
	return p, nil
}

func (p *finishPart) queue(batch *pgx.Batch, number int16) {
	batch.Queue(finishLeases, p.places, p.secrets, p.results, p.digests, p.store.id, number).Query(p.read)
}

func (p *finishPart) read(rows pgx.Rows) error {
	p.finished, p.changes = make([]bool, len(p.places)), nil
	for rows.Next() {
		var n int64
		c := changed{was: queue.Running, state: queue.Finished, end: queue.EndReported}
		if err := rows.Scan(&n, (*[16]byte)(&c.id), &c.lane, &c.rank, &c.attempt, &c.version, &p.at, &c.since); err != nil {
			return err
		}
		c.place = p.places[n-1]
		p.finished[n-1] = true
		p.changes = append(p.changes, c)
	}
	return rows.Err()
}

func (p *finishPart) answers(ctx context.Context) []finishAnswer {
	p.store.applyOwn(ctx, p.at.UTC(), p.changes)
	answers := make([]finishAnswer, len(p.sizes))
	left := p.finished
	for i, size := range p.sizes {
		answers[i], left = left[:size:size], left[size:]
	}
	return answers
}

type reportCall struct {
	token  uuid.UUID
	ending *ending
}

type reportAnswer struct {
	state queue.State
	err   error
}

// report ends a lease. The token fences the change: a lease that is over changes nothing.
func (s *Store) report(ctx context.Context, token uuid.UUID, e *ending) (queue.State, error) {
	answers, err := s.reports.do(reportCall{token: token, ending: e}, func(calls []reportCall) ([]reportAnswer, error) {
		return s.reportMany(ctx, calls)
	})
	if err != nil {
		return 0, err
	}
	return answers.state, answers.err
}

// reportMany ends leases in one change. One that is refused harms no other.
func (s *Store) reportMany(ctx context.Context, calls []reportCall) ([]reportAnswer, error) {
	var answers []reportAnswer
	err := s.change(ctx, func(c *change) (err error) {
		answers, err = c.reportAll(calls)
		return err
	})
	return answers, err
}

func (c *change) reportAll(calls []reportCall) ([]reportAnswer, error) {
	places := make([]int64, len(calls))
	for i := range calls {
		places[i], _ = cutToken(calls[i].token)
	}
	if err := c.readPlaces(distinct(places)); err != nil {
		return nil, err
	}
	answers := make([]reportAnswer, len(calls))
	for i := range calls {
		state, err := c.reportOne(calls[i].token, calls[i].ending)
		if err != nil && !refused(err) {
			return nil, err
		}
		answers[i] = reportAnswer{state: state, err: err}
	}
	return answers, nil
}

// reportOne ends a lease whose job was read. If it is refused it has changed nothing.
func (c *change) reportOne(token uuid.UUID, e *ending) (queue.State, error) {
	place, secret := cutToken(token)
	r := c.rows[place]
	if r == nil || r.State != queue.Running || r.lease.secret != secret {
		ended, err := c.endedLease(place, secret)
		if err != nil {
			return 0, err
		}
		return e.again(ended)
	}
	j, err := c.job(r)
	if err != nil && !errors.Is(err, queue.ErrDamaged) { // then it has no policy, and its lease ends all the same
		return 0, err
	}
	next, how, err := e.rule(&j, r.Record, c.now)
	if err != nil {
		return 0, fmt.Errorf("end the lease of job %s: %w", r.id, err)
	}
	return next.State, c.endLease(r, next, how, e.digest[:], e.outcome)
}

// endedLease returns what is remembered of a lease that is over, as far as this change has come.
// ErrNotExist.
func (c *change) endedLease(place int64, secret uuid.UUID) (queue.EndedLease, error) {
	r := c.rows[place]
	if r == nil || r.hidden || r.deleted {
		return queue.EndedLease{}, queue.ErrNotExist
	}
	if r.State.Over() && r.end.how != 0 && r.end.secret == secret {
		return endedOf(r.id, r.Attempt, r.end.how, r.State, r.end.digest), nil
	}
	for i := range c.writes.attempts {
		if a := &c.writes.attempts[i]; a.place == place && a.secret == secret {
			return endedOf(r.id, a.Number, a.End, a.State, a.digest), nil
		}
	}
	a, err := readAttemptBySecret(c.ctx, c.tx, place, secret)
	return endedOf(r.id, a.Number, a.End, a.State, a.digest), err
}

func endedOf(id uuid.UUID, attempt uint64, how queue.End, state queue.State, digest []byte) queue.EndedLease {
	ended := queue.EndedLease{JobID: id, Attempt: attempt, End: how, State: state}
	copy(ended.Digest[:], digest)
	return ended
}
