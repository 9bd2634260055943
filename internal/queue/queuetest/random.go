package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// testRandom drives an engine and the model in step with random calls, restarts included, and
// compares every answer, and after each restart and at the end all that can be seen.
func testRandom(t *testing.T, open func(t TB) Harness) {
	rapid.Check(t, func(r *rapid.T) {
		h := open(r)
		defer h.Close(r)
		w := &walk{Harness: h, model: newModel(), ctx: context.Background()}
		r.Repeat(map[string]func(*rapid.T){
			"enqueue":     w.enqueue,
			"dequeue":     w.dequeue,
			"dequeueByID": w.dequeueByID,
			"report":      w.report,
			"release":     w.release,
			"cancel":      w.cancel,
			"beat":        w.beat,
			"look":        w.look,
			"reap":        w.reap,
			"advance":     w.advance,
			"restart":     w.restart,
		})
		w.compareAll(r)
	})
}

type walk struct {
	Harness
	model  *model
	ctx    context.Context
	tokens []uuid.UUID // every token given out, in order
}

var (
	walkTypes    = []string{"a", "b"}
	walkChannels = []string{"default", "x"}
)

func (w *walk) anyJob(r *rapid.T) uuid.UUID {
	if n := len(w.model.order); n > 0 && rapid.IntRange(0, 19).Draw(r, "known") > 0 {
		return w.model.order[rapid.IntRange(0, n-1).Draw(r, "job")]
	}
	return uuid.New()
}

func (w *walk) anyToken(r *rapid.T) uuid.UUID {
	if n := len(w.tokens); n > 0 && rapid.IntRange(0, 19).Draw(r, "known") > 0 {
		return w.tokens[rapid.IntRange(0, n-1).Draw(r, "token")]
	}
	return uuid.New()
}

func (w *walk) enqueue(r *rapid.T) {
	job := queue.NewJob{
		Type:    rapid.SampledFrom(walkTypes).Draw(r, "type"),
		Channel: rapid.SampledFrom(walkChannels).Draw(r, "channel"),
		RunIf:   rapid.SampledFrom([]queue.RunIf{queue.AllSucceeded, queue.AllFinished}).Draw(r, "run_if"),
		Args:    args("%d", len(w.model.order)),
	}
	for range rapid.IntRange(0, 3).Draw(r, "dependencies") {
		job.Dependencies = append(job.Dependencies, w.anyJob(r))
	}
	statuses, err := w.Queue().Enqueue(w.ctx, []queue.NewJob{job})
	var id uuid.UUID
	if err == nil {
		id = statuses[0].ID
	}
	requireError(r, w.model.enqueue(job, id), err)
}

