package workload

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/wire"
	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/logging"
)

// serve connects to a server of the product that keeps its jobs in memory.
func serve(t *testing.T) *wire.Conn {
	t.Helper()
	logger, err := logging.New(io.Discard, "error", "json")
	require.NoError(t, err)
	server, err := app.New(app.Options{
		Listen: "127.0.0.1:0", Store: memoryStore, Logger: logger,
		HeartbeatTimeout: time.Minute, ReapInterval: time.Minute, MaxWait: time.Minute,
		MaxBodyBytes: 1 << 20, MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20, IdempotencyTTL: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	conn, err := wire.Dial(t.Context(), server.Addr())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestFiller(t *testing.T) {
	t.Parallel()
	conn := serve(t)
	f := &filler{adder: adder{conn: conn, source: jobs.New("test")}}
	added, err := f.add(kindFinished, 1500)
	require.NoError(t, err)
	require.Len(t, added, fillBatch)
	require.NoError(t, f.finish(fillBatch))
	added, err = f.add(kindPending, 3)
	require.NoError(t, err)
	require.Len(t, added, 3)
	require.Error(t, f.finish(4), "there are three")
	_, err = f.add(kindLanes, 250)
	require.NoError(t, err)
	r, err := conn.Expect(http.StatusOK, wire.Get("/v1/jobs/"+added[0]))
	require.NoError(t, err)
	require.Contains(t, string(r.Body), `"labels":{"tenth":""}`)
}

// Where not all jobs are seen at once the rest is asked for, and all that was leased is reported.
func TestExchangeOfFewerThanAskedFor(t *testing.T) {
	t.Parallel()
	conn := serve(t)
	f := &filler{adder: adder{conn: conn, source: jobs.New("test")}}
	exchange := newExchange(dequeueNow, batchesOf)
	for _, step := range []struct{ added, most, want int }{
		{60, batchesOf, 60}, {40, 40, 40}, {150, batchesOf, batchesOf}, {50, batchesOf, batchesOf}, {1, batchesOf, 1},
	} {
		_, err := f.add(kindPending, step.added)
		require.NoError(t, err)
		leased, err := exchange.on(conn, step.most)
		require.NoError(t, err)
		require.Equal(t, step.want, leased)
	}
	_, err := exchange.on(conn, batchesOf)
	require.ErrorContains(t, err, "no leases")

	operation := (&Bench{Store: Postgres}).cyclingBatches(batchesOf)(0)
	for range 3 {
		require.NoError(t, operation(conn))
	}
}

func TestPartsOfTheTime(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	h := &held{begin: begin, part: time.Second, claims: [][]claim{
		{{at: begin.Add(-1), took: 1}, {at: begin, took: 2}, {at: begin.Add(time.Second - 1), took: 3}},
		{{at: begin.Add(time.Second), took: 4}, {at: begin.Add(6 * time.Second), took: 5}},
	}}
	require.Equal(t, []time.Duration{2, 3}, h.within(0))
	require.Equal(t, []time.Duration{4}, h.within(1))
	require.Empty(t, h.within(holdParts))
}

// A percentile that no time lies beyond is the slowest under another name.
func TestFewTimesTellNoHighPercentile(t *testing.T) {
	t.Parallel()
	for times, want := range map[int][]string{
		1: {"p50"}, 99: {"p50"}, 100: {"p50", "p99"}, 999: {"p50", "p99"}, 1000: {"p50", "p99", "p99.9"},
	} {
		var names []string
		for _, p := range told(times) {
			names = append(names, p.name)
		}
		require.Equal(t, want, names, "%d times", times)
	}
}

func TestDatabaseOf(t *testing.T) {
	t.Parallel()
	got, err := databaseOf("postgres:///bench_1?host=%2Ftmp%2Fpg&port=5432&user=u")
	require.NoError(t, err)
	require.Equal(t, "bench_1", got)
}
