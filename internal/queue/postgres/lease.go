package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// ended is what is remembered of a lease that is over, with what the job's lease was told.
const (
	readLease = `
SELECT j.id, j.lane, r.attempt, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.args, j.edges
FROM longshore.leases r JOIN longshore.jobs j ON j.place = r.place WHERE r.place = $1 AND r.secret = $2`
	readEndedLease = `
SELECT r.id, r.attempt, r.how, r.state, r.digest FROM longshore.ended r
WHERE r.place = $1 AND r.secret = $2 AND r.how IS NOT NULL AND NOT r.hidden
UNION ALL
SELECT j.id, a.number, a.how, a.state, a.digest FROM longshore.attempts a JOIN longshore.jobs j ON j.place = a.place
WHERE a.place = $1 AND a.secret = $2`
	readLeasedJob = `
SELECT j.id, j.lane, 0::bigint, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.args, j.edges
FROM longshore.jobs j WHERE j.place = $1`
	readAttempt = `SELECT number, how, state, digest FROM longshore.attempts WHERE place = $1 AND secret = $2`
)

// endedLease returns what is remembered of a lease that is over. ErrNotExist if no lease ever had
// the token, or its job was deleted.
func (s *Store) endedLease(ctx context.Context, token uuid.UUID) (ended queue.EndedLease, err error) {
	place, secret := cutToken(token)
	err = s.database(ctx, func(ctx context.Context) error {
		var how, state int16
		var digest []byte
		err := s.pool.QueryRow(ctx, readEndedLease, place, secret).Scan(&ended.JobID, &ended.Attempt, &how, &state, &digest)
		if errors.Is(err, pgx.ErrNoRows) {
			return queue.ErrNotExist
		}
		ended.End, ended.State = queue.End(how), queue.State(state) //nolint:gosec // the table's own
		copy(ended.Digest[:], digest)
		return err
	})
	return ended, err
}

// readAttemptBySecret returns a lease that ended before its job did. ErrNotExist.
func readAttemptBySecret(ctx context.Context, from reader, place int64, secret uuid.UUID) (a attempt, err error) {
	var how, state int16
	err = from.QueryRow(ctx, readAttempt, place, secret).Scan(&a.Number, &how, &state, &a.digest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = queue.ErrNotExist
	}
	a.End, a.State = queue.End(how), queue.State(state) //nolint:gosec // the table's own
	return a, err
}

// IdFromToken implements queue.JobQueue.
func (s *Store) IdFromToken(ctx context.Context, token uuid.UUID) (id uuid.UUID, err error) {
	if err := s.enter(); err != nil {
		return uuid.Nil, err
	}
	defer s.leave()
	place, secret := cutToken(token)
	err = s.database(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, `SELECT id FROM longshore.leases WHERE place = $1 AND secret = $2`, place, secret).Scan(&id)
	})
	if !errors.Is(err, pgx.ErrNoRows) {
		return id, err
	}
	ended, err := s.endedLease(ctx, token)
	if err == nil && ended.End != queue.EndCanceled {
		err = queue.ErrNotExist
	}
	return ended.JobID, err
}

// Lease returns the lease and its job, without counting as a heartbeat. ErrNotExist if no lease
// ever had the token; ErrLeaseLost if it is over, unless that is because its job was canceled.
func (s *Store) Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	l, _, err := s.lookAtLease(ctx, token, queue.MaxLeaseResults)
	return l, err
}

// WholeLease is Lease, and nothing of it is withheld.
func (s *Store) WholeLease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	l, _, err := s.lookAtLease(ctx, token, queue.MaxDependencyBytes)
	return l, err
}

