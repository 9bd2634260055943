package postgres

import (
	"testing"
	"time"

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
