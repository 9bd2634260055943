package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

var _ api.Queue = (*embedded.Store)(nil)

// newStore returns an engine in memory.
func newStore(t *testing.T) *embedded.Store {
	t.Helper()
	store, err := embedded.OpenMemory(embedded.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// newEngineEdge returns an API in front of an engine in memory.
func newEngineEdge(t *testing.T, options api.Options) *edge {
	t.Helper()
	return newEdge(t, newStore(t), options)
}

// requireNoJob requires that nothing of the type is ready in the channel.
func requireNoJob(t *testing.T, q api.Queue, jobType string) {
	t.Helper()
	ctx, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	lease, err := q.Dequeue(ctx, queue.DequeueRequest{Types: []string{jobType}})
	require.ErrorIs(t, err, queue.ErrDequeueTimeout, "a job of type %s: %s", jobType, lease.JobID)
}
