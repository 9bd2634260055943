package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// BenchmarkStore measures the engine on a database that does not wait for its disk: what it costs
// in work. The program in bench/ measures it on a durable one.
func BenchmarkStore(b *testing.B) {
	queuetest.Benchmark(b, func(t queuetest.TB) queuetest.Harness {
		h := &benchHarness{harness{dsn: pgtest.Database(lasting{t}), limits: defaultLimits()}}
		_, err := Migrate(context.Background(), h.dsn)
		require.NoError(t, err)
		h.store, err = open(context.Background(), h.dsn, Options{Logger: failOnError{t}}, h.limits)
		require.NoError(t, err)
		return h
	})
}

// benchHarness leaves out the audit, which takes longer than what is measured.
type benchHarness struct{ harness }

func (h *benchHarness) Close(t queuetest.TB) { require.NoError(t, h.store.Close()) }
