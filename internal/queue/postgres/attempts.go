package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// attempt is a row of attempts.
type attempt struct {
	queue.Attempt
	place  int64
	secret uuid.UUID
	digest []byte
}

// setError keeps what is small of an error.
func (a *attempt) setError(e *queue.JobError) {
	if e == nil {
		return
	}
	a.Error = &queue.JobError{Reason: e.Reason}
	if len(e.Details) <= queue.MaxAttemptDetails {
		a.Error.Details = e.Details
	}
}

// readAttempts reads the leases of a job: those that ended before it did are written down, and the
// one that it is running or over with is told by its own row.
const readAttempts = `
SELECT a.number, a.worker, a.principal, a.started, a.ended, a.how, a.state, a.reason, a.details FROM longshore.attempts a WHERE a.place = $1
UNION ALL
SELECT l.attempt, l.worker, l.principal, l.started, none.ended, none.how, none.state, none.reason, none.details
FROM longshore.leases l LEFT JOIN longshore.attempts none ON false WHERE l.place = $1
UNION ALL
SELECT attempt, worker, principal, started, finished, how, state, reason, CASE WHEN octet_length(details) <= $2 THEN details END
FROM longshore.ended WHERE place = $1 AND how IS NOT NULL AND NOT hidden
ORDER BY 1`

// Attempts returns the leases that a job has had, in their order; the last one may be live.
// ErrNotExist.
func (s *Store) Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	l, err := s.readOne(ctx, id, queue.Parts{Args: true, Outcome: true, Reported: true, Dependents: true})
	if err != nil {
		return nil, err
	}
	return s.attemptsOf(ctx, l.place)
}

func (s *Store) attemptsOf(ctx context.Context, place int64) (attempts []queue.Attempt, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	err = s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readAttempts, place, queue.MaxAttemptDetails)
		if err != nil {
			return err
		}
		attempts, err = pgx.CollectRows(rows, scanAttempt)
		return err
	})
	if len(attempts) == 0 {
		attempts = nil
	}
	return attempts, err
}

func scanAttempt(row pgx.CollectableRow) (a queue.Attempt, err error) {
	var (
		started, ended *time.Time
		how, state     *int16
		reason         *string
		details        []byte
	)
	if err := row.Scan(&a.Number, &a.Worker, &a.Principal, &started, &ended, &how, &state, &reason, &details); err != nil {
		return a, err
	}
	a.Started, a.Ended = timeOf(started), timeOf(ended)
	if how != nil && state != nil {
		a.End, a.State = queue.End(*how), queue.State(*state) //nolint:gosec // the table's own
	}
	if reason != nil {
		a.Error = &queue.JobError{Reason: *reason, Details: details}
	}
	return a, nil
}
