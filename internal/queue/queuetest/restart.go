package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var restartTests = map[string]func(*testing.T, *fixture){
	"everything is kept": func(t *testing.T, f *fixture) {
		finished, failed, running := f.enqueue1(t, "a"), f.enqueue1(t, "a"), f.enqueue1(t, "a")
		f.finish(t, f.dequeue(t, "a").Token, `{"r": 1}`)
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		held := f.dequeue(t, "a")
		canceled := f.enqueue1(t, "b")
		f.cancel(t, canceled)
		pending := f.enqueue1(t, "b", finished)
		blocked := f.enqueue1(t, "b", running, pending)
		ids := []uuid.UUID{finished, failed, running, canceled, pending, blocked}
		var before []queue.Status
		for _, id := range ids {
			before = append(before, f.status(t, id))
		}

		f.Restart(t)

		for i, id := range ids {
			require.Equal(t, before[i], f.status(t, id))
		}
		l, err := f.Queue().Lease(t.Context(), held.Token)
		require.NoError(t, err)
		require.Equal(t, held, l)
		f.finish(t, held.Token, `2`)
		require.Equal(t, []uuid.UUID{pending, blocked}, f.runToEnd(t, "a", "b"))
	},
	// ORIGIN 8: one canceled before its start came back.
	"a canceled job does not come back": func(t *testing.T, f *fixture) {
		pending := f.enqueue1(t, "build")
		blocked := f.enqueue1(t, "build", pending)
		f.cancel(t, pending)
		f.Restart(t)
		f.requireState(t, pending, queue.Canceled)
		f.requireState(t, blocked, queue.Canceled)
		f.requireNothingReady(t, "build")
	},
	"order and places are kept": func(t *testing.T, f *fixture) {
		var want []uuid.UUID
		for range 6 {
			want = append(want, f.enqueue(t, make100("build")...)...)
		}
		held := f.dequeue(t, "build")
		f.Restart(t)
		want = append(want, f.enqueue(t, make100("build")...)...)
		f.lose(t, held.Token, 2)
		require.Equal(t, want, f.runToEnd(t, "build"))
	},
	"a restart is a fresh beat of every lease": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.Advance(time.Hour)
		f.Restart(t)
		require.Empty(t, f.staleTokens(t, time.Minute))
		f.Advance(time.Minute)
		require.Equal(t, []uuid.UUID{l.Token}, f.staleTokens(t, time.Minute))
	},
	"repeated reports are answered the same": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("build")...)
		finished, released, lost, canceled := f.dequeue(t, "build"), f.dequeue(t, "build"), f.dequeue(t, "build"), f.dequeue(t, "build")
		f.finish(t, finished.Token, `1`)
		f.release(t, released.Token, 0)
		f.lose(t, lost.Token, 2)
		f.cancel(t, canceled.JobID)

		f.Restart(t)

		f.finish(t, finished.Token, `1`)
		_, err := f.Queue().RequeueOrFinishJob(t.Context(), finished.Token, 0, result1(`2`))
		require.ErrorIs(t, err, queue.ErrAlreadyReported)
		require.Equal(t, queue.Pending, f.release(t, released.Token, 0))
		f.requireStale(t, lost.Token)
		require.True(t, f.beat(t, canceled.Token, queue.Beat{}).Canceled)
	},
	"a closed queue says so": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		old := f.Queue()
		require.NoError(t, old.Ready(t.Context()))
		f.Restart(t)
		require.ErrorIs(t, old.Ready(t.Context()), queue.ErrUnavailable)
		_, err := old.JobStatus(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrUnavailable)
		_, err = old.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
		require.ErrorIs(t, err, queue.ErrUnavailable)
		f.requireState(t, id, queue.Pending)
	},
}
