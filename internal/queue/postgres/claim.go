package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// grant is a lease that was granted.
type grant struct {
	changed
	secret           uuid.UUID
	started          time.Time
	args             []byte
	labels           *string
	traceParent      *string
	timeout          *int64
	heartbeatTimeout *int64
	edges            int
	caller           int32 // whom the lease is recorded for, counting from 1
	known            bool  // the call has leases already: this one is not for it
	passed           int64 // the first place in its line that somebody else had locked, and the claim has passed; 0 if there is none
}

func (g *grant) token() uuid.UUID { return tokenOf(g.place, g.secret) }

// A claim takes the first jobs of one line or of several. Of several, those that come first in all
// are found before any is locked, so that none is locked in vain; of one, they are locked as they
// are found, so that two servers find different ones. What somebody else has locked may be left as it was,
// and nobody says so: where the first of it stands comes with what was found. Where that has no gaps,
// nothing was passed, and nothing is looked for.
//
// Of several, no more are looked at than are wanted ($4): while others have all of these locked, nothing is found.
// Then another claim is made at once that looks at claimSize more, which is what a claim of somebody else has locked at most: who
// does not wait is told what that one has found. As long as something is left there are more of them, up to
// longestPause apart, which look at ever more, up to mostPassed. So a job that is not locked, and has no more than mostPassed
// locked ones before it, is found within about three times longestPause; any other one as soon after those were let go.
const (
	firstOfOne = `
candidate AS MATERIALIZED (
  SELECT r.ctid AS at, r.rank, r.place FROM longshore.ready r, clock
  WHERE r.lane = ($1::int[])[1] AND r.rank = ($2::smallint[])[1] AND r.place >= ($3::bigint[])[1]
    AND (r.expires_at IS NULL OR r.expires_at > clock.now)
  ORDER BY r.place LIMIT $4 FOR UPDATE OF r SKIP LOCKED
),
passed AS MATERIALIZED (
  SELECT r.lane, r.rank, r.place FROM longshore.ready r
  WHERE (SELECT max(place) - ($3::bigint[])[1] >= count(*) FROM candidate)
    AND r.lane = ($1::int[])[1] AND r.rank = ($2::smallint[])[1] AND r.place >= ($3::bigint[])[1]
    AND r.place < (SELECT max(place) FROM candidate) AND r.place NOT IN (SELECT place FROM candidate)
    AND (r.expires_at IS NULL OR r.expires_at > (SELECT now FROM clock))
  ORDER BY r.place LIMIT 1
)`
	firstOfMany = `
seen AS MATERIALIZED (
  SELECT f.lane, f.rank, r.place
  FROM unnest($1::int[], $2::smallint[], $3::bigint[]) AS f(lane, rank, floor), clock
  CROSS JOIN LATERAL (
    SELECT r.place FROM longshore.ready r
    WHERE r.lane = f.lane AND r.rank = f.rank AND r.place >= f.floor AND (r.expires_at IS NULL OR r.expires_at > clock.now)
    ORDER BY r.place LIMIT $4
  ) r
  ORDER BY f.rank, r.place LIMIT $4
),
candidate AS MATERIALIZED (
  SELECT r.ctid AS at, r.rank, r.place FROM seen c
  JOIN longshore.ready r ON r.lane = c.lane AND r.rank = c.rank AND r.place = c.place
  ORDER BY c.rank, c.place LIMIT cardinality($8::int[]) FOR UPDATE OF r SKIP LOCKED
),
passed AS MATERIALIZED (
  SELECT lane, rank, min(place) AS place FROM seen WHERE place NOT IN (SELECT place FROM candidate) GROUP BY lane, rank
)`
	claimBegin = `WITH clock AS MATERIALIZED (SELECT longshore.now() AS now),`
	// Who gets which of them is decided while they are few bytes each, and is the number of a caller
	// because to find something in an array of texts takes the longer the further back it is. A job whose
	// row in jobs is lost is taken out of line, and has no edges: nobody can do it, or knows how large it was.
	claimThem = `,
taken AS (
  DELETE FROM longshore.ready r
  USING (SELECT at, n, ($8::int[])[n] AS caller FROM (SELECT at, row_number() OVER (ORDER BY rank, place) AS n FROM candidate) c) c
  WHERE r.ctid = c.at
  RETURNING r.*, c.n, c.caller
),
found AS MATERIALIZED (
  SELECT t.*, clock.now, j.timeout, j.heartbeat_timeout, j.args, j.labels, j.trace_parent, j.edges
  FROM taken t CROSS JOIN clock LEFT JOIN longshore.jobs j ON j.place = t.place
),
granted AS NOT MATERIALIZED (SELECT * FROM found WHERE edges IS NOT NULL),
leased AS (
  INSERT INTO longshore.leases (place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open,
    queued, started, run_at, worker, principal, ties, secret, beat, timeout, heartbeat_timeout, deadline)
  SELECT place, id, lane, 4, rank, version + 1, attempt + 1, retries, failures, timeouts, generation, open,
    queued, now, run_at, ($6::text[])[caller], ($7::text[])[caller], ties & ~4, ($5::uuid[])[n], now, timeout, heartbeat_timeout,
    now + timeout / 1000 * interval '1 microsecond'
  FROM granted
),
unreported AS (
  DELETE FROM longshore.reported p USING granted g WHERE g.ties & 4 <> 0 AND p.place = g.place
),
counted AS (
  INSERT INTO longshore.count_differences (lane, pending, running, bytes)
  SELECT lane, -count(*), count(edges), CASE WHEN count(*) = count(edges) THEN 0 END FROM found GROUP BY lane
),
logged AS (
  INSERT INTO longshore.changes (xact, part, server, at, ids, places, lanes, ranks, was, states, attempts, versions, deleted)
  SELECT pg_current_xact_id(), $10, $9, now, array_agg(id), array_agg(place), array_agg(lane), array_agg(rank),
    array_fill(3::smallint, ARRAY[count(*)::int]), array_fill(4::smallint, ARRAY[count(*)::int]), array_agg(attempt + 1), array_agg(version + 1), false
  FROM (SELECT id, place, lane, rank, attempt, version, now FROM granted ORDER BY n) g GROUP BY now
)`
	claimKeyed = `,
kept AS (
  INSERT INTO longshore.calls (hash, digest, until, places, secrets)
  SELECT ($11::bytea[])[caller], ($12::bytea[])[caller], now + $13::bigint * interval '1 microsecond', array_agg(place), array_agg(($5::uuid[])[n])
  FROM granted WHERE ($11::bytea[])[caller] IS NOT NULL GROUP BY caller, now ORDER BY 1
  ON CONFLICT (hash) DO UPDATE SET digest = excluded.digest, until = excluded.until, jobs = NULL, places = excluded.places, secrets = excluded.secrets
  WHERE calls.secrets IS NULL OR calls.until <= excluded.until - $13::bigint * interval '1 microsecond'
  RETURNING hash
)`
	claimed = `
SELECT n, place, id, lane, rank, version + 1, attempt + 1, now, args, labels, trace_parent, timeout, heartbeat_timeout, edges,
  greatest(queued, run_at), coalesce((SELECT p.place FROM passed p WHERE p.lane = found.lane AND p.rank = found.rank), 0), `
	claimedKeyless = claimed + `false FROM found`
	claimedKeyed   = claimed + `($11::bytea[])[caller] IS NOT NULL AND NOT EXISTS (SELECT FROM kept WHERE hash = ($11::bytea[])[caller]) FROM found`
)