func (w *walk) dequeue(r *rapid.T) {
	request := queue.DequeueRequest{
		Types:    rapid.SliceOfNDistinct(rapid.SampledFrom(walkTypes), 1, 2, rapid.ID).Draw(r, "types"),
		Channels: rapid.SliceOfNDistinct(rapid.SampledFrom(walkChannels), 1, 2, rapid.ID).Draw(r, "channels"),
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	l, err := w.Queue().Dequeue(ctx, request)
	want := w.model.next(request)
	if want == nil {
		requireError(r, queue.ErrDequeueTimeout, err)
		return
	}
	require.NoError(r, err)
	require.Equal(r, want.id, l.JobID)
	w.granted(r, want, l)
}

func (w *walk) dequeueByID(r *rapid.T) {
	id := w.anyJob(r)
	l, err := w.Queue().DequeueByID(w.ctx, id, "")
	switch want := w.model.jobs[id]; {
	case want == nil:
		requireError(r, queue.ErrNotExist, err)
	case want.state != queue.Pending:
		requireError(r, queue.ErrNotPending, err)
	default:
		require.NoError(r, err)
		w.granted(r, want, l)
	}
}

func (w *walk) granted(r *rapid.T, want *modelJob, l queue.Lease) {
	require.NotContains(r, w.model.tokens, l.Token)
	w.model.grant(want, l.Token)
	w.tokens = append(w.tokens, l.Token)
	require.Equal(r, want.attempt, l.Attempt)
	require.Equal(r, string(want.job.Args), string(l.Args))
	require.Len(r, l.Dependencies, len(want.dependencies))
	for i, d := range l.Dependencies {
		require.Equal(r, want.dependencies[i], d.ID)
		require.Equal(r, w.model.jobs[d.ID].state, d.State)
		require.Equal(r, w.model.jobs[d.ID].result, string(d.Result))
	}
}

func (w *walk) report(r *rapid.T) {
	token := w.anyToken(r)
	outcome := rapid.SampledFrom([]queue.Outcome{
		result1(`1`), result1(`{"a": [2]}`), error1("broken"), error1(queue.ReasonHeartbeatLost),
	}).Draw(r, "outcome")
	maxRetries := rapid.Uint64Range(0, 2).Draw(r, "maxRetries")
	state, err := w.Queue().RequeueOrFinishJob(w.ctx, token, maxRetries, outcome)
	wantState, wantErr := w.model.report(token, maxRetries, outcome)
	requireError(r, wantErr, err)
	require.Equal(r, wantState.String(), state.String())
}

func (w *walk) release(r *rapid.T) {
	token := w.anyToken(r)
	state, err := w.Queue().Release(w.ctx, token)
	wantState, wantErr := w.model.release(token)
	requireError(r, wantErr, err)
	require.Equal(r, wantState.String(), state.String())
}

func (w *walk) cancel(r *rapid.T) {
	id := w.anyJob(r)
	requireError(r, w.model.cancel(id), w.Queue().CancelJob(w.ctx, id))
}

func (w *walk) beat(r *rapid.T) {
	token := w.anyToken(r)
	canceled, err := w.Queue().RefreshHeartbeat(w.ctx, token)
	want, wantErr := w.model.beat(token)
	requireError(r, wantErr, err)
	require.Equal(r, want, canceled)
}

func (w *walk) look(r *rapid.T) {
	token := w.anyToken(r)
	l, err := w.Queue().Lease(w.ctx, token)
	id, idErr := w.Queue().IdFromToken(w.ctx, token)
	switch want := w.model.tokens[token]; {
	case want == nil:
		requireError(r, queue.ErrNotExist, err)
		requireError(r, queue.ErrNotExist, idErr)
	case want.ended == "" || want.ended == "canceled":
		require.NoError(r, err)
		require.NoError(r, idErr)
		require.Equal(r, want.job, id)
		require.Equal(r, want.job, l.JobID)
		require.Equal(r, want.attempt, l.Attempt)
		require.Equal(r, want.ended == "canceled", l.Canceled)
	default:
		requireError(r, queue.ErrLeaseLost, err)
		requireError(r, queue.ErrNotExist, idErr)
	}
}

func (w *walk) reap(r *rapid.T) {
	olderThan := time.Duration(rapid.IntRange(0, 3).Draw(r, "minutes")) * time.Minute
	tokens, err := w.Queue().Heartbeats(w.ctx, olderThan)
	require.NoError(r, err)
	require.Equal(r, w.model.stale(olderThan), sorted(tokens))
}

func (w *walk) advance(r *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second
	w.Advance(d)
	w.model.now += d
}

func (w *walk) restart(r *rapid.T) {
	if rapid.IntRange(0, 4).Draw(r, "often") > 0 {
		return
	}
	w.Restart(r)
	w.model.restart()
	w.compareAll(r)
}

func (w *walk) compareAll(r *rapid.T) {
	for _, id := range w.model.order {
		got, err := w.Queue().JobStatus(w.ctx, id)
		require.NoError(r, err)
		want := w.model.status(id)
		require.Equal(r, want.State.Over(), !got.Finished.IsZero(), "a finish time if and only if it is over")
		require.Equal(r, want.State == queue.Running, !got.Started.IsZero() && !want.State.Over())
		got.Queued, got.Started, got.Finished = time.Time{}, time.Time{}, time.Time{}
		if got.Error != nil {
			got.Error = &queue.JobError{Reason: got.Error.Reason}
		}
		require.Equal(r, want, got)
		job, err := w.Queue().Job(w.ctx, id)
		require.NoError(r, err)
		require.Equal(r, string(w.model.jobs[id].job.Args), string(job.Args))
	}
}

func requireError(r *rapid.T, want, got error) {
	r.Helper()
	if want == nil {
		require.NoError(r, got)
		return
	}
	require.ErrorIs(r, got, want)
}
