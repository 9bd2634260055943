package queuetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// benchWaiters are those among whom wakes are measured.
var benchWaiters = []struct {
	name           string
	waiters, types int
}{
	{"waiters=10", 10, 1}, {"waiters=1000", 1000, 1}, {"waiters=15000", 15000, 1},
	{"waiters=5000,types=500", 5000, 500},
}

// wake measures, with so many callers that wait for jobs of so many types, what it takes to add a job, to
// have one of them get it and finish it, and to have that one wait again; and how soon it gets it, by the
// median.
func wake(b *testing.B, q Queue, waiters, types int) {
	b.Helper()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	got := make(chan time.Time)
	var crowd errgroup.Group
	for i := range waiters {
		request := queue.DequeueRequest{Types: []string{benchType + strconv.Itoa(i%types)}}
		crowd.Go(func() error {
			for {
				l, err := q.Dequeue(ctx, request)
				at := time.Now()
				if errors.Is(err, queue.ErrDequeueTimeout) {
					return nil
				}
				if err != nil {
					return err
				}
				if _, err := q.RequeueOrFinishJob(context.Background(), l.Token, 0, queue.Outcome{Result: benchResult}); err != nil {
					return err
				}
				got <- at
			}
		})
	}
	require.Eventually(b, func() bool { return countWaiting(b, q) == waiters }, patience, time.Millisecond)
	wakes := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		addJobs(b, q, queue.NewJob{Type: benchType + strconv.Itoa(i%types), Args: benchArgs})
		wakes = append(wakes, (<-got).Sub(began))
	}
	b.StopTimer()
	end()
	require.NoError(b, crowd.Wait())
	slices.Sort(wakes)
	b.ReportMetric(float64(wakes[len(wakes)/2].Microseconds()), "us/wake")
}

// countWaiting is how many calls wait for jobs.
func countWaiting(t TB, q Queue) (n int) {
	page, err := q.Workers(context.Background(), queue.WorkerListing{Limit: queue.MaxPage})
	require.NoError(t, err)
	for i := range page.Workers {
		n += page.Workers[i].Waiting
	}
	return n
}
