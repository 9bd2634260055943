package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

var (
	_ api.Queue = (*embedded.Store)(nil)
	_ api.Queue = (*postgres.Store)(nil)
)

// newStore returns an engine in memory.
func newStore(t *testing.T) *embedded.Store {
	t.Helper()
	store, err := embedded.OpenMemory(embedded.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// newPostgres returns an engine on a database of its own.
func newPostgres(t *testing.T) *postgres.Store {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a PostgreSQL")
	}
	dsn := pgtest.Database(t)
	_, err := postgres.Migrate(t.Context(), dsn)
	require.NoError(t, err)
	store, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// onEveryEngine runs a test on each engine. open returns a new one.
func onEveryEngine(t *testing.T, test func(t *testing.T, open func() api.Queue)) {
	t.Helper()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		test(t, func() api.Queue { return newStore(t) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, func() api.Queue { return newPostgres(t) })
	})
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
