package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the server cannot go on after is reported, once, and it can still be stopped.
func TestFailureIsReported(t *testing.T) {
	t.Parallel()
	a, err := New(Options{
		Listen: "127.0.0.1:0", Store: InMemory, HeartbeatTimeout: time.Minute, ReapInterval: time.Minute,
		MaxWait: time.Minute, MaxBodyBytes: 1 << 10,
	})
	require.NoError(t, err)
	require.NoError(t, a.Start())
	select {
	case err := <-a.Failed():
		require.Fail(t, "failed before anything happened", err)
	default:
	}
	require.NoError(t, a.listener.Close())
	require.ErrorContains(t, <-a.Failed(), "serve:")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, a.Stop(ctx))
}
