package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What those hear and see at one server who look at what is done at another one.

func TestWhoWaitsAtOneServerHearsOfChangesMadeAtAnother(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{PollInterval: time.Hour})
	awaitListening(t, a)
	awaitListening(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	position := b.EventPosition()
	id := add(t, a, queue.NewJob{Type: "heard"})[0]
	l := take(t, a, "heard")
	lost := make(chan error, 1)
	go func() { lost <- b.AwaitLease(ctx, l.Token) }()
	status := make(chan queue.Status, 1)
	go func() {
		s, err := b.Await(ctx, id)
		if err == nil {
			status <- s
		}
	}()
	require.Eventually(t, func() bool {
		events, err := b.ReadEvents(ctx, queue.EventFilter{}, position, 10)
		return err == nil && len(events.Events) == 2 && events.Events[1].State == queue.Running
	}, soon, tick, "the events of a job that was added and leased at another server")
	began := time.Now()
	done(t, a, &l)
	require.NoError(t, get(t, lost))
	require.Equal(t, queue.Finished, get(t, status).State)
	took := time.Since(began)
	t.Logf("a change of another server was heard of after %v", took)
	require.Less(t, took, soonEnough)
}

func TestWorkersAndCountsAreSeenFromEachServer(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{})
	add(t, a, queue.NewJob{Type: "seen"}, queue.NewJob{Type: "seen"})
	add(t, b, queue.NewJob{Type: "seen"})
	held, err := a.Dequeue(over(), queue.DequeueRequest{Types: []string{"seen"}, Worker: "holder"})
	require.NoError(t, err)
	ended, err := b.Dequeue(over(), queue.DequeueRequest{Types: []string{"seen"}, Worker: "ender"})
	require.NoError(t, err)
	done(t, a, &ended)
	for _, s := range []*Store{a, b} {
		page, err := s.Queues(t.Context(), queue.LaneListing{Limit: 10})
		require.NoError(t, err)
		require.Len(t, page.Queues, 1)
		counts := page.Queues[0].Counts
		require.Equal(t, []int64{1, 1, 1}, []int64{counts[queue.Pending], counts[queue.Running], counts[queue.Finished]})
		demand, err := s.Demand(t.Context(), queue.Demand{Types: []string{"seen"}})
		require.NoError(t, err)
		require.EqualValues(t, 1, demand.Ready)
	}
	for _, s := range []*Store{a, b} {
		require.Eventually(t, func() bool {
			page, err := s.Workers(t.Context(), queue.WorkerListing{Limit: 10})
			return err == nil && len(page.Workers) == 2 && page.Workers[0].Name == "ender" && page.Workers[1].HeldAll == 1
		}, soon, 20*time.Millisecond, "the workers of both servers")
	}
	done(t, b, &held)
}

func TestWhetherAWorkerWaitsIsSeenFromAnotherServer(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := a.Dequeue(ctx, queue.DequeueRequest{Types: []string{"never"}, Worker: "patient"})
		ended <- err
	}()
	waiting := func(n int) func() bool {
		return func() bool {
			page, err := b.Workers(t.Context(), queue.WorkerListing{Limit: 10})
			return err == nil && len(page.Workers) == 1 && page.Workers[0].Waiting == n
		}
	}
	require.Eventually(t, waiting(1), soon, tick, "a worker that waits at the other server")
	cancel()
	require.ErrorIs(t, get(t, ended), queue.ErrDequeueTimeout)
	require.Eventually(t, waiting(0), soon, tick, "it waits no more")
}
