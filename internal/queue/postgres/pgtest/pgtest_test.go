package pgtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err, "connect to %s", dsn)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

// read returns the numbers in the table of a database.
func read(t *testing.T, dsn string) []int {
	t.Helper()
	rows, err := connect(t, dsn).Query(t.Context(), "SELECT n FROM kept ORDER BY n")
	require.NoError(t, err)
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	return numbers
}

func TestDatabasesAreIsolated(t *testing.T) {
	t.Parallel()
	one, other := pgtest.Database(t), pgtest.Database(t)
	require.NotEqual(t, one, other)
	execute(t, connect(t, one), "CREATE TABLE kept (n integer)")
	execute(t, connect(t, other), "CREATE TABLE kept (n integer)")
	execute(t, connect(t, one), "INSERT INTO kept VALUES (1)")
	require.Equal(t, []int{1}, read(t, one))
	require.Empty(t, read(t, other))
}

func TestDatabasesAreCreatedAtTheSameTime(t *testing.T) {
	t.Parallel()
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			conn, err := pgx.Connect(t.Context(), pgtest.Database(t))
			if err != nil {
				return err
			}
			return conn.Close(t.Context())
		})
	}
	require.NoError(t, group.Wait())
}

//nolint:tparallel // the end of the inner test is waited for
func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	var dsn string
	t.Run("test", func(t *testing.T) {
		dsn = cluster.Database(t)
		connect(t, dsn)
	})
	_, err := pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "does not exist")
}

func TestRapidGetsDatabases(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if rapid.IntRange(0, 9).Draw(t, "n") == 0 {
			pgtest.Database(t)
		}
	})
}

func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	for _, o := range []pgtest.Options{{}, {TCP: true, Settings: map[string]string{"application_name": "it's"}}} {
		cluster := pgtest.Start(t, o)
		dsn := cluster.Database(t)
		conn := connect(t, dsn)
		execute(t, conn, "CREATE TABLE kept (n integer)")
		execute(t, conn, "INSERT INTO kept VALUES (1)")
		execute(t, conn, "BEGIN; INSERT INTO kept VALUES (2)")

		require.NoError(t, cluster.Stop(pgtest.Immediate))
		_, err := pgx.Connect(t.Context(), dsn)
		require.Error(t, err, "a stopped server accepts a connection")
		require.NoError(t, cluster.Start())
		require.Equal(t, []int{1}, read(t, dsn))

		require.NoError(t, cluster.Restart(pgtest.Fast))
		require.Equal(t, []int{1}, read(t, dsn))
	}
}

func TestPromotedStandbyHasWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "120"}})
	standby := pgtest.Start(t, pgtest.Options{StandbyOf: primary, Synchronous: true})
	dsn := primary.Database(t)
	conn := connect(t, dsn)
	execute(t, conn, "CREATE TABLE kept (n integer)")
	for range 20 {
		execute(t, conn, "INSERT INTO kept SELECT count(*) FROM kept")
	}
	require.NoError(t, primary.Stop(pgtest.Immediate))
	require.NoError(t, standby.Promote())

	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	promoted := standby.DSN(config.Database)
	require.Len(t, read(t, promoted), 20)
	execute(t, connect(t, promoted), "INSERT INTO kept VALUES (20)")
	require.Len(t, read(t, promoted), 21)
}

//nolint:tparallel // the end of the inner test is waited for
func TestClusterIsRemovedWithItsTest(t *testing.T) {
	t.Parallel()
	var directory string
	t.Run("test", func(t *testing.T) {
		directory = pgtest.Start(t, pgtest.Options{}).Directory()
		require.DirExists(t, directory)
	})
	_, err := os.Stat(directory)
	require.ErrorIs(t, err, os.ErrNotExist)
}