// lookAtLease is Lease, with up to so many bytes of results, and tells of one that is over how it ended.
func (s *Store) lookAtLease(ctx context.Context, token uuid.UUID, most int64) (queue.Lease, queue.End, error) {
	place, secret := cutToken(token)
	l, err := s.readLeased(ctx, token, most, readLease, place, secret)
	if !errors.Is(err, pgx.ErrNoRows) {
		return l, 0, err
	}
	ended, err := s.endedLease(ctx, token)
	if err != nil {
		return queue.Lease{}, 0, err
	}
	canceled, err := ended.Beat()
	if err != nil {
		return queue.Lease{}, ended.End, err
	}
	l, err = s.readLeased(ctx, token, most, readLeasedJob, place)
	if errors.Is(err, pgx.ErrNoRows) {
		err = queue.ErrNotExist // it was deleted at this moment
	}
	l.Canceled, l.Attempt = canceled, ended.Attempt
	return l, ended.End, err
}

func (s *Store) readLeased(ctx context.Context, token uuid.UUID, most int64, statement string, args ...any) (queue.Lease, error) {
	place, _ := cutToken(token)
	g := grant{changed: changed{place: place}}
	var d jobColumns
	err := s.database(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, statement, args...).Scan(
			&g.id, &g.lane, &g.attempt, &d.timeout, &d.heartbeatTimeout, &d.traceParent, &d.labels, &g.args, &g.edges)
	})
	if err != nil {
		return queue.Lease{}, err
	}
	lane, err := s.laneOf(ctx, g.lane)
	if err != nil {
		return queue.Lease{}, err
	}
	j, err := jobOf(g.id, lane, &d.definition)
	if err != nil {
		return queue.Lease{}, err
	}
	known, err := s.dependenciesOf(ctx, []grant{g}, most)
	if err != nil {
		return queue.Lease{}, err
	}
	return leaseOf(&j, token, g.attempt, g.args, known[g.place]), nil
}

const staleLeases = `
SELECT place, secret FROM longshore.leases, (SELECT longshore.now() AS now) AS clock
WHERE beat <= now - coalesce(heartbeat_timeout, $1::bigint) / 1000 * interval '1 microsecond'
  AND coalesce(heartbeat_timeout, $1::bigint) <= $2::bigint
ORDER BY beat LIMIT 10000`

// Heartbeats implements queue.JobQueue. It returns those first that have been silent longest, and
// not more than some thousands: the others are there when it is asked again. The end of an outage
// counts as a beat of every lease, because nobody could send one before.
func (s *Store) Heartbeats(ctx context.Context, olderThan time.Duration) (tokens []uuid.UUID, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	for {
		ended := s.outage.end()
		back := time.Duration(math.MaxInt64)
		if !ended.IsZero() {
			back = time.Since(ended)
		}
		tokens, err := s.stale(ctx, olderThan, back)
		if s.outage.end().Equal(ended) {
			return tokens, err
		} // else there was an outage, as this statement is the first one to find out
	}
}

// stale returns leases that are silent, if the database has been back for as long as they may be.
func (s *Store) stale(ctx context.Context, olderThan, back time.Duration) (tokens []uuid.UUID, err error) {
	err = s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, staleLeases, int64(olderThan), int64(back))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var place int64
			var secret uuid.UUID
			if err := rows.Scan(&place, &secret); err != nil {
				return err
			}
			tokens = append(tokens, tokenOf(place, secret))
		}
		return rows.Err()
	})
	return tokens, err
}

// beatAnswer is what a lease that has beaten is told.
type beatAnswer struct{ heartbeatTimeout time.Duration }

const beatLeases = `
WITH found AS MATERIALIZED (
  SELECT l.place, g.n
  FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS g(place, secret, n) JOIN longshore.leases l ON l.place = g.place
  WHERE l.secret = g.secret
  FOR UPDATE OF l SKIP LOCKED
)
UPDATE longshore.leases l SET beat = clock.now
FROM found f, (SELECT longshore.now() AS now) AS clock
WHERE l.place = f.place
RETURNING f.n, l.heartbeat_timeout`

