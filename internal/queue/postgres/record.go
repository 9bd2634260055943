package postgres

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What ties a job to rows elsewhere that must be looked after when it changes. A job without ties
// is finished by a single statement.
const (
	tieDependents int16 = 1 << iota
	tieUniqueKey
	tieReported
)

// row is a job's row in one of the four tables that jobs are in, as it is read and written.
type row struct {
	queue.Record // Token is set if State is Running
	place        int64
	id           uuid.UUID
	lane         int32
	ties         int16
	hidden       bool
	lease        leaseColumns
	end          endColumns
}

// leaseColumns are what a row of leases has besides.
type leaseColumns struct {
	secret           uuid.UUID
	beat             time.Time
	timeout          time.Duration
	heartbeatTimeout time.Duration
	deadline         time.Time
}

// endColumns are what a row of ended has besides.
type endColumns struct {
	secret  uuid.UUID
	how     queue.End
	digest  []byte
	outcome queue.Outcome
}

// recordColumns are those that all four tables have.
const recordColumns = `place, id, lane, state, rank, version, attempt, retries, failures, timeouts, generation, open, queued,
	started, finished, run_at, expires_at, worker, by_dependency, ties`

// recordColumnsOfR is recordColumns of the table that is called r.
const recordColumnsOfR = `r.place, r.id, r.lane, r.state, r.rank, r.version, r.attempt, r.retries, r.failures, r.timeouts, r.generation,
	r.open, r.queued, r.started, r.finished, r.run_at, r.expires_at, r.worker, r.by_dependency, r.ties`

// scan reads recordColumns, and what follows them, from a row of a result.
func (r *row) scan(from pgx.Row, more ...any) error {
	var (
		state, rank                       int16
		started, finished, runAt, expires *time.Time
	)
	into := append([]any{
		&r.place, &r.id, &r.lane, &state, &rank, &r.Version, &r.Attempt, &r.Retries, &r.Failures, &r.Timeouts, &r.Generation,
		&r.Open, &r.Queued, &started, &finished, &runAt, &expires, &r.Worker, &r.ByDependency, &r.ties,
	}, more...)
	if err := from.Scan(into...); err != nil {
		return err
	}
	r.State, r.Priority = queue.State(state), priorityOf(rank) //nolint:gosec // the table's own
	r.Queued = r.Queued.UTC()
	r.Started, r.Finished, r.RunAt, r.ExpiresAt = timeOf(started), timeOf(finished), timeOf(runAt), timeOf(expires)
	return nil
}

func rankOf(priority int) int16 { return int16(queue.MaxPriority - priority) } //nolint:gosec // priorities are bounded

func priorityOf(rank int16) int { return queue.MaxPriority - int(rank) }

// timeOf returns the time that a column has: zero for none.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// nullTime is the inverse of timeOf.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nullDuration(d time.Duration) *int64 {
	if d == 0 {
		return nil
	}
	return (*int64)(&d)
}

func durationOf(d *int64) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// placeBytes is how many bytes of a token are the place of its job: enough for as many jobs as a
// sequence counts in a thousand years. What is left of the 122 random bits of a UUID are 74.
const placeBytes = 6

// newSecret makes the part of a token that is random.
func newSecret() uuid.UUID {
	secret := uuid.New()
	clear(secret[:placeBytes])
	return secret
}

// tokenOf makes the token of a lease: so that it leads to the job without an index of random keys,
// which would be the dearest part of granting a lease.
func tokenOf(place int64, secret uuid.UUID) uuid.UUID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(place)) //nolint:gosec // places are positive
	copy(secret[:placeBytes], b[8-placeBytes:])
	return secret
}

// cutToken is the inverse of tokenOf.
func cutToken(token uuid.UUID) (place int64, secret uuid.UUID) {
	var b [8]byte
	copy(b[8-placeBytes:], token[:placeBytes])
	clear(token[:placeBytes])
	return int64(binary.BigEndian.Uint64(b[:]) & math.MaxInt64), token //nolint:gosec // masked
}
