package asynq

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/redis"
	"github.com/longshore-queue/longshore/bench/internal/process"
)

func TestAsynq(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("it wants a Redis")
	}
	program := redis.Program(path, t.TempDir(), redis.EverySecond)
	program.Log = filepath.Join(t.TempDir(), "redis.log")
	server, err := process.Start(t.Context(), program)
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	var complaints bytes.Buffer
	p := Open(server.Address, &complaints)
	require.NoError(t, p.Keep(t.Context(), 100))
	require.NoError(t, server.Rest(t.Context()), "nobody asks for work while jobs are only kept")

	// On a machine that is slow it is asked before the first job was added.
	n, err := p.done(peer.Lane)
	require.NoError(t, err)
	require.Zero(t, n)
	r, err := p.Cycle(t.Context(), peer.Cycles{Callers: 4, Batch: 1, WarmUp: 10 * time.Millisecond, Duration: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Positive(t, r.Operations)
	n, err = p.done(peer.Lane)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, r.Operations)
	_, err = p.Cycle(t.Context(), peer.Cycles{Callers: 4, Batch: 10})
	require.ErrorIs(t, err, peer.ErrUnsupported)
	require.NoError(t, p.Close())
	require.Empty(t, complaints.String())
}
