package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// What programs do that were made before bytes were counted.
const (
	// oldFold folds counts as they do.
	oldFold = `
WITH folded AS (DELETE FROM longshore.count_differences RETURNING *)
INSERT INTO longshore.counts AS c (lane, scheduled, blocked, pending, running, finished, failed, canceled)
SELECT lane, sum(scheduled), sum(blocked), sum(pending), sum(running), sum(finished), sum(failed), sum(canceled)
FROM folded GROUP BY lane
ON CONFLICT (lane) DO UPDATE SET scheduled = c.scheduled + excluded.scheduled, blocked = c.blocked + excluded.blocked,
  pending = c.pending + excluded.pending, running = c.running + excluded.running, finished = c.finished + excluded.finished,
  failed = c.failed + excluded.failed, canceled = c.canceled + excluded.canceled`
	// oldCount reads counts as they do.
	oldCount = `
SELECT sum(c.pending)::bigint FROM (SELECT * FROM longshore.counts UNION ALL SELECT * FROM longshore.count_differences) AS c`
	// oldEnqueue adds a job of 5 bytes to the lane of the first one as they do.
	oldEnqueue = `
WITH added AS (
  INSERT INTO longshore.jobs (place, id, lane, rank, args)
  SELECT place, longshore.job_id(1, place), 1, 100, '12345' FROM nextval('longshore.places') AS place RETURNING place, id
), readied AS (
  INSERT INTO longshore.ready (place, id, lane, state, rank, version, queued) SELECT place, id, 1, 3, 100, 1, now() FROM added
)
INSERT INTO longshore.count_differences (lane, pending) VALUES (1, 1)`
)

// requireOpen requires how much the default channel has.
func requireOpen(t *testing.T, s *Store, jobs, bytes int64) {
	t.Helper()
	open, err := s.OpenJobs(t.Context(), []string{queue.DefaultChannel})
	require.NoError(t, err)
	require.Equal(t, queue.Amount{Jobs: jobs, Bytes: bytes}, open[queue.DefaultChannel])
	page, err := s.Queues(t.Context(), queue.LaneListing{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, bytes, page.Queues[0].Bytes)
}

// awaitOpen waits until that is so.
func awaitOpen(t *testing.T, s *Store, jobs, bytes int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		open, err := s.OpenJobs(t.Context(), []string{queue.DefaultChannel})
		return err == nil && open[queue.DefaultChannel] == queue.Amount{Jobs: jobs, Bytes: bytes}
	}, soon, tick, "%d jobs of %d bytes", jobs, bytes)
}

func TestHowLargeJobsAreIsFoundOutAfterAProgramThatDoesNotCountIt(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	run := func(statement string, args ...any) int64 {
		t.Helper()
		tag, err := conn.Exec(t.Context(), statement, args...)
		require.NoError(t, err)
		return tag.RowsAffected()
	}
	// The server leaves counts alone, and this test does what it would do.
	run(`SELECT pg_advisory_lock($1)`, int64(foldLock))
	fold := func() { t.Helper(); require.EqualValues(t, 1, run(foldCounts, int64(foldLock))) }
	s := openServer(t, dsn, Options{})
	job := queue.NewJob{Type: "a", Args: []byte(`"123"`)}
	add(t, s, job)
	requireOpen(t, s, 1, 5)
	fold()
	requireOpen(t, s, 1, 5)

	run(oldEnqueue)
	requireOpen(t, s, 2, queue.UnknownBytes)
	require.ErrorIs(t, conn.QueryRow(t.Context(), findUncounted).Scan(new(int32)), pgx.ErrNoRows)
	fold()
	requireOpen(t, s, 2, queue.UnknownBytes)
	add(t, s, job)
	var lane int32
	require.NoError(t, conn.QueryRow(t.Context(), findUncounted).Scan(&lane))
	require.EqualValues(t, 1, run(recountBytes, lane))
	requireOpen(t, s, 3, 15)
	require.ErrorIs(t, conn.QueryRow(t.Context(), findUncounted).Scan(&lane), pgx.ErrNoRows)
	fold()
	requireOpen(t, s, 3, 15)

	l, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"a"}})
	require.NoError(t, err)
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.NoError(t, err)
	requireOpen(t, s, 2, 10)
	run(oldFold) // which loses what was subtracted
	requireOpen(t, s, 2, queue.UnknownBytes)
	add(t, s, job)
	fold()
	requireOpen(t, s, 3, queue.UnknownBytes)
	var pending int64
	require.NoError(t, conn.QueryRow(t.Context(), oldCount).Scan(&pending))
	require.EqualValues(t, 3, pending)
	run(oldEnqueue)
	require.Zero(t, run(recountBytes, lane), "a difference is not known")

	run(`SELECT pg_advisory_unlock($1)`, int64(foldLock))
	awaitOpen(t, s, 4, 20)
}

func TestHowLargeJobsAreIsFoundOutAfterTheSchemaWasMigrated(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	_, err := migrate(t.Context(), dsn, stepsUpTo(t, "00004", nil))
	require.NoError(t, err)
	execute(t, dsn, `INSERT INTO longshore.lanes (channel, type) VALUES ('default', 'a')`)
	for _, statement := range []string{oldEnqueue, oldEnqueue, oldFold, oldEnqueue} {
		execute(t, dsn, statement)
	}
	s := openServer(t, migrated(t, dsn), Options{})
	awaitOpen(t, s, 3, 15)
	requireOpen(t, s, 3, 15)
}
