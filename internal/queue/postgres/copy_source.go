package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What is held in memory at once of a store that is copied: so many jobs or calls, and so many
// bytes of what is opaque in them, or one job.
const (
	copyPage      = 1000
	copyPageBytes = 8 << 20
)

// CopySource is a database that is copied to another store. It implements queue.CopySource. Nobody
// else can change anything in it before Close.
type CopySource struct {
	*exclusion
	lanes map[int32]queue.Lane
}

// OpenCopySource opens a database to be copied. Nothing in it is changed. ErrInUse; ErrSchema.
func OpenCopySource(ctx context.Context, dsn string) (*CopySource, error) {
	x, err := exclude(ctx, dsn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, lockToRead)
	if err != nil {
		return nil, err
	}
	s := &CopySource{exclusion: x, lanes: make(map[int32]queue.Lane)}
	rows, err := x.tx.Query(ctx, `SELECT number, channel, type FROM longshore.lanes`)
	if err == nil {
		var number int32
		var lane queue.Lane
		_, err = pgx.ForEachRow(rows, []any{&number, &lane.Channel, &lane.Type}, func() error {
			s.lanes[number] = lane
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the lanes: %w", errors.Join(err, x.Close()))
	}
	return s, nil
}

// Audit implements queue.CopySource.
func (s *CopySource) Audit(ctx context.Context) (audit queue.Audit, err error) {
	err = auditIn(ctx, s.tx, &audit)
	return audit, err
}

// LastPlace implements queue.CopySource.
func (s *CopySource) LastPlace(ctx context.Context) (last uint64, err error) {
	err = s.tx.QueryRow(ctx, `SELECT last_value FROM longshore.places`).Scan(&last)
	return last, err
}

const (
	// byIndex has the planner not be misled by statistics: each page is found by its places.
	byIndex    = `SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`
	sizesAfter = `
SELECT j.place, (octet_length(j.args) + coalesce(octet_length(d.result), 0) + coalesce(octet_length(d.details), 0)
  + coalesce(octet_length(p.partial), 0))::bigint
FROM longshore.jobs j LEFT JOIN longshore.ended d ON d.place = j.place LEFT JOIN longshore.reported p ON p.place = j.place
WHERE j.place > $1 ORDER BY j.place LIMIT $2`
	copyJobs = `
SELECT ` + recordColumnsOfR + `, r.hidden, j.timeout, j.heartbeat_timeout, j.trace_parent, j.labels::text, j.terms::text, j.args,
  coalesce(l.principal, d.principal, ''), d.how, d.result, d.reason, d.details, p.progress, p.percent, p.message, p.partial
FROM longshore.jobs j
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
LEFT JOIN longshore.leases l ON l.place = j.place
LEFT JOIN longshore.ended d ON d.place = j.place
LEFT JOIN longshore.reported p ON p.place = j.place
WHERE j.place > $1 AND j.place <= $2 ORDER BY j.place`
	copyEdges = `
SELECT e.dependent, e.dependency_id, e.succeeded, e.name, e.gone_state, coalesce(e.gone_type, ''), j.place, r.state, r.generation
FROM longshore.edges e
LEFT JOIN longshore.jobs j ON j.place = e.dependency
LEFT JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
WHERE e.dependent > $1 AND e.dependent <= $2 ORDER BY e.dependent, e.ordinal`
	copyAttempts = `
SELECT place, number, worker, principal, started, ended, how, state, reason, details
FROM longshore.attempts WHERE place > $1 AND place <= $2 ORDER BY place, number`
)

// Jobs implements queue.CopySource: jobs come in the order of their places.
func (s *CopySource) Jobs(ctx context.Context, use func(*queue.CopiedJob) error) error {
	if _, err := s.tx.Exec(ctx, byIndex); err != nil {
		return err
	}
	for after := int64(0); ; {
		last, more, err := s.pageAfter(ctx, after)
		if err != nil || !more {
			return err
		}
		jobs, err := s.page(ctx, after, last)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if err := use(j); err != nil {
				return err
			}
		}
		after = last
	}
}

// pageAfter returns the last place of the page of jobs that begins after a place; false if there
// are none.
func (s *CopySource) pageAfter(ctx context.Context, after int64) (last int64, found bool, err error) {
	rows, err := s.tx.Query(ctx, sizesAfter, after, copyPage)
	if err != nil {
		return 0, false, err
	}
	var place, size, total int64
	_, err = pgx.ForEachRow(rows, []any{&place, &size}, func() error {
		if total += size; total <= copyPageBytes || !found {
			last, found = place, true
		}
		return nil
	})
	return last, found, err
}

// page reads the jobs after a place, up to another one.
func (s *CopySource) page(ctx context.Context, after, last int64) (jobs []*queue.CopiedJob, err error) {
	byPlace := make(map[int64]*queue.CopiedJob)
	var batch pgx.Batch
	batch.Queue(copyJobs, after, last).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			j, err := s.scanJob(rows)
			if err != nil {
				return err
			}
			jobs = append(jobs, j)
			byPlace[int64(j.Place)] = j //nolint:gosec // it was one
		}
		return rows.Err()
	})
	batch.Queue(copyEdges, after, last).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			dependent, e, err := scanCopiedEdge(rows)
			if err != nil {
				return err
			}
			if j := byPlace[dependent]; j != nil {
				j.Above = append(j.Above, e)
			}
		}
		return rows.Err()
	})
	batch.Queue(copyAttempts, after, last).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var place int64
			a, err := scanAttempt(placed{rows, &place})
			if err != nil {
				return err
			}
			if j := byPlace[place]; j != nil {
				j.Attempts = append(j.Attempts, a)
			}
		}
		return rows.Err()
	})
	return jobs, s.tx.SendBatch(ctx, &batch).Close()
}

