package queuetest

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// benchArgs is one JSON string of 200 bytes, quotes included.
var benchArgs = json.RawMessage(`"` + strings.Repeat("x", 198) + `"`)

// benchResult is what is reported of a job that is done.
var benchResult = json.RawMessage(`{"ok":true}`)

// benchType is the type of the jobs that are measured.
const benchType = "bench"

// benchBatch is how many jobs a benchmark prepares in one call.
const benchBatch = 1000

// Benchmark measures an engine: each operation alone, by 64 callers and by one, and full
// cycles; graphs, drained by as many; in operations a second beside Go's nanoseconds. And how soon a job
// is with one of many who wait, and what happens when the root of a graph fails.
func Benchmark(b *testing.B, open func(t TB) Harness) {
	for _, callers := range []struct {
		name string
		n    int
	}{{"callers=64", 64}, {"callers=1", 1}} {
		for _, operation := range benchmarks {
			b.Run(operation.name+"/"+callers.name, func(b *testing.B) {
				h := open(b)
				defer h.Close(b)
				operation.run(b, h.Queue(), callers.n)
			})
		}
	}
	for _, crowd := range benchWaiters {
		b.Run("Wake/"+crowd.name, func(b *testing.B) {
			h := open(b)
			defer h.Close(b)
			wake(b, h.Queue(), crowd.waiters, crowd.types)
		})
	}
	for _, shape := range benchShapes {
		b.Run("FailRoot/"+shape.name, func(b *testing.B) {
			h := open(b)
			defer h.Close(b)
			failRoot(b, h.Queue(), shape.add)
		})
	}
}

var benchmarks = []struct {
	name string
	run  func(b *testing.B, q Queue, callers int)
}{
	{"Enqueue", func(b *testing.B, q Queue, callers int) {
		measure(b, callers, func(ctx context.Context, _ int) error {
			_, err := q.Enqueue(ctx, []queue.NewJob{{Type: benchType, Args: benchArgs}})
			return err
		})
	}},
	{"Dequeue", func(b *testing.B, q Queue, callers int) {
		Fill(b, q, benchType, b.N)
		measure(b, callers, func(ctx context.Context, _ int) error {
			_, err := q.Dequeue(ctx, queue.DequeueRequest{Types: []string{benchType}})
			return err
		})
	}},
	{"Finish", func(b *testing.B, q Queue, callers int) {
		Fill(b, q, benchType, b.N)
		tokens := make([]uuid.UUID, b.N)
		prepare(b, 64, b.N, func(ctx context.Context, i int) error {
			l, err := q.Dequeue(ctx, queue.DequeueRequest{Types: []string{benchType}})
			tokens[i] = l.Token
			return err
		})
		measure(b, callers, func(ctx context.Context, i int) error {
			_, err := q.RequeueOrFinishJob(ctx, tokens[i], 0, queue.Outcome{Result: benchResult})
			return err
		})
	}},
	{"Cycle", func(b *testing.B, q Queue, callers int) {
		measure(b, callers, func(ctx context.Context, _ int) error {
			if _, err := q.Enqueue(ctx, []queue.NewJob{{Type: benchType, Args: benchArgs}}); err != nil {
				return err
			}
			l, err := q.Dequeue(ctx, queue.DequeueRequest{Types: []string{benchType}})
			if err != nil {
				return err
			}
			_, err = q.RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{Result: benchResult})
			return err
		})
	}},
	{"Chain", func(b *testing.B, q Queue, callers int) { drainGraph(b, q, callers, addChain) }},
	{"Diamond", func(b *testing.B, q Queue, callers int) { drainGraph(b, q, callers, addDiamond) }},
	{"Independent", func(b *testing.B, q Queue, callers int) {
		drainGraph(b, q, callers, func(t TB, q Queue, n int) ends {
			Fill(t, q, benchType, n)
			return ends{}
		})
	}},
}

// Fill enqueues n jobs of a type, in big calls.
func Fill(t TB, q Queue, jobType string, n int) {
	t.Helper()
	for done := 0; done < n; done += benchBatch {
		jobs := make([]queue.NewJob, min(benchBatch, n-done))
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: jobType, Args: benchArgs}
		}
		_, err := q.Enqueue(context.Background(), jobs)
		require.NoError(t, err)
	}
}

// measure runs an operation b.N times, by that many callers.
func measure(b *testing.B, callers int, operation func(ctx context.Context, i int) error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	prepare(b, callers, b.N, operation)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func prepare(b *testing.B, callers, n int, operation func(ctx context.Context, i int) error) {
	b.Helper()
	var next atomic.Int64
	group, ctx := errgroup.WithContext(context.Background())
	for range callers {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return nil
				}
				if err := operation(ctx, int(i)); err != nil {
					return err
				}
			}
		})
	}
	require.NoError(b, group.Wait())
}
