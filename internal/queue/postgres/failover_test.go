package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// A synchronous standby takes over: who was told that something is done finds it done there.

func TestServersGoOnWithTheStandbyThatTakesOver(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{TCP: true})
	config, err := pgx.ParseConfig(primary.Database(t))
	require.NoError(t, err)
	standby := pgtest.Start(t, pgtest.Options{TCP: true, StandbyOf: primary, Synchronous: true})
	dsn := migrated(t, fmt.Sprintf("postgres://%s@127.0.0.1:%d,127.0.0.1:%d/%s?sslmode=disable&target_session_attrs=read-write",
		config.User, primary.Port(), standby.Port(), config.Database))
	a, b := openServer(t, dsn, Options{}), openServer(t, dsn, Options{})
	traffic := startTraffic(t, a, b)
	traffic.awaitMore(t, 100)
	require.NoError(t, primary.Stop(pgtest.Immediate))
	began := time.Now()
	awaitReady(t, false, a, b)
	require.NoError(t, standby.Promote())
	awaitReady(t, true, a, b)
	traffic.awaitMore(t, 1)
	t.Logf("jobs go through again %v after the primary was stopped", time.Since(began))
	traffic.awaitMore(t, 100)
	traffic.end(t, a)
}
