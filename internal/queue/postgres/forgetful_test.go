package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// A database may come back without its last changes: an asynchronous standby that takes over, or one that acknowledges
// what is not on disk. Those are gone, and all else goes on.

// forgetful is a database that has on disk what was there when keep was called, until it crashes.
func forgetful(t *testing.T) (cluster *pgtest.Cluster, dsn string, keep func()) {
	t.Helper()
	cluster = pgtest.Start(t, pgtest.Options{Settings: map[string]string{
		"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "bgwriter_lru_maxpages": "0", "autovacuum": "off",
	}})
	dsn = migrated(t, cluster.Database(t))
	return cluster, dsn, func() { execute(t, dsn, `CHECKPOINT`) }
}

func crash(t *testing.T, cluster *pgtest.Cluster, servers ...*Store) {
	t.Helper()
	require.NoError(t, cluster.Stop(pgtest.Immediate))
	awaitReady(t, false, servers...)
	require.NoError(t, cluster.Start())
	awaitReady(t, true, servers...)
}

func TestAJobWhoseClaimADatabaseHasLostIsHandedOutAgain(t *testing.T) {
	t.Parallel()
	cluster, dsn, keep := forgetful(t)
	s := openServer(t, dsn, Options{})
	awaitListening(t, s)
	id := add(t, s, queue.NewJob{Type: "one"})[0]
	keep()
	take(t, s, "one")
	waits := takeLater(t, s, "one")
	crash(t, cluster, s)
	l := get(t, waits)
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	require.EqualValues(t, 1, l.lease.Attempt)
	done(t, s, &l.lease)
}

func TestJobsOfALaneThatADatabaseHasLostAreHandedOut(t *testing.T) {
	t.Parallel()
	cluster, dsn, keep := forgetful(t)
	a := openServer(t, dsn, Options{})
	awaitListening(t, a)
	add(t, a, queue.NewJob{Type: "one"})
	keep()
	add(t, a, queue.NewJob{Type: "two"})
	crash(t, cluster, a)
	id := add(t, a, queue.NewJob{Type: "two"})[0]
	b := openServer(t, dsn, Options{})
	for _, s := range []*Store{a, b} {
		l := take(t, s, "two")
		require.Equal(t, id, l.JobID)
		_, err := s.Release(t.Context(), l.Token, 0)
		require.NoError(t, err)
		require.NoError(t, a.tail.sync(t.Context()))
		require.NoError(t, b.tail.sync(t.Context()))
	}
}

// numbered has a server know the number of the lane of a type, which the database loses then.
func numbered(t *testing.T, s *Store, dsn, name string) {
	t.Helper()
	_, err := s.numberLanes(t.Context(), []queue.Lane{{Channel: queue.DefaultChannel, Type: name}})
	require.NoError(t, err)
	execute(t, dsn, `DELETE FROM longshore.lanes WHERE type = '`+name+`'`)
}

// A pool in between may replace the connections of a server that knows nothing of it.
func TestLanesAreReadAnewInAnotherDatabaseThoughNoStatementHasFailed(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{NoListen: true, PollInterval: time.Hour})
	numbered(t, s, dsn, "one")
	s.tail.mu.Lock()
	s.tail.seen.next += 1000 // which the other database has not come to
	s.tail.mu.Unlock()
	require.NoError(t, s.tail.sync(t.Context()))
	id := add(t, s, queue.NewJob{Type: "one"})[0]
	require.Equal(t, id, take(t, openServer(t, dsn, Options{}), "one").JobID)
}

func TestJobsThatWaitedToBeAddedWhileADatabaseHasLostTheirLaneAreHandedOut(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{NoListen: true, PollInterval: time.Hour})
	numbered(t, s, dsn, "lost")
	busy, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = busy.Close(context.Background()) })
	_, err = busy.Exec(t.Context(), fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(%d); LOCK TABLE longshore.jobs IN SHARE MODE`, int64(changeLock)))
	require.NoError(t, err)
	blocked := func(locktype string) bool {
		var is bool
		err := busy.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = $1 AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`, locktype).Scan(&is)
		return err == nil && is
	}
	added := make(chan error, 3)
	enqueue := func(job queue.NewJob) {
		go func() {
			_, err := s.Enqueue(t.Context(), []queue.NewJob{job})
			added <- err
		}()
	}
	enqueue(queue.NewJob{Type: "other"})
	require.Eventually(t, func() bool { return blocked("relation") }, soon, tick)
	enqueue(queue.NewJob{Type: "lost"}) // goes with the next round
	enqueue(queue.NewJob{Type: "lost", UniqueKey: "one"})
	require.Eventually(t, func() bool { return s.enqueues.gathered() == 1 && blocked("advisory") }, soon, tick)
	s.tail.lost()
	_, err = busy.Exec(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	for range cap(added) {
		require.NoError(t, get(t, added))
	}
	other := openServer(t, dsn, Options{})
	take(t, other, "lost")
	take(t, other, "lost")
}

// Connections may break again and again, and there are doubts all the time then.
func TestWhatWasDoneBeforeAllIsLookedAtAnewIsNotKeptInMemory(t *testing.T) {
	t.Parallel()
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{NoListen: true, PollInterval: time.Hour})
	kept := func() int {
		s.tail.doubts.mu.Lock()
		defer s.tail.doubts.mu.Unlock()
		return len(s.tail.doubts.once)
	}
	s.tail.lost()
	add(t, s, queue.NewJob{Type: "one"}, queue.NewJob{Type: "one"})
	require.Equal(t, 2, kept(), "the server is told of them again")
	require.NoError(t, s.tail.sync(t.Context()))
	require.Zero(t, kept(), "the server is not told of them again")
	require.True(t, s.tail.doubts.are())
}