// placed is a row that has a place before all else.
type placed struct {
	pgx.Rows
	place *int64
}

// Scan implements pgx.Row.
func (p placed) Scan(into ...any) error { return p.Rows.Scan(append([]any{p.place}, into...)...) }

func (s *CopySource) scanJob(rows pgx.Rows) (*queue.CopiedJob, error) {
	var (
		r                     row
		d                     definition
		args, result, details []byte
		how                   *int16
		reason                *string
		progress              *bool
		percent               *float64
		message, partial      []byte
	)
	err := r.scan(rows, &r.hidden, &d.timeout, &d.heartbeatTimeout, &d.traceParent, &d.labels, &d.terms, &args,
		&r.Principal, &how, &result, &reason, &details, &progress, &percent, &message, &partial)
	if err != nil {
		return nil, err
	}
	lane, found := s.lanes[r.lane]
	if !found {
		return nil, fmt.Errorf("job %s is of lane %d, which there is not: %w", r.id, r.lane, queue.ErrDamaged)
	}
	j, err := jobOf(r.id, lane, &d)
	if err != nil {
		return nil, err
	}
	j.Args = args
	c := &queue.CopiedJob{
		Given: j, Place: uint64(r.place), Record: r.Record, Hidden: r.hidden, //nolint:gosec // places are positive
		Outcome: outcomeOf(r.State, result, reason, details), HasDependents: r.ties&tieDependents != 0,
	}
	c.Progress, c.PartialResult = reportedOf(progress, percent, message, partial)
	if how != nil {
		c.LastEnd = queue.End(*how) //nolint:gosec // the table's own
	}
	return c, nil
}

func scanCopiedEdge(rows pgx.Rows) (dependent int64, e queue.CopiedEdge, err error) {
	var (
		up          edge
		gone, state *int16
		place       *int64
		generation  *int64
	)
	err = rows.Scan(&dependent, &up.id, &up.succeeded, &up.name, &gone, &e.Type, &place, &state, &generation)
	if err != nil {
		return 0, e, err
	}
	e.Edge = queue.Edge{ID: up.id, Name: up.name, If: up.condition()}
	switch {
	case gone != nil:
		e.Gone, e.State = true, queue.State(*gone) //nolint:gosec // the table's own
	case place == nil || state == nil || generation == nil:
		return 0, e, fmt.Errorf("job %s, which one depends on, is missing: %w", up.id, queue.ErrDamaged)
	default:
		e.Place, e.State, e.Generation = uint64(*place), queue.State(*state), uint64(*generation) //nolint:gosec // the tables' own
	}
	return dependent, e, nil
}

