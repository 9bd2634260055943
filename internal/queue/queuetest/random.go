package queuetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// testRandom drives an engine and the model in step with random calls, restarts included, and
// compares every answer, and after each restart and at the end all that can be seen. Then it
// runs all that is left to its end, so that nothing can be stuck.
func testRandom(t *testing.T, open func(t TB) Harness) {
	rapid.Check(t, func(r *rapid.T) {
		h := open(r)
		defer h.Close(r)
		w := &walk{Harness: h, model: newModel(h.Now()), ctx: context.Background()}
		r.Repeat(map[string]func(*rapid.T){
			"enqueue":     w.enqueue,
			"enqueueOnce": w.enqueueOnce,
			"dequeue":     w.dequeue,
			"dequeueOnce": w.dequeueOnce,
			"dequeueByID": w.dequeueByID,
			"report":      w.report,
			"fail":        w.fail,
			"release":     w.release,
			"cancel":      w.cancel,
			"retry":       w.retry,
			"update":      w.update,
			"beat":        w.beat,
			"look":        w.look,
			"list":        w.list,
			"reap":        w.reap,
			"advance":     w.advance,
			"restart":     w.restart,
		})
		w.compareAll(r)
		w.drain(r)
	})
}

type walk struct {
	Harness
	model  *model
	ctx    context.Context
	tokens []uuid.UUID // every token given out, in order
	calls  int         // bodies of calls with idempotency keys
}

var (
	walkTypes    = []string{"a", "b"}
	walkChannels = []string{"default", "x"}
)

func (w *walk) dequeue(r *rapid.T) {
	request := w.anyRequest(r)
	l, err := w.Queue().Dequeue(now(), request)
	want := w.model.next(request)
	if want == nil {
		requireError(r, queue.ErrDequeueTimeout, err)
		return
	}
	require.NoError(r, err)
	w.granted(r, want, l)
}

func (w *walk) dequeueByID(r *rapid.T) {
	id := w.anyJob(r)
	l, err := w.Queue().DequeueByID(w.ctx, id, "", queue.Once{})
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
	w.requireLease(r, want, l)
}

