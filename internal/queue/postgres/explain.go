package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	readNow   = `SELECT longshore.now()`
	readBeat  = `SELECT beat FROM longshore.leases WHERE place = $1`
	openAbove = `
SELECT e.dependency_id, count(*) OVER () FROM longshore.edges e JOIN longshore.jobs j ON j.place = e.dependency
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
WHERE e.dependent = $1 AND r.state < 5 ORDER BY e.ordinal LIMIT $2`
	countAhead = `
SELECT count(*) FROM (
  SELECT 1 FROM longshore.ready WHERE lane = $1 AND (rank, place) < ($2, $3) LIMIT $4
) AS ahead`
)

// Explain says why a job is not running, or what else it does. ErrNotExist.
func (s *Store) Explain(ctx context.Context, id uuid.UUID) (e queue.Explanation, err error) {
	l, err := s.readOne(ctx, id, queue.Parts{Args: true, Reported: true, Dependents: true})
	if err != nil {
		return e, err
	}
	e = queue.Explanation{Status: l.Status, Expires: l.ExpiresAt, Lane: l.Job.Lane()}
	e.Status.Result = nil
	attempts, err := s.attemptsOf(ctx, l.place)
	if err != nil {
		return e, err
	}
	if len(attempts) > 0 {
		e.Last = &attempts[len(attempts)-1]
	}
	if err := s.enter(); err != nil {
		return e, err
	}
	defer s.leave()
	err = s.database(ctx, func(ctx context.Context) error {
		if err := s.pool.QueryRow(ctx, readNow).Scan(&e.Now); err != nil {
			return err
		}
		e.Now = e.Now.UTC()
		switch l.State {
		case queue.Blocked:
			return s.explainOpen(ctx, &e, l.place)
		case queue.Pending:
			return s.pool.QueryRow(ctx, countAhead, l.lane, rankOf(l.Priority), l.place, queue.MaxAhead).Scan(&e.Ahead)
		case queue.Running:
			return s.explainBeat(ctx, &e, l.place)
		default:
			return nil
		}
	})
	if err == nil && l.State == queue.Pending {
		e.Askers, err = s.asking(ctx, e.Lane)
	}
	return e, err
}

func (s *Store) explainBeat(ctx context.Context, e *queue.Explanation, place int64) error {
	rows, err := s.pool.Query(ctx, readBeat, place)
	if err != nil {
		return err
	}
	beats, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if len(beats) > 0 { // else it has just ended
		e.Beat = beats[0].UTC()
	}
	return err
}

func (s *Store) explainOpen(ctx context.Context, e *queue.Explanation, place int64) error {
	rows, err := s.pool.Query(ctx, openAbove, place, queue.MaxOpen)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id, &e.OpenAll); err != nil {
			return err
		}
		e.Open = append(e.Open, id)
	}
	return rows.Err()
}
