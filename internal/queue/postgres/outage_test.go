package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// Databases that go away and come back, and those that are short of connections.

func awaitReady(t *testing.T, ready bool, servers ...*Store) {
	t.Helper()
	for _, s := range servers {
		require.Eventually(t, func() bool {
			err := s.Ready(context.Background())
			return ready == (err == nil) && (err == nil || errors.Is(err, queue.ErrUnavailable))
		}, soon, tick, "a server does not say that it is ready: %v", ready)
	}
}

func TestServersGoOnAfterTheirDatabaseHasCrashed(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	dsn := migrated(t, cluster.Database(t))
	a, b := openServer(t, dsn, Options{}), openServer(t, dsn, Options{})
	traffic := startTraffic(t, a, b)
	for range 2 {
		traffic.awaitMore(t, 100)
		waits := takeLater(t, a, "later")
		require.NoError(t, cluster.Stop(pgtest.Immediate))
		awaitReady(t, false, a, b)
		_, err := b.Enqueue(t.Context(), []queue.NewJob{{Type: "never"}})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		_, err = b.Dequeue(over(), queue.DequeueRequest{Types: []string{"never"}})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		_, err = b.JobStatus(t.Context(), uuid.New())
		require.ErrorIs(t, err, queue.ErrUnavailable)
		require.ErrorIs(t, b.CancelJob(t.Context(), uuid.New()), queue.ErrUnavailable)
		_, err = b.RefreshHeartbeat(t.Context(), uuid.New(), queue.Beat{})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		require.NoError(t, cluster.Start())
		began := time.Now()
		awaitReady(t, true, a, b)
		traffic.awaitMore(t, 1)
		t.Logf("jobs go through again after %v", time.Since(began))
		repeat(t, func() ([]queue.Enqueued, error) {
			return b.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "later"}}, once(uuid.NewString()))
		})
		if l := get(t, waits); l.err == nil {
			repeat(t, func() (queue.State, error) {
				return a.RequeueOrFinishJob(t.Context(), l.lease.Token, 0, queue.Outcome{})
			})
		} else {
			require.ErrorIs(t, l.err, queue.ErrUnavailable)
			l := repeat(t, func() (queue.Lease, error) { return b.Dequeue(over(), queue.DequeueRequest{Types: []string{"later"}}) })
			repeat(t, func() (queue.State, error) { return b.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{}) })
		}
	}
	traffic.end(t, a)
}

func TestLeasesAreNotSilentBecauseTheDatabaseWasAway(t *testing.T) {
	t.Parallel()
	const silence = 5 * time.Second // and no machine is so busy that a call takes as long
	cluster := pgtest.Start(t, pgtest.Options{})
	dsn := migrated(t, cluster.Database(t))
	limits := defaultLimits()
	limits.silence = int(silence.Seconds())
	s, err := open(t.Context(), dsn, Options{Logger: newCalmLog(t)}, limits)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	add(t, s, queue.NewJob{Type: "held"})
	l := take(t, s, "held")
	require.NoError(t, cluster.Stop(pgtest.Immediate))
	stopped := time.Now()
	require.Eventually(t, func() bool { return time.Since(stopped) > silence+500*time.Millisecond }, soon, tick)
	require.NoError(t, cluster.Start())
	stale := func() ([]uuid.UUID, error) { return s.Heartbeats(t.Context(), silence) }
	require.Empty(t, repeat(t, stale), "leases that are said to be silent when the database has come back")
	require.Eventually(t, func() bool {
		tokens, err := stale()
		return err == nil && len(tokens) == 1 && tokens[0] == l.Token
	}, soon, tick, "a lease whose worker is silent for as long after an outage")
	done(t, s, &l)
}

func TestServersGoOnWhileTheirConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	a, b := openServer(t, dsn, Options{}), openServer(t, dsn, Options{})
	traffic := startTraffic(t, a, b)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	killed := 0
	for range 40 {
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), `
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&n))
		killed += n
		traffic.awaitMore(t, 5)
	}
	t.Logf("%d connections were killed", killed)
	awaitReady(t, true, a, b)
	traffic.end(t, a)
}

func TestManyCallersShareFewConnections(t *testing.T) {
	t.Parallel()
	const callers = 64
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{Connections: 2})
	var group errgroup.Group
	for i := range callers {
		group.Go(func() error {
			ctx, jobType := context.Background(), fmt.Sprintf("few-%d", i%8)
			for range 4 {
				added, err := s.Enqueue(ctx, []queue.NewJob{{Type: jobType, Name: "a"}, {Type: "dependent", Needs: []queue.Need{{Name: "a"}}}})
				if err != nil {
					return fmt.Errorf("enqueue: %w", err)
				}
				l, err := s.Dequeue(ctx, queue.DequeueRequest{Types: []string{jobType}})
				if err != nil {
					return fmt.Errorf("dequeue: %w", err)
				}
				if _, err := s.JobStatus(ctx, l.JobID); err != nil {
					return fmt.Errorf("status: %w", err)
				}
				if err := s.CancelJob(ctx, added[1].ID); err != nil && !errors.Is(err, queue.ErrNotRunning) {
					return fmt.Errorf("cancel: %w", err)
				}
				if _, err := s.RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{}); err != nil {
					return fmt.Errorf("finish: %w", err)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.NoError(t, s.Ready(t.Context()))
}

// A worker that waits has no connection of its own: there may be thousands of them.
func TestWorkersThatWaitHoldNoConnection(t *testing.T) {
	t.Parallel()
	const connections, workers = 2, 40
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{Connections: connections})
	awaitListening(t, s)
	connected := func() (n int) {
		// All but the one that asks.
		require.NoError(t, s.pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&n))
		return n
	}
	var waits []<-chan leaseOr
	for i := range workers {
		waits = append(waits, takeLater(t, s, fmt.Sprintf("waits-%d", i)))
	}
	// The rest of the pool, one that listens, and one that may add up bytes at the start.
	require.LessOrEqual(t, connected(), connections+1)
	for i, wait := range waits {
		id := add(t, s, queue.NewJob{Type: fmt.Sprintf("waits-%d", i)})[0]
		got := get(t, wait)
		require.NoError(t, got.err)
		require.Equal(t, id, got.lease.JobID)
		done(t, s, &got.lease)
	}
}
