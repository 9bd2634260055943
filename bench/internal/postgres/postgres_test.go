package postgres_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/postgres"
	"github.com/longshore-queue/longshore/bench/internal/process"
)

// directory is one that whoever PostgreSQL runs as can reach, and that is not there yet.
func directory(t *testing.T) string {
	t.Helper()
	above := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(above), 0o711))
	return filepath.Join(above, "pg")
}

func TestCluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it wants a PostgreSQL")
	}
	at := directory(t)
	c, err := postgres.Start(t.Context(), at, postgres.Options{})
	require.NoError(t, err)
	require.DirExists(t, at, "where the disk is that is measured")
	closed := false
	t.Cleanup(func() {
		if !closed {
			require.NoError(t, c.Close())
		}
	})

	settings, err := c.Settings(t.Context())
	require.NoError(t, err)
	require.Equal(t, "on", settings["fsync"])
	require.Equal(t, "on", settings["synchronous_commit"])
	require.Equal(t, "512MB", settings["shared_buffers"])
	require.Equal(t, "1GB", settings["max_wal_size"])
	require.NotEmpty(t, settings["server_version"])

	require.NoError(t, c.Create(t.Context(), "a"))
	conn, err := c.Connect(t.Context(), "a")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 1 AS n")
	require.NoError(t, err)
	n, err := c.Connections(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, conn.Close(t.Context()))

	release, err := c.Hold(t.Context(), "a")
	require.NoError(t, err)
	n, err = c.Connections(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	conn, err = c.Connect(t.Context(), "a")
	require.NoError(t, err)
	var holds bool
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT backend_xmin IS NOT NULL AND state = 'idle in transaction' FROM pg_stat_activity WHERE datname = 'a' AND pid <> pg_backend_pid()").Scan(&holds))
	require.True(t, holds, "what is deleted stays")
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, release())

	busy, err := c.Processor()
	if !errors.Is(err, process.ErrUnknown) {
		require.NoError(t, err)
		require.Positive(t, busy)
	}
	require.NoError(t, c.Settle(t.Context(), "a"))
	require.NoError(t, c.Copy(t.Context(), "b", "a"))
	size, err := c.Size(t.Context(), "b")
	require.NoError(t, err)
	require.Positive(t, size)
	conn, err = c.Connect(t.Context(), "b")
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n))
	require.Equal(t, 1, n)
	require.NoError(t, c.Drop(t.Context(), "b"), "somebody is connected")
	require.Error(t, conn.Ping(t.Context()))
	_, err = c.Connect(t.Context(), "b")
	require.Error(t, err)

	closed = true
	require.NoError(t, c.Close())
	require.NoDirExists(t, at)
}

func TestPathThatIsTooLong(t *testing.T) {
	t.Parallel()
	_, err := postgres.Start(t.Context(), filepath.Join(t.TempDir(), strings.Repeat("long", 30)), postgres.Options{})
	require.ErrorContains(t, err, "too long")
}

func TestProgramsThatAreNotThere(t *testing.T) {
	t.Parallel()
	at := directory(t)
	_, err := postgres.Start(t.Context(), at, postgres.Options{Programs: t.TempDir()})
	require.Error(t, err)
	require.NoDirExists(t, at)
}
