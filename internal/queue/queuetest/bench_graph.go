package queuetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// ends are two jobs of a graph: the root is the only one that depends on nothing, and the last
// one the only one that nothing depends on. They are the same in a graph of one.
type ends struct{ root, last uuid.UUID }

// benchShapes are the graphs that are measured: a deep one and a wide one.
var benchShapes = []struct {
	name string
	add  func(t TB, q Queue, n int) ends
}{{"Chain", addChain}, {"Diamond", addDiamond}}

func addJobs(t TB, q Queue, jobs ...queue.NewJob) []uuid.UUID {
	t.Helper()
	enqueued, err := q.Enqueue(context.Background(), jobs)
	require.NoError(t, err)
	return idsOf(enqueued)
}

// addChain enqueues n jobs each of which depends on the one before.
func addChain(t TB, q Queue, n int) (e ends) {
	t.Helper()
	for done := 0; done < n; done += benchBatch {
		jobs := make([]queue.NewJob, min(benchBatch, n-done))
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: benchType, Args: benchArgs, Name: strconv.Itoa(i)}
			if i > 0 {
				jobs[i].Needs = []queue.Need{{Name: jobs[i-1].Name}}
			}
		}
		if done > 0 {
			jobs[0].Dependencies = []uuid.UUID{e.last}
		}
		ids := addJobs(t, q, jobs...)
		if done == 0 {
			e.root = ids[0]
		}
		e.last = ids[len(ids)-1]
	}
	return e
}

// addDiamond enqueues n jobs: a root, jobs that depend on it, sinks each of which depends on as
// many of those as one job can, and a last job that depends on all sinks. What is smaller than
// that has no sink, or no last job either.
func addDiamond(t TB, q Queue, n int) ends {
	t.Helper()
	root := addJobs(t, q, queue.NewJob{Type: benchType, Args: benchArgs})[0]
	e := ends{root: root, last: root}
	var sinks []uuid.UUID
	for left := n - 2; left > 0; left -= queue.MaxJobs {
		jobs := make([]queue.NewJob, min(left, queue.MaxJobs))
		sink := len(jobs) - 1
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: benchType, Args: benchArgs, Name: strconv.Itoa(i)}
			if i < sink || sink == 0 {
				jobs[i].Dependencies = []uuid.UUID{root}
			}
		}
		for i := range sink {
			jobs[sink].Needs = append(jobs[sink].Needs, queue.Need{Name: jobs[i].Name})
		}
		sinks = append(sinks, addJobs(t, q, jobs...)[sink])
	}
	if n > 1 {
		if len(sinks) == 0 {
			sinks = []uuid.UUID{root}
		}
		e.last = addJobs(t, q, queue.NewJob{Type: benchType, Args: benchArgs, Dependencies: sinks})[0]
	}
	return e
}

// drainGraph measures callers that finish the b.N jobs of a graph as they become ready. Of a
// chain one is ready at a time: compare it with independent jobs and one caller.
func drainGraph(b *testing.B, q Queue, callers int, add func(t TB, q Queue, n int) ends) {
	b.Helper()
	add(b, q, b.N)
	measure(b, callers, func(ctx context.Context, _ int) error {
		l, err := q.Dequeue(ctx, queue.DequeueRequest{Types: []string{benchType}})
		if err != nil {
			return err
		}
		_, err = q.RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{Result: benchResult})
		return err
	})
}

// failRoot measures how long it takes until a graph of b.N jobs has failed because its root
// has, and how long another caller, which enqueues one job after the other, has to wait for an
// answer meanwhile. Only runs with as large a graph compare.
func failRoot(b *testing.B, q Queue, add func(t TB, q Queue, n int) ends) {
	b.Helper()
	graph := add(b, q, b.N)
	l, err := q.Dequeue(context.Background(), queue.DequeueRequest{Types: []string{benchType}})
	require.NoError(b, err)
	require.Equal(b, graph.root, l.JobID)
	stop, waited := make(chan struct{}), make(chan time.Duration, 1)
	begun := make(chan struct{})
	go func() { waited <- longestWait(b, q, begun, stop) }()
	<-begun
	b.ReportAllocs()
	b.ResetTimer()
	_, err = q.Fail(context.Background(), l.Token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
	b.StopTimer()
	close(stop)
	longest := <-waited
	require.NoError(b, err)
	status, err := q.JobStatus(context.Background(), graph.last)
	require.NoError(b, err)
	require.Equal(b, queue.Failed, status.State)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(longest.Seconds()*1000, "longest-wait-ms")
}

// longestWait enqueues one job after the other and returns how long the longest call took. It
// closes begun after the first one, which does not count.
func longestWait(b *testing.B, q Queue, begun, stop chan struct{}) (longest time.Duration) {
	b.Helper()
	for first := true; ; first = false {
		begin := time.Now()
		if _, err := q.Enqueue(context.Background(), []queue.NewJob{{Type: "other", Args: benchArgs}}); err != nil {
			b.Errorf("the other caller: %v", err)
		}
		if first {
			close(begun)
		} else {
			longest = max(longest, time.Since(begin))
		}
		select {
		case <-stop:
			return longest
		default:
		}
	}
}
