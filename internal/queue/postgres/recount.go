package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// recountInterval is how often a server looks whether there are lanes of which the bytes are not known.
	recountInterval = 5 * time.Second
	// recountPatience is for how long the bytes of one lane may be added up. Nobody folds counts meanwhile.
	recountPatience = 2 * time.Minute
	// recountShare bounds the part of its time that a server adds up: it rests for so many times as long.
	recountShare = 10
	// recountLater is how long it rests after a lane that took too long: every server tries for itself.
	recountLater = time.Hour
)

const (
	beginRecount = `SELECT pg_try_advisory_xact_lock($1)`
	// findUncounted finds the smallest lane of which the bytes are not known, and can be: a difference
	// that is not known has to be folded first.
	findUncounted = `
SELECT lane FROM longshore.counts c WHERE (bytes IS NULL OR folded IS DISTINCT FROM xmin)
  AND NOT EXISTS (SELECT FROM longshore.count_differences d WHERE d.lane = c.lane AND d.bytes IS NULL)
ORDER BY scheduled + blocked + pending + running LIMIT 1`
	// recountBytes sets the bytes of a lane so that they and the differences are as many as its jobs have.
	// All of it is of one moment; and a difference is there when its jobs are.
	recountBytes = `
UPDATE longshore.counts SET folded = pg_current_xact_id()::xid, bytes = (
    SELECT coalesce(sum(octet_length(j.args)), 0) FROM (
      SELECT place FROM longshore.ready WHERE lane = $1
      UNION ALL SELECT place FROM longshore.leases WHERE lane = $1
      UNION ALL SELECT place FROM longshore.waiting WHERE lane = $1
    ) AS o JOIN longshore.jobs j ON j.place = o.place
  ) - (SELECT coalesce(sum(bytes), 0) FROM longshore.count_differences WHERE lane = $1)
WHERE lane = $1 AND NOT EXISTS (SELECT FROM longshore.count_differences WHERE lane = $1 AND bytes IS NULL)`
)

// errTooLong says that there are so many jobs of a lane that they cannot be added up in recountPatience.
var errTooLong = errors.New("it takes longer than " + recountPatience.String())

// keepRecounting adds up how large the jobs of lanes are of which that is not known, as after a program
// has worked on the queue that does not count it, until ctx ends.
func (s *Store) keepRecounting(ctx context.Context) {
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		began := time.Now()
		found, err := s.recount(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrUnavailable) {
			s.log.Error(err, "how large the jobs of a lane are could not be added up; it is tried again")
		}
		pause = recountShare * time.Since(began)
		switch {
		case errors.Is(err, errTooLong):
			pause = recountLater
		case err != nil || !found:
			pause = max(pause, recountInterval)
		}
	}
}

// recount adds up how large the jobs of one lane are, if there is one of which that is not known, and
// no server folds counts at the moment. It tells whether it has. errTooLong.
func (s *Store) recount(ctx context.Context) (found bool, err error) {
	var lane int32
	err = s.database(ctx, func(ctx context.Context) error { return s.pool.QueryRow(ctx, findUncounted).Scan(&lane) })
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, recountPatience+patience)
	defer cancel()
	// It is for long, and others need those of the pool.
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return false, translate(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, beginRecount, int64(foldLock)).Scan(&found); err != nil || !found {
			return err
		}
		// It may be most of all jobs, for which an index is the long way.
		settings := fmt.Sprintf(`SET LOCAL enable_seqscan = on; SET LOCAL statement_timeout = %d`, recountPatience.Milliseconds())
		if _, err := tx.Conn().PgConn().Exec(ctx, settings).ReadAll(); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, recountBytes, lane)
		found = done.RowsAffected() > 0
		return err
	})
	if failure := (*pgconn.PgError)(nil); errors.As(err, &failure) && failure.Code == codeCanceled && ctx.Err() == nil {
		name, _ := s.laneOf(ctx, lane) // without it the number is all there is
		return false, fmt.Errorf("channel %q, type %q (lane %d): %w", name.Channel, name.Type, lane, errTooLong)
	}
	return found, translate(err)
}