// The claims that there are: of one line and of several, and whether a caller has an idempotency key.
const (
	claimOne       = claimBegin + firstOfOne + claimThem + claimedKeyless
	claimMany      = claimBegin + firstOfMany + claimThem + claimedKeyless
	claimOneKeyed  = claimBegin + firstOfOne + claimThem + claimKeyed + claimedKeyed
	claimManyKeyed = claimBegin + firstOfMany + claimThem + claimKeyed + claimedKeyed
)

// claimOrder is one claim: who wants the jobs that are found, one after the other.
type claimOrder struct {
	search     searched
	most       int
	beyond     int // how many more of the first jobs of several lines it looks at
	secrets    [][16]byte
	callers    []int32  // by lease, counting from 1
	workers    []string // by caller, and so are those that follow
	principals []string
	hashes     [][]byte
	digests    [][]byte
	keyed      bool
	grants     []grant     // that were found
	lost       []uuid.UUID // jobs that were found, and of which nothing else is left
}

// want adds that somebody wants so many more.
func (o *claimOrder) want(n int, to queue.Holder, once queue.Once) {
	var hash, digest []byte
	if once.Given() {
		o.keyed = true
		hash, digest = hashOf(once.Key), once.Digest[:]
	}
	o.workers, o.principals = append(o.workers, to.Worker), append(o.principals, to.Principal)
	o.hashes, o.digests = append(o.hashes, hash), append(o.digests, digest)
	for range n {
		o.secrets, o.callers = append(o.secrets, newSecret()), append(o.callers, int32(len(o.workers))) //nolint:gosec // few
	}
	o.most += n
}

// hashesOfLeases returns what hashes has, by lease.
func (o *claimOrder) hashesOfLeases() [][]byte {
	hashes := make([][]byte, len(o.callers))
	for i, caller := range o.callers {
		hashes[i] = o.hashes[caller-1]
	}
	return hashes
}

