package queuetest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var requeueTests = map[string]func(*testing.T, *fixture){
	"a lost job is requeued maxRetries times, then fails": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		for range 2 {
			require.Equal(t, queue.Pending, f.lose(t, f.dequeue(t, "build").Token, 2))
			require.True(t, f.status(t, id).Started.IsZero())
		}
		l := f.dequeue(t, "build")
		require.Equal(t, uint64(3), l.Attempt)
		require.Equal(t, queue.Failed, f.lose(t, l.Token, 2))
		status := f.status(t, id)
		require.Equal(t, queue.Failed, status.State)
		require.Equal(t, &queue.JobError{Reason: queue.ReasonHeartbeatLost}, status.Error)
		require.Equal(t, uint64(2), status.Retries)
		require.Equal(t, uint64(3), status.Attempt)
		f.requireNothingReady(t, "build")
	},
	"maxRetries 0 finishes": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		require.Equal(t, queue.Failed, f.lose(t, f.dequeue(t, "build").Token, 0))
		f.requireState(t, id, queue.Failed)
	},
	// ORIGIN 13.
	"a requeued job keeps its place in line": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "build"}, queue.NewJob{Type: "build"}, queue.NewJob{Type: "build"})
		first := f.dequeue(t, "build")
		second := f.dequeue(t, "build")
		f.lose(t, second.Token, 2)
		f.lose(t, first.Token, 2)
		require.Equal(t, ids, f.runToEnd(t, "build"))
	},
	"requeued jobs keep their places in a long backlog": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 8 {
			ids = append(ids, f.enqueue(t, make100("build")...)...)
		}
		var tokens []uuid.UUID
		for range 700 {
			tokens = append(tokens, f.dequeue(t, "build").Token)
		}
		for i := len(tokens) - 1; i >= 0; i-- {
			f.lose(t, tokens[i], 2)
		}
		require.Equal(t, ids, f.runToEnd(t, "build"))
	},
	// ORIGIN 3: the lease that was taken back can end neither itself nor its successor.
	"a stale token changes nothing after a requeue": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		stale := f.dequeue(t, "build")
		f.lose(t, stale.Token, 2)
		f.requireStale(t, stale.Token)
		f.requireState(t, id, queue.Pending)

		fresh := f.dequeue(t, "build")
		require.NotEqual(t, stale.Token, fresh.Token)
		before := f.status(t, id)
		f.requireStale(t, stale.Token)
		require.Equal(t, before, f.status(t, id))
		f.finish(t, fresh.Token, `"fresh"`)
		f.requireStale(t, stale.Token)
		require.Equal(t, `"fresh"`, string(f.status(t, id).Result))
	},
	"a job lost for good is told to its late worker": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.lose(t, l.Token, 0)
		f.requireStale(t, l.Token)
	},
}

func (f *fixture) requireStale(t *testing.T, token uuid.UUID) {
	t.Helper()
	f.requireLost(t, token)
	for _, outcome := range []queue.Outcome{result1(`"stale"`), error1("stale"), error1(queue.ReasonHeartbeatLost)} {
		for _, maxRetries := range []uint64{0, 2} {
			_, err := f.Queue().RequeueOrFinishJob(t.Context(), token, maxRetries, outcome)
			require.ErrorIs(t, err, queue.ErrLeaseLost)
		}
	}
	_, err := f.Queue().Release(t.Context(), token, 0)
	require.ErrorIs(t, err, queue.ErrLeaseLost)
}