const (
	copyCalls = `
SELECT hash, digest, until, jobs, answered FROM longshore.calls
WHERE hash > $1 AND jobs IS NOT NULL AND secrets IS NULL ORDER BY hash LIMIT $2`
	// answeredPending reads what calls were answered that added jobs which were all pending.
	answeredPending = `
SELECT j.id, r.queued, coalesce((j.terms->>'priority')::int, 0) FROM longshore.jobs j
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
WHERE j.id = ANY($1)`
)

// Calls implements queue.CopySource.
func (s *CopySource) Calls(ctx context.Context, use func(*queue.CopiedCall) error) error {
	for after := []byte{}; ; {
		calls, err := s.callsAfter(ctx, after)
		if err != nil || len(calls) == 0 {
			return err
		}
		for _, call := range calls {
			if err := use(call); err != nil {
				return err
			}
		}
		after = calls[len(calls)-1].Hash[:]
	}
}

func (s *CopySource) callsAfter(ctx context.Context, after []byte) (calls []*queue.CopiedCall, err error) {
	rows, err := s.tx.Query(ctx, copyCalls, after, copyPage)
	if err != nil {
		return nil, err
	}
	var (
		hash, digest, answered []byte
		until                  time.Time
		ids, pending           []uuid.UUID
		plain                  []*queue.CopiedCall // whose answers were not written down
	)
	_, err = pgx.ForEachRow(rows, []any{&hash, &digest, &until, &ids, &answered}, func() error {
		call := &queue.CopiedCall{Until: until.UTC(), Answered: make([]queue.CopiedAnswer, len(ids))}
		if copy(call.Hash[:], hash) != len(hash) || copy(call.Digest[:], digest) != len(digest) {
			return fmt.Errorf("an idempotency key: %w", queue.ErrDamaged)
		}
		for i := range ids {
			call.Answered[i].ID = ids[i]
		}
		calls = append(calls, call)
		if answered == nil {
			plain, pending = append(plain, call), append(pending, ids...)
			return nil
		}
		return fillAnswers(call, answered)
	})
	if err != nil || len(plain) == 0 {
		return calls, err
	}
	records, err := s.pendingRecords(ctx, pending)
	for _, call := range plain {
		for i := range call.Answered {
			call.Answered[i].Record = records[call.Answered[i].ID]
		}
	}
	return calls, err
}

// fillAnswers fills in how the jobs of a call were answered.
func fillAnswers(call *queue.CopiedCall, text []byte) error {
	var answered []answeredJob
	if err := json.Unmarshal(text, &answered); err != nil || len(answered) != len(call.Answered) {
		return fmt.Errorf("what a call was answered: %w", queue.ErrDamaged)
	}
	for i := range answered {
		a, from := &call.Answered[i], &answered[i]
		a.Existing, a.Record = from.Existing, from.Record
		if from.Reason != "" {
			a.Outcome.Error = &queue.JobError{Reason: from.Reason, Details: from.Details}
		}
	}
	return nil
}

// pendingRecords returns what jobs were that were pending when they were added, of those that exist.
func (s *CopySource) pendingRecords(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]queue.Record, error) {
	rows, err := s.tx.Query(ctx, answeredPending, ids)
	if err != nil {
		return nil, err
	}
	records := make(map[uuid.UUID]queue.Record, len(ids))
	var (
		id       uuid.UUID
		queued   time.Time
		priority int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &queued, &priority}, func() error {
		j := queue.Job{Priority: priority}
		records[id], _ = j.Admit(nil, queued.UTC())
		return nil
	})
	return records, err
}

// APIKeys implements queue.CopySource.
func (s *CopySource) APIKeys(ctx context.Context, use func(*queue.APIKey) error) error {
	keys, err := allKeys(ctx, s.tx)
	for i := range keys {
		if err == nil {
			err = use(&keys[i])
		}
	}
	return err
}
