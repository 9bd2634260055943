package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func (f *fixture) workers(t *testing.T) []queue.Worker {
	t.Helper()
	page, err := f.Queue().Workers(t.Context(), queue.WorkerListing{Limit: queue.MaxPage})
	require.NoError(t, err)
	require.False(t, page.More)
	return page.Workers
}

// ask has a worker ask for jobs that there are not.
func (f *fixture) ask(t *testing.T, request queue.DequeueRequest) {
	t.Helper()
	_, err := f.Queue().Dequeue(now(), request)
	require.ErrorIs(t, err, queue.ErrDequeueTimeout)
}

var workersTests = map[string]func(*testing.T, *fixture){
	"who asked, when, and for what": func(t *testing.T, f *fixture) {
		require.Empty(t, f.workers(t))
		first := f.Now()
		f.ask(t, queue.DequeueRequest{Worker: "b", Types: []string{"x"}})
		f.Advance(time.Minute)
		request := queue.DequeueRequest{
			Worker: "b", Types: []string{"y", "x"}, Channels: []string{"c"}, Labels: map[string]string{"os": "linux"},
		}
		f.ask(t, request)
		_, err := f.Queue().DequeueBatch(now(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Worker: "a", Types: []string{"x"}}, Max: 1})
		require.NoError(t, err)
		f.ask(t, queue.DequeueRequest{Types: []string{"z"}})
		require.Equal(t, []queue.Worker{
			{First: f.Now(), Last: f.Now(), Types: []string{"z"}, Channels: []string{queue.DefaultChannel}},
			{Name: "a", First: f.Now(), Last: f.Now(), Types: []string{"x"}, Channels: []string{queue.DefaultChannel}},
			{Name: "b", First: first, Last: f.Now(), Types: request.Types, Channels: request.Channels, Labels: request.Labels},
		}, f.workers(t))
	},
	"who waits": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		q := f.Queue()
		go func() {
			_, _ = q.Dequeue(ctx, queue.DequeueRequest{Worker: "a", Types: []string{"x"}})
			close(ended)
		}()
		require.Eventually(t, func() bool { w := f.workers(t); return len(w) == 1 && w[0].Waiting == 1 }, patience, time.Millisecond)
		cancel()
		<-ended
		require.Zero(t, f.workers(t)[0].Waiting)
	},
	"who holds what, also after a restart": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "work"}, queue.NewJob{Type: "work"}, queue.NewJob{Type: "work"})
		var held []queue.HeldLease
		var tokens []uuid.UUID
		for range 2 {
			l := f.dequeueAs(t, "a", "work")
			held = append(held, queue.HeldLease{
				JobID: l.JobID, Lane: queue.Lane{Channel: queue.DefaultChannel, Type: "work"}, Attempt: 1,
				Principal: principalOf("a"), Started: f.Now(),
			})
			tokens = append(tokens, l.Token)
			f.Advance(time.Second)
		}
		f.dequeueAs(t, "b", "work")
		got := f.workers(t)
		require.Len(t, got, 2)
		require.Equal(t, held, got[0].Held)
		require.Equal(t, 2, got[0].HeldAll)
		f.finish(t, tokens[0], "1")
		f.Restart(t)
		got = f.workers(t)
		require.Len(t, got, 2)
		require.Equal(t, held[1:], got[0].Held)
		require.Equal(t, 1, got[1].HeldAll)
	},
	"those of some channels": func(t *testing.T, f *fixture) {
		list := func(channels ...string) []queue.Worker {
			page, err := f.Queue().Workers(t.Context(), queue.WorkerListing{Channels: channels, Limit: queue.MaxPage})
			require.NoError(t, err)
			return page.Workers
		}
		first := f.Now()
		f.ask(t, queue.DequeueRequest{Worker: "w", Types: []string{"x"}, Channels: []string{"a"}})
		f.Advance(time.Minute)
		f.ask(t, queue.DequeueRequest{Worker: "w", Types: []string{"y"}, Channels: []string{"b"}})
		f.ask(t, queue.DequeueRequest{Worker: "both", Types: []string{"x"}, Channels: []string{"b", "a"}})
		f.ask(t, queue.DequeueRequest{Worker: "neither", Types: []string{"x"}})
		require.Equal(t, []queue.Worker{{Name: "w", First: first, Last: first, Types: []string{"x"}, Channels: []string{"a"}}}, list("a"))
		require.Len(t, list("a", "b"), 2)
		require.Len(t, list(queue.DefaultChannel), 1)
		require.Empty(t, list("c"))

		f.enqueue(t, queue.NewJob{Type: "x", Channel: "a"}, queue.NewJob{Type: "x", Channel: "b"})
		for range 2 {
			_, err := f.Queue().Dequeue(now(), queue.DequeueRequest{Worker: "holder", Types: []string{"x"}, Channels: []string{"a", "b"}})
			require.NoError(t, err)
		}
		held := list("b")
		require.Equal(t, "holder", held[0].Name)
		require.Equal(t, 1, held[0].HeldAll)
		require.Len(t, held[0].Held, 1)
		require.Equal(t, "b", held[0].Held[0].Lane.Channel)
		require.Zero(t, held[0].Last, "it asked in another channel too")
		require.Empty(t, list("c"))
	},
	"they are forgotten after an hour": func(t *testing.T, f *fixture) {
		f.ask(t, queue.DequeueRequest{Worker: "a", Types: []string{"x"}})
		f.Advance(time.Minute)
		f.enqueue1(t, "x")
		l := f.dequeueAs(t, "b", "x")
		f.Advance(queue.WorkerMemory - time.Minute)
		require.Len(t, f.workers(t), 2)
		f.Advance(time.Second)
		require.Len(t, f.workers(t), 1)
		f.Advance(queue.WorkerMemory)
		got := f.workers(t)
		require.Len(t, got, 1, "whoever holds a lease is there")
		require.Equal(t, "b", got[0].Name)
		require.Zero(t, got[0].Last)
		f.finish(t, l.Token, "1")
		require.Empty(t, f.workers(t))
	},
	"page by page": func(t *testing.T, f *fixture) {
		for _, name := range []string{"c", "", "a", "b"} {
			f.ask(t, queue.DequeueRequest{Worker: name, Types: []string{"x"}})
		}
		var names []string
		listing := queue.WorkerListing{Limit: 3}
		for more := true; more; {
			page, err := f.Queue().Workers(t.Context(), listing)
			require.NoError(t, err)
			for i := range page.Workers {
				names = append(names, page.Workers[i].Name)
			}
			more, listing.After = page.More, &names[len(names)-1]
		}
		require.Equal(t, []string{"", "a", "b", "c"}, names)
	},
}
