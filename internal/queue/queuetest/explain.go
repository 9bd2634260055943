package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// explain explains a job, and checks what does not depend on why it is not running.
func (f *fixture) explain(t *testing.T, id uuid.UUID, want queue.Reason) *queue.Explanation {
	t.Helper()
	e, err := f.Queue().Explain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, want, e.Reason(), e.Sentence())
	require.Equal(t, f.Now(), e.Now)
	status := f.status(t, id)
	status.Result, status.Dependents, status.Progress, status.PartialResult = nil, nil, nil, nil
	require.Equal(t, status, e.Status)
	require.NotEmpty(t, e.Sentence())
	return &e
}

var explainTests = map[string]func(*testing.T, *fixture){
	"a job that waits for others": func(t *testing.T, f *fixture) {
		first := f.enqueue(t, make100("a")...)
		first = append(first, f.enqueue(t, make100("a")...)...)
		id := f.enqueue1(t, "b", first...)
		f.finish(t, f.dequeue(t, "a").Token, "1")
		e := f.explain(t, id, queue.ReasonDependencies)
		require.Equal(t, 199, e.OpenAll)
		require.Equal(t, first[1:1+queue.MaxOpen], e.Open)
		require.Equal(t, "It waits for 199 jobs that it depends on to be over.", e.Sentence())
		_, err := f.Queue().Explain(t.Context(), uuid.New())
		require.ErrorIs(t, err, queue.ErrNotExist)
	},
	"a job that waits for its time": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "a", Delay: time.Hour, ExpiresAt: f.Now().Add(2 * time.Hour)})[0]
		e := f.explain(t, id, queue.ReasonNotYet)
		require.Equal(t, f.Now().Add(2*time.Hour), e.Expires)
		require.Contains(t, e.Sentence(), "which is in 1h0m0s")
	},
	"a job that waits for its next attempt": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, retrying("a", 3))[0]
		f.report(t, f.dequeue(t, "a").Token, after("full", time.Minute))
		e := f.explain(t, id, queue.ReasonRetry)
		require.Equal(t, "full", e.Last.Error.Reason)
		require.Contains(t, e.Sentence(), `Attempt 1 failed: "full".`)
	},
	"a job that nobody asks for": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "a")
		f.ask(t, queue.DequeueRequest{Types: []string{"b"}, Worker: "w"})
		f.ask(t, queue.DequeueRequest{Types: []string{"a"}, Channels: []string{"x"}, Worker: "v"})
		e := f.explain(t, id, queue.ReasonNoWorker)
		require.Zero(t, e.Askers)
	},
	"a job that stands in line": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("a")...)
		urgent := f.enqueue(t, queue.NewJob{Type: "a", Priority: 1}, queue.NewJob{Type: "b", Priority: 1})
		asked := f.Now()
		l := f.dequeueAs(t, "w", "a")
		f.dequeueAs(t, "v", "a")
		require.Equal(t, urgent[0], l.JobID)
		f.Advance(time.Minute)
		e := f.explain(t, ids[99], queue.ReasonInLine)
		require.Equal(t, 98, e.Ahead)
		require.Equal(t, queue.Askers{Workers: 2, Last: asked}, e.Askers)
		require.Contains(t, e.Sentence(), "98 jobs stand before it in line. 2 workers asked for type a")
		require.Zero(t, f.explain(t, ids[1], queue.ReasonInLine).Ahead)
		f.release(t, l.Token, 0)
		require.Equal(t, 1, f.explain(t, ids[1], queue.ReasonInLine).Ahead)
		e = f.explain(t, urgent[0], queue.ReasonInLine)
		require.Contains(t, e.Sentence(), "Attempt 1 was given back by its worker.")
		f.Restart(t)
		require.Equal(t, 99, f.explain(t, ids[99], queue.ReasonNoWorker).Ahead)
	},
	"a job that runs": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "a")
		l := f.dequeueAs(t, "w", "a")
		f.Advance(time.Second)
		f.beat(t, l.Token, queue.Beat{})
		beat := f.Now()
		f.Advance(5 * time.Second)
		e := f.explain(t, l.JobID, queue.ReasonIsRunning)
		require.Equal(t, beat, e.Beat)
		require.Contains(t, e.Sentence(), "Worker w has been running it since")
		require.Contains(t, e.Sentence(), "its last heartbeat came 5s ago")
	},
	"a job that is over": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("a")[:2]...)
		failed, finished := f.dequeue(t, "a"), f.dequeue(t, "a")
		f.fail(t, failed.Token, "broken")
		f.finish(t, finished.Token, "1")
		require.Contains(t, f.explain(t, failed.JobID, queue.ReasonIsOver).Sentence(), `It is over: it failed 1s ago. The reason is "broken".`)
		f.explain(t, finished.JobID, queue.ReasonIsOver)
		id := f.enqueue1(t, "a")
		f.cancel(t, id)
		require.Contains(t, f.explain(t, id, queue.ReasonIsOver).Sentence(), "it was canceled")
		f.delete(t, id)
		_, err := f.Queue().Explain(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
	},
}