// beatPart is the part of a round that resets the last beats of leases. It answers nil for those
// that are over, or locked.
type beatPart struct {
	places  []int64
	secrets [][16]byte
	found   []*beatAnswer
}

func prepareBeats(tokens []uuid.UUID) (prepared[*beatAnswer], error) {
	p := &beatPart{places: make([]int64, len(tokens)), secrets: make([][16]byte, len(tokens))}
	for i, token := range tokens {
		p.places[i], p.secrets[i] = cutToken(token)
	}
	return p, nil
}

func (p *beatPart) queue(batch *pgx.Batch, _ int16) {
	batch.Queue(beatLeases, p.places, p.secrets).Query(func(rows pgx.Rows) error {
		p.found = make([]*beatAnswer, len(p.places))
		for rows.Next() {
			var n int64
			var timeout *int64
			if err := rows.Scan(&n, &timeout); err != nil {
				return err
			}
			p.found[n-1] = &beatAnswer{heartbeatTimeout: durationOf(timeout)}
		}
		return rows.Err()
	})
}

func (p *beatPart) answers(context.Context) []*beatAnswer { return p.found }

// RefreshHeartbeat implements queue.JobQueue.
func (s *Store) RefreshHeartbeat(ctx context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
	if err := s.enter(); err != nil {
		return queue.BeatAnswer{}, err
	}
	defer s.leave()
	if beat.Empty() {
		answer, err := s.beats.do(token)
		if err != nil {
			return queue.BeatAnswer{}, err
		}
		if answer != nil {
			return queue.BeatAnswer{HeartbeatTimeout: answer.heartbeatTimeout}, nil
		}
	}
	var answer queue.BeatAnswer
	err := s.change(ctx, func(c *change) (err error) {
		answer, err = c.beat(token, beat)
		return err
	})
	return answer, err
}

// beat resets a lease's last beat and keeps what the beat says.
func (c *change) beat(token uuid.UUID, beat queue.Beat) (answer queue.BeatAnswer, err error) {
	place, secret := cutToken(token)
	if err := c.readPlaces([]int64{place}); err != nil {
		return answer, err
	}
	r := c.rows[place]
	if r == nil || r.State != queue.Running || r.lease.secret != secret {
		ended, err := c.endedLease(place, secret)
		if err != nil {
			return answer, err
		}
		if answer.Canceled, err = ended.Beat(); err != nil {
			return answer, err
		}
		answer.HeartbeatTimeout = durationOf(c.definitions[place].heartbeatTimeout)
		return answer, nil
	}
	answer.HeartbeatTimeout = r.lease.heartbeatTimeout
	r.lease.beat = c.now
	next := r.Record
	if !beat.Empty() {
		next = next.Note()
		c.report(r, beat)
	}
	c.set(r, next)
	return answer, nil
}

const keepReported = `
INSERT INTO longshore.reported AS p (place, progress, percent, message, partial) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (place) DO UPDATE SET
  progress = excluded.progress OR p.progress,
  percent = CASE WHEN excluded.progress THEN excluded.percent ELSE p.percent END,
  message = CASE WHEN excluded.progress THEN excluded.message ELSE p.message END,
  partial = coalesce(excluded.partial, p.partial)`

// report keeps what a worker says of its run; what it does not speak of stays.
func (c *change) report(r *tracked, beat queue.Beat) {
	var percent *float64
	var message string
	if beat.Progress != nil {
		percent, message = beat.Progress.Percent, beat.Progress.Message
	}
	r.ties |= tieReported
	c.writes.add(keepReported, r.place, beat.Progress != nil, percent, []byte(message), []byte(beat.PartialResult))
}

// reportedOf makes what a status shows of the columns that it is in.
func reportedOf(progress *bool, percent *float64, message, partial []byte) (*queue.Progress, json.RawMessage) {
	var p *queue.Progress
	if progress != nil && *progress {
		p = &queue.Progress{Percent: percent, Message: string(message)}
	}
	return p, partial
}
