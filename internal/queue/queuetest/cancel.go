package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var cancelTests = map[string]func(*testing.T, *fixture){
	"a pending job": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		f.cancel(t, id)
		status := f.status(t, id)
		require.Equal(t, queue.Canceled, status.State)
		require.True(t, status.Canceled)
		require.Equal(t, f.Now(), status.Finished, "ORIGIN 14: a canceled job has a finish time")
		f.requireNothingReady(t, "build")
	},
	"one of many pending jobs": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 8 {
			ids = append(ids, f.enqueue(t, make100("build")...)...)
		}
		f.cancel(t, ids[0])
		f.cancel(t, ids[40])
		f.cancel(t, ids[799])
		want := append(append([]uuid.UUID(nil), ids[1:40]...), ids[41:799]...)
		require.Equal(t, want, f.runToEnd(t, "build"))
	},
	// ORIGIN 8.
	"a blocked job stays canceled when its dependencies finish": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		f.cancel(t, second)
		before := f.status(t, second)
		require.Equal(t, queue.Canceled, before.State)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		require.Equal(t, before, f.status(t, second))
		f.requireNothingReady(t, "second")
		_, err := f.Queue().DequeueByID(t.Context(), second, queue.Holder{}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotPending)
	},
	// ORIGIN 1 and 2.
	"a running job: its worker learns of it, the reaper does not": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{
			Type: "build", Timeout: time.Hour, HeartbeatTimeout: time.Minute, Labels: map[string]string{"a": "b"}, TraceParent: traceParent,
		})[0]
		l := f.dequeue(t, "build")
		require.False(t, f.beat(t, l.Token, queue.Beat{}).Canceled)
		f.cancel(t, id)
		require.Empty(t, f.staleTokens(t, 0))
		for range 2 {
			require.True(t, f.beat(t, l.Token, queue.Beat{}).Canceled)
		}
		require.Empty(t, f.staleTokens(t, 0), "a heartbeat does not bring the lease back")
		got, err := f.Queue().IdFromToken(t.Context(), l.Token)
		require.NoError(t, err)
		require.Equal(t, id, got)
		seen, err := f.Queue().Lease(t.Context(), l.Token)
		require.NoError(t, err)
		l.Canceled = true
		require.Equal(t, l, seen)
	},
	"a running job: no report is accepted": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.cancel(t, id)
		before := f.status(t, id)
		require.Equal(t, queue.Canceled, before.State)
		for _, outcome := range []queue.Outcome{result1(`1`), error1("broken"), error1(queue.ReasonHeartbeatLost)} {
			_, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 2, outcome)
			require.ErrorIs(t, err, queue.ErrCanceled)
		}
		require.Equal(t, queue.Canceled, f.release(t, l.Token, time.Minute))
		require.Equal(t, before, f.status(t, id))
		f.requireNothingReady(t, "build")
	},
	"canceling again changes nothing": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		f.cancel(t, id)
		before := f.status(t, id)
		f.Advance(patience)
		f.cancel(t, id)
		require.Equal(t, before, f.status(t, id))
	},
	"a job that is over is left alone": func(t *testing.T, f *fixture) {
		finished, failed := f.enqueue1(t, "build"), f.enqueue1(t, "build")
		f.finish(t, f.dequeue(t, "build").Token, `1`)
		f.fail(t, f.dequeue(t, "build").Token, "broken")
		for _, id := range []uuid.UUID{finished, failed} {
			before := f.status(t, id)
			require.ErrorIs(t, f.Queue().CancelJob(t.Context(), id), queue.ErrNotRunning)
			require.Equal(t, before, f.status(t, id))
		}
	},
	// ORIGIN 14.
	"dependents do not wait for ever": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		follows := f.enqueue1(t, "second", first)
		runs := f.enqueue(t, queue.NewJob{Type: "third", Dependencies: []uuid.UUID{first}, RunIf: queue.AllFinished})[0]
		f.cancel(t, first)
		f.requireState(t, follows, queue.Canceled)
		require.True(t, f.status(t, follows).Canceled)
		require.False(t, f.status(t, follows).Finished.IsZero())
		l := f.dequeue(t, "third")
		require.Equal(t, runs, l.JobID)
		require.Equal(t, []queue.Dependency{{ID: first, Type: "first", State: queue.Canceled}}, l.Dependencies)
	},
}