// queueClaim adds the statement of an order.
func (s *Store) queueClaim(batch *pgx.Batch, o *claimOrder, number int16) {
	in := &o.search
	args := []any{in.lanes, in.ranks, in.floors, o.look(), o.secrets, o.workers, o.principals, o.callers, s.id, number}
	if o.keyed {
		args = append(args, o.hashes, o.digests, s.onceTTL.Microseconds())
	}
	batch.Queue(o.statement(), args...).Query(o.read)
}

// look is how many of the first jobs the order looks at.
func (o *claimOrder) look() int {
	if o.search.isOfOne() {
		return o.most
	}
	return o.most + o.beyond
}

// isNarrow reports whether there may be jobs that nobody has locked behind those that it looks at.
func (o *claimOrder) isNarrow() bool { return !o.search.isOfOne() && o.beyond == 0 }

func (o *claimOrder) statement() string {
	switch one := o.search.isOfOne(); {
	case one && o.keyed:
		return claimOneKeyed
	case one:
		return claimOne
	case o.keyed:
		return claimManyKeyed
	default:
		return claimMany
	}
}

// applyGrants is applyOwn for leases.
func (s *Store) applyGrants(ctx context.Context, grants []grant) {
	if len(grants) == 0 {
		return
	}
	changes := make([]changed, len(grants))
	for i := range grants {
		changes[i] = grants[i].changed
	}
	s.applyOwn(ctx, grants[0].started, changes)
}

func (o *claimOrder) read(rows pgx.Rows) error {
	o.grants, o.lost = make([]grant, 0, o.most), nil
	for rows.Next() {
		var n int64
		var edges *int
		var g grant
		g.was, g.state = queue.Pending, queue.Running
		if err := rows.Scan(&n, &g.place, (*[16]byte)(&g.id), &g.lane, &g.rank, &g.version, &g.attempt, &g.started, &g.args, &g.labels, &g.traceParent,
			&g.timeout, &g.heartbeatTimeout, &edges, &g.since, &g.passed, &g.known); err != nil {
			return err
		}
		if edges == nil {
			o.lost = append(o.lost, g.id)
			continue
		}
		g.edges = *edges
		if g.attempt != 1 {
			g.since = time.Time{} // nobody knows since when it has waited for another one
		}
		g.secret, g.caller, g.started = o.secrets[n-1], o.callers[n-1], g.started.UTC()
		o.grants = append(o.grants, g)
	}
	// To have them sorted there would copy what they have.
	slices.SortFunc(o.grants, func(a, b grant) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.place, b.place)) })
	return rows.Err()
}

const firstReady = `
SELECT f.lane, f.rank, r.place
FROM unnest($1::int[], $2::smallint[], $3::bigint[]) AS f(lane, rank, floor), (SELECT longshore.now() AS now) AS clock
CROSS JOIN LATERAL (
  SELECT r.place FROM longshore.ready r
  WHERE r.lane = f.lane AND r.rank = f.rank AND r.place >= f.floor AND (r.expires_at IS NULL OR r.expires_at > clock.now)
  ORDER BY r.place LIMIT 1
) r`

// lookAgain finds the first ready jobs of lines that a claim has found fewer jobs in than were
// wanted, locked ones included.
func (s *Store) lookAgain(ctx context.Context, in *searched) (firsts map[line]int64, err error) {
	firsts = make(map[line]int64)
	err = s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, firstReady, in.lanes, in.ranks, in.floors)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				at    line
				place int64
			)
			if err := rows.Scan(&at.lane, &at.rank, &place); err != nil {
				return err
			}
			firsts[at] = place
		}
		return rows.Err()
	})
	return firsts, err
}

// everyFront finds where all lines begin that have ready jobs, by leaping from each to the next.
const everyFront = `
WITH RECURSIVE front AS (
  (SELECT lane, rank, place FROM longshore.ready ORDER BY lane, rank, place LIMIT 1)
  UNION ALL
  SELECT n.lane, n.rank, n.place FROM front f CROSS JOIN LATERAL (
    SELECT r.lane, r.rank, r.place FROM longshore.ready r WHERE (r.lane, r.rank) > (f.lane, f.rank)
    ORDER BY r.lane, r.rank, r.place LIMIT 1
  ) n
)
SELECT f.lane, f.rank, f.place, l.channel, l.type FROM front f JOIN longshore.lanes l ON l.number = f.lane`

// findFronts takes notice of where all lines begin, whatever was noticed before.
func (s *Store) findFronts(ctx context.Context) error {
	type readyLane struct {
		queue.Lane
		first changed
	}
	var found []readyLane
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, everyFront)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at readyLane
			if err := rows.Scan(&at.first.lane, &at.first.rank, &at.first.place, &at.Channel, &at.Type); err != nil {
				return err
			}
			s.lanes.remember(at.Lane, at.first.lane)
			found = append(found, at)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for i := range found {
		s.claims.notice(found[i].Lane, &found[i].first, true)
	}
	if len(found) > 0 {
		s.rounds.kick()
	}
	return nil
}
