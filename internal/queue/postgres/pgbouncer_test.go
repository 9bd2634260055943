//go:build unix

package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// Behind PgBouncer, which gives a connection of the database to a transaction at a time.

// bouncer starts a PgBouncer before the server of a database, and returns what turns the address
// of a database there into one that goes through it.
func bouncer(t *testing.T, dsn string) (through func(dsn string) string) {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		t.Fatal("there is no pgbouncer; `scripts/postgres pgbouncer` installs it, and `make test-embedded` does without")
	}
	server, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "longshore-bouncer-") //nolint:usetesting // which makes one that nobody else may enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	port := unusedPort(t)
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 1000
max_db_connections = 5
`, server.Host, server.Port, server.User, port)
	file := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	// The shell ends it when the test process is gone, however that ends.
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", `"$0" -q "$1" & cat; kill $!; wait`, path, file)
	cmd.Dir, cmd.Stderr = "/", io.Discard
	if os.Geteuid() == 0 { // which PgBouncer refuses to be run by
		owner := ownerOf(t, server.Host)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
		require.NoError(t, os.Chown(dir, int(owner.Uid), int(owner.Gid)))
		require.NoError(t, os.Chown(file, int(owner.Uid), int(owner.Gid)))
	}
	alive, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = alive.Close()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		return err == nil && conn.Close() == nil
	}, soon, tick, "PgBouncer does not start")
	return func(dsn string) string {
		config, err := pgx.ParseConfig(dsn)
		require.NoError(t, err)
		return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, address, url.PathEscape(config.Database))
	}
}

func unusedPort(t *testing.T) int {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	address, isTCP := listener.Addr().(*net.TCPAddr)
	require.True(t, isTCP)
	require.NoError(t, listener.Close())
	return address.Port
}

// ownerOf is who may use a directory: that of a server's socket.
func ownerOf(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	info, err := os.Stat(dir)
	require.NoError(t, err)
	stat, isStat := info.Sys().(*syscall.Stat_t)
	require.True(t, isStat)
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
}

// bouncedGroups are those of the conformance suite that have all statements of the engine made; the
// others would only take their time.
func bouncedGroups() []string {
	return []string{
		"Enqueue", "Idempotency", "Unique", "Dequeue", "DequeueOnce", "DequeueBatch", "Order", "Schedule", "Update", "Requeue",
		"Failure", "Cancel", "Delete", "Many", "Dependencies", "Progress", "Await", "Events", "Workers", "Storm", "Random",
	}
}

// TestStoreBehindPgBouncer runs a part of the conformance suite through a PgBouncer.
func TestStoreBehindPgBouncer(t *testing.T) {
	t.Parallel()
	through := bouncer(t, pgtest.Database(t))
	queuetest.Test(t, func(t queuetest.TB) queuetest.Harness {
		h := &harness{dsn: emptyOne(t), limits: smallLimits()}
		h.address, h.options = through(h.dsn), Options{NoListen: true, PollInterval: 50 * time.Millisecond}
		h.setClock(time.Now().UTC().Truncate(time.Microsecond))
		h.open(t)
		return h
	}, bouncedGroups()...)
}

func TestServersBehindPgBouncer(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	through := bouncer(t, dsn)(dsn)
	options := Options{NoListen: true, PollInterval: 50 * time.Millisecond}
	a, b := openServer(t, through, options), openServer(t, through, options)
	traffic := startTraffic(t, a, b)
	traffic.awaitMore(t, 500)
	traffic.end(t, a)
	audit, err := Audit(t.Context(), through)
	require.NoError(t, err)
	require.Empty(t, audit.Differences)
}
