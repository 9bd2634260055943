package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// traceParent is a trace context as W3C has it.
const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var dequeueTests = map[string]func(*testing.T, *fixture){
	"a lease holds what a worker needs": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "build", Args: args(`{"a":1}`)})[0]
		l, err := f.Queue().Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}, Worker: "w1"})
		require.NoError(t, err)
		require.Equal(t, queue.Lease{
			Token: l.Token, JobID: id, Type: "build", Channel: queue.DefaultChannel, Args: args(`{"a":1}`), Attempt: 1,
		}, l)
		require.Equal(t, uuid.Version(4), l.Token.Version())
		require.NotEqual(t, id, l.Token)

		status := f.status(t, id)
		require.Equal(t, queue.Running, status.State)
		require.Equal(t, f.Now(), status.Started)
		require.Equal(t, uint64(1), status.Attempt)
		require.Equal(t, "w1", status.Worker)

		got, err := f.Queue().IdFromToken(t.Context(), l.Token)
		require.NoError(t, err)
		require.Equal(t, id, got)
		again, err := f.Queue().Lease(t.Context(), l.Token)
		require.NoError(t, err)
		require.Equal(t, l, again)
	},
	"a lease holds all that was given for its worker": func(t *testing.T, f *fixture) {
		job := queue.NewJob{
			Type: "build", Channel: "acme", Args: args(`[1]`), Timeout: time.Hour, HeartbeatTimeout: time.Minute,
			Labels: map[string]string{"team": "print", "customer": "42"}, TraceParent: traceParent,
		}
		id := f.enqueue(t, job)[0]
		request := queue.DequeueRequest{Types: []string{"build"}, Channels: []string{"acme"}}
		l, err := f.Queue().Dequeue(now(), request)
		require.NoError(t, err)
		require.Equal(t, queue.Lease{
			Token: l.Token, JobID: id, Type: "build", Channel: "acme", Args: args(`[1]`), Attempt: 1, Timeout: time.Hour,
			HeartbeatTimeout: time.Minute, Labels: job.Labels, TraceParent: traceParent,
		}, l)
		require.Equal(t, queue.BeatAnswer{HeartbeatTimeout: time.Minute}, f.beat(t, l.Token, queue.Beat{}))
		f.Restart(t)
		again, err := f.Queue().Lease(t.Context(), l.Token)
		require.NoError(t, err)
		require.Equal(t, l, again)
		require.Equal(t, queue.BeatAnswer{HeartbeatTimeout: time.Minute}, f.beat(t, l.Token, queue.Beat{}))
		f.release(t, l.Token, 0)
		again, err = f.Queue().DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
		require.NoError(t, err)
		l.Token, l.Attempt = again.Token, 2
		require.Equal(t, l, again)
	},
	"a job is leased once": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		f.dequeue(t, "build")
		f.requireNothingReady(t, "build")
	},
	"first in, first out over all types and channels asked for": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Type: "b", Channel: "x"}, queue.NewJob{Type: "a", Channel: "y"},
			queue.NewJob{Type: "a", Channel: "x"}, queue.NewJob{Type: "b", Channel: "y"})
		for i, want := range ids {
			l, err := f.Queue().Dequeue(now(), queue.DequeueRequest{Types: []string{"a", "b"}, Channels: []string{"y", "x"}})
			require.NoError(t, err)
			require.Equal(t, want, l.JobID, "job %d", i)
		}
	},
	"order holds through a long backlog": func(t *testing.T, f *fixture) {
		var want []uuid.UUID
		for range 15 {
			want = append(want, f.enqueue(t, make100("build")...)...)
		}
		require.Equal(t, want, f.runToEnd(t, "build"))
	},
	"other types and channels are left alone": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "a", Channel: "x"}, queue.NewJob{Type: "ab"}, queue.NewJob{Type: "a:b"})
		f.requireNothingReady(t, "a")
		f.requireNothingReady(t, "b")
		f.dequeue(t, "ab")
	},
	"a type or channel named twice counts once": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "a")
		l, err := f.Queue().Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"a", "a"}, Channels: []string{"default", "default"}})
		require.NoError(t, err)
		require.Equal(t, id, l.JobID)
		f.requireNothingReady(t, "a", "a")
	},
	"an invalid request is named": func(t *testing.T, f *fixture) {
		for field, request := range map[string]queue.DequeueRequest{
			"types":       {},
			"types[1]":    {Types: []string{"a", ""}},
			"channels[0]": {Types: []string{"a"}, Channels: []string{"\x00"}},
			"worker":      {Types: []string{"a"}, Worker: "\xff"},
		} {
			_, err := f.Queue().Dequeue(t.Context(), request)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid, field)
			require.Equal(t, field, invalid.Field)
		}
	},
	"a context that is over still looks once": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		require.Equal(t, id, f.dequeue(t, "build").JobID)
		f.requireNothingReady(t, "build")
	},
	"waiting ends with the context": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := f.Queue().Dequeue(ctx, queue.DequeueRequest{Types: []string{"build"}})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		require.Error(t, ctx.Err(), "it waited")
		// Whoever is gone takes no job with him.
		id := f.enqueue1(t, "build")
		require.Equal(t, id, f.dequeue(t, "build").JobID)
	},
	"a waiting caller is handed the next job": func(t *testing.T, f *fixture) {
		leases := f.dequeueLater(t, 1, "build", "test")
		id := f.enqueue1(t, "test")
		require.Equal(t, id, receive(t, leases).JobID)
		f.requireState(t, id, queue.Running)
	},
	"a job that becomes ready by its dependency is handed over": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		leases := f.dequeueLater(t, 1, "second")
		f.finish(t, f.dequeue(t, "first").Token, `7`)
		l := receive(t, leases)
		require.Equal(t, second, l.JobID)
		require.Equal(t, []queue.Dependency{{ID: first, Type: "first", State: queue.Finished, Result: args("7")}}, l.Dependencies)
	},
	"a requeued job is handed over": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		held := f.dequeue(t, "build")
		leases := f.dequeueLater(t, 1, "build")
		f.release(t, held.Token, 0)
		l := receive(t, leases)
		require.Equal(t, id, l.JobID)
		require.Equal(t, uint64(2), l.Attempt)
	},
	"each job goes to one of many waiting callers": func(t *testing.T, f *fixture) {
		const callers = 50
		leases := f.dequeueLater(t, callers, "build")
		want := make(map[uuid.UUID]bool)
		for range callers {
			want[f.enqueue1(t, "build")] = true
		}
		got := make(map[uuid.UUID]bool)
		for range callers {
			got[receive(t, leases).JobID] = true
		}
		require.Equal(t, want, got)
	},
	"by id: out of turn, and once": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("build")...)
		l, err := f.Queue().DequeueByID(t.Context(), ids[57], queue.Holder{Worker: "w"}, queue.Once{})
		require.NoError(t, err)
		require.Equal(t, ids[57], l.JobID)
		require.Equal(t, "w", f.status(t, ids[57]).Worker)
		_, err = f.Queue().DequeueByID(t.Context(), ids[57], queue.Holder{}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotPending)
		require.Equal(t, append(ids[:57:57], ids[58:]...), f.runToEnd(t, "build"))
	},
	"by id: only what is pending": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "build")
		blocked := f.enqueue1(t, "build", first)
		canceled := f.enqueue1(t, "build")
		f.cancel(t, canceled)
		finished := f.enqueue1(t, "done")
		f.finish(t, f.dequeue(t, "done").Token, "1")
		for _, id := range []uuid.UUID{blocked, canceled, finished} {
			_, err := f.Queue().DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
			require.ErrorIs(t, err, queue.ErrNotPending)
		}
		_, err := f.Queue().DequeueByID(t.Context(), first, queue.Holder{Worker: "\xff"}, queue.Once{})
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		f.requireState(t, first, queue.Pending)
	},
}
