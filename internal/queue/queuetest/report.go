package queuetest

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var reportTests = map[string]func(*testing.T, *fixture){
	"finish keeps the result": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.finish(t, l.Token, `{"pages": 12}`)
		status := f.status(t, id)
		require.Equal(t, queue.Finished, status.State)
		require.Equal(t, `{"pages": 12}`, string(status.Result))
		require.Nil(t, status.Error)
		require.False(t, status.Canceled)
		require.False(t, status.Finished.Before(status.Started))
		f.requireNothingReady(t, "build")
	},
	"no result is null": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		_, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
		require.NoError(t, err)
		require.Equal(t, `null`, string(f.status(t, id).Result))
		f.finish(t, l.Token, `null`) // the same
	},
	"fail keeps the error and runs no more": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		outcome := queue.Outcome{Error: &queue.JobError{Reason: "exit-code", Details: args(`{"code": 2}`)}}
		state, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, outcome)
		require.NoError(t, err)
		require.Equal(t, queue.Failed, state)
		status := f.status(t, id)
		require.Equal(t, queue.Failed, status.State)
		require.Equal(t, outcome.Error, status.Error)
		require.Nil(t, status.Result)
		require.False(t, status.Finished.IsZero())
		f.requireNothingReady(t, "build")
	},
	"the same report again is answered the same": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.finish(t, l.Token, `1`)
		before := f.status(t, id)
		f.Advance(1)
		f.finish(t, l.Token, `1`)
		require.Equal(t, before, f.status(t, id))

		f.enqueue1(t, "build")
		l = f.dequeue(t, "build")
		f.fail(t, l.Token, "broken")
		f.fail(t, l.Token, "broken")
	},
	"another report under the same token is refused": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.finish(t, l.Token, `1`)
		before := f.status(t, id)
		for _, outcome := range []queue.Outcome{
			result1(`2`), error1("broken"),
			{Error: &queue.JobError{Reason: "", Details: json.RawMessage("1")}},
		} {
			_, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, outcome)
			require.ErrorIs(t, err, queue.ErrAlreadyReported)
		}
		_, err := f.Queue().Release(t.Context(), l.Token, 0)
		require.ErrorIs(t, err, queue.ErrLeaseLost)
		require.Equal(t, before, f.status(t, id))
	},
	"a token that was never given out": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		f.dequeue(t, "build")
		for name, token := range map[string]uuid.UUID{"random": uuid.New(), "zero": uuid.Nil, "the job's id": id} {
			_, err := f.Queue().RequeueOrFinishJob(t.Context(), token, 0, result1(`1`))
			require.ErrorIs(t, err, queue.ErrNotExist, name)
			_, err = f.Queue().Release(t.Context(), token, 0)
			require.ErrorIs(t, err, queue.ErrNotExist, name)
			_, err = f.Queue().Lease(t.Context(), token)
			require.ErrorIs(t, err, queue.ErrNotExist, name)
			_, err = f.Queue().RefreshHeartbeat(t.Context(), token, queue.Beat{})
			require.ErrorIs(t, err, queue.ErrNotExist, name)
			_, err = f.Queue().IdFromToken(t.Context(), token)
			require.ErrorIs(t, err, queue.ErrNotExist, name)
		}
		f.requireState(t, id, queue.Running)
	},
	"a lease that is over is gone": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.finish(t, l.Token, `1`)
		f.requireLost(t, l.Token)
	},
	"release gives the job back at no cost": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		for attempt := range uint64(5) {
			l := f.dequeue(t, "build")
			require.Equal(t, attempt+1, l.Attempt)
			for range 2 { // again is answered the same
				state, err := f.Queue().Release(t.Context(), l.Token, 0)
				require.NoError(t, err)
				require.Equal(t, queue.Pending, state)
			}
			f.requireLost(t, l.Token)
			_, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, result1(`1`))
			require.ErrorIs(t, err, queue.ErrLeaseLost)
		}
		status := f.status(t, id)
		require.Equal(t, queue.Pending, status.State)
		require.Zero(t, status.Retries)
		require.True(t, status.Started.IsZero())
	},
	"release keeps the place in line": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "build"}, queue.NewJob{Type: "build"}, queue.NewJob{Type: "build"})
		l := f.dequeue(t, "build")
		_, err := f.Queue().Release(t.Context(), l.Token, 0)
		require.NoError(t, err)
		require.Equal(t, ids, f.runToEnd(t, "build"))
	},
}

// requireLost requires that the token is known, and of no use any more.
func (f *fixture) requireLost(t *testing.T, token uuid.UUID) {
	t.Helper()
	_, err := f.Queue().IdFromToken(t.Context(), token)
	require.ErrorIs(t, err, queue.ErrNotExist)
	_, err = f.Queue().RefreshHeartbeat(t.Context(), token, queue.Beat{})
	require.ErrorIs(t, err, queue.ErrLeaseLost)
	_, err = f.Queue().Lease(t.Context(), token)
	require.ErrorIs(t, err, queue.ErrLeaseLost)
	require.NotContains(t, f.staleTokens(t, 0), token)
}