func (w *walk) requireLease(r *rapid.T, want *modelJob, l queue.Lease) {
	require.Equal(r, want.id, l.JobID)
	require.Equal(r, w.model.tokens[l.Token].attempt, l.Attempt)
	require.Equal(r, string(want.job.Args), string(l.Args))
	require.Equal(r, want.job.Timeout, l.Timeout)
	require.Equal(r, want.job.HeartbeatTimeout, l.HeartbeatTimeout)
	require.Len(r, l.Labels, len(want.labels))
	require.Len(r, l.Dependencies, len(want.edges))
	for i, d := range l.Dependencies {
		require.Equal(r, want.edges[i].id, d.ID)
		require.Equal(r, want.edges[i].name, d.Name)
		require.Equal(r, w.model.jobs[d.ID].state.String(), d.State.String())
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

func (w *walk) fail(r *rapid.T) {
	token := w.anyToken(r)
	failure := rapid.SampledFrom([]queue.Failure{
		retryable("broken"), retryable("other"), after("busy", 0), after("busy", time.Minute),
		{Error: queue.JobError{Reason: "broken"}},
	}).Draw(r, "failure")
	state, err := w.Queue().Fail(w.ctx, token, failure)
	wantState, wantErr := w.model.fail(token, failure)
	requireError(r, wantErr, err)
	require.Equal(r, wantState.String(), state.String())
}

func (w *walk) release(r *rapid.T) {
	token := w.anyToken(r)
	delay := w.anyDelay(r)
	state, err := w.Queue().Release(w.ctx, token, delay)
	wantState, wantErr := w.model.release(token, delay)
	requireError(r, wantErr, err)
	require.Equal(r, wantState.String(), state.String())
}

func (w *walk) cancel(r *rapid.T) {
	id := w.anyJob(r)
	requireError(r, w.model.cancel(id), w.Queue().CancelJob(w.ctx, id))
}

func (w *walk) retry(r *rapid.T) {
	id := w.anyJob(r)
	requireError(r, w.model.retry(id), w.Queue().RetryJob(w.ctx, id))
}

func (w *walk) update(r *rapid.T) {
	id := w.anyJob(r)
	var u queue.Update
	if rapid.Bool().Draw(r, "new priority") {
		u.Priority = new(w.anyPriority(r))
	}
	if rapid.Bool().Draw(r, "new run_at") {
		u.RunAt = new(w.anyTime(r))
	}
	if rapid.Bool().Draw(r, "new labels") {
		u.Labels = new(map[string]string{"n": fmt.Sprint(w.model.now.Unix())})
	}
	err := w.Queue().UpdateJob(w.ctx, id, u)
	want := w.model.update(id, u)
	if invalid := (*queue.InvalidError)(nil); want != nil && want.Error() == (&queue.InvalidError{}).Error() {
		require.ErrorAs(r, err, &invalid)
		return
	}
	requireError(r, want, err)
}

func (w *walk) beat(r *rapid.T) {
	token := w.anyToken(r)
	beat := rapid.SampledFrom([]queue.Beat{
		{}, {}, {Progress: progress(40, "half of it")}, {PartialResult: args(`[1]`)},
		{Progress: &queue.Progress{}, PartialResult: args(`null`)},
	}).Draw(r, "beat")
	answer, err := w.Queue().RefreshHeartbeat(w.ctx, token, beat)
	want, wantErr := w.model.beat(token, beat)
	requireError(r, wantErr, err)
	require.Equal(r, want, answer)
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

func (w *walk) list(r *rapid.T) {
	states := rapid.SampledFrom([][]queue.State{
		nil, {queue.Failed}, {queue.Failed, queue.Canceled}, {queue.Pending, queue.Failed}, {queue.Blocked, queue.Scheduled},
	}).Draw(r, "states")
	limit := rapid.IntRange(1, 4).Draw(r, "limit")
	got, err := listAll(w.Queue(), limit, states)
	require.NoError(r, err)
	require.Equal(r, w.model.list(states), got)
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
	w.model.advance(d)
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
		require.Equal(r, want.State.String(), got.State.String())
		require.Equal(r, want.State.Over(), !got.Finished.IsZero(), "a finish time if and only if it is over")
		require.Equal(r, want.State == queue.Running, !got.Started.IsZero() && !want.State.Over())
		require.Positive(r, got.Version)
		got.Queued, got.Started, got.Finished, got.Version = time.Time{}, time.Time{}, time.Time{}, 0
		if got.Error != nil {
			got.Error = &queue.JobError{Reason: got.Error.Reason}
		}
		require.Equal(r, want, got)
		job, err := w.Queue().Job(w.ctx, id)
		require.NoError(r, err)
		require.Equal(r, string(w.model.jobs[id].job.Args), string(job.Args))
		require.Len(r, job.Labels, len(w.model.jobs[id].labels))
	}
}

// drain runs everything to its end: whatever is still to be done is done once nothing fails.
func (w *walk) drain(r *rapid.T) {
	for token, l := range w.model.tokens {
		if l.ended == "" {
			_, err := w.Queue().Release(w.ctx, token, 0)
			require.NoError(r, err)
			_, err = w.model.release(token, 0)
			require.NoError(r, err)
		}
	}
	w.Advance(24 * time.Hour)
	w.model.advance(24 * time.Hour)
	request := queue.DequeueRequest{Types: walkTypes, Channels: walkChannels}
	for {
		l, err := w.Queue().Dequeue(now(), request)
		want := w.model.next(request)
		if want == nil {
			requireError(r, queue.ErrDequeueTimeout, err)
			break
		}
		require.NoError(r, err)
		w.granted(r, want, l)
		_, err = w.Queue().RequeueOrFinishJob(w.ctx, l.Token, 0, result1(`1`))
		require.NoError(r, err)
		_, err = w.model.report(l.Token, 0, result1(`1`))
		require.NoError(r, err)
	}
	w.compareAll(r)
	for _, id := range w.model.order {
		require.True(r, w.model.jobs[id].state.Over(), "job %s is stuck: it is %s", id, w.model.jobs[id].state)
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
