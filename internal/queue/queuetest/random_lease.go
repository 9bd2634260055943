package queuetest

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What the walk does with leases.

func (w *walk) dequeue(r *rapid.T) { w.dequeueOf(r, w.anyRequest(r)) }

// dequeueOf dequeues without waiting, and tells whether there was a job.
func (w *walk) dequeueOf(r *rapid.T, request queue.DequeueRequest) bool {
	l, err := w.Queue().Dequeue(now(), request)
	want := w.model.next(request)
	if want == nil {
		requireError(r, queue.ErrDequeueTimeout, err)
		return false
	}
	require.NoError(r, err)
	w.granted(r, want, l, request.Holder())
	return true
}

func (w *walk) dequeueByID(r *rapid.T) { w.dequeueByIDOf(r, w.anyJob(r), queue.Once{}) }

func (w *walk) dequeueByIDOf(r *rapid.T, id uuid.UUID, once queue.Once) bool {
	to := queue.Holder{Worker: fmt.Sprint("w", rapid.IntRange(0, 1).Draw(r, "worker")), Principal: w.anyPrincipal(r)}
	l, err := w.Queue().DequeueByID(w.ctx, id, to, once)
	switch want := w.model.find(id); {
	case want == nil:
		requireError(r, queue.ErrNotExist, err)
	case want.state != queue.Pending:
		requireError(r, queue.ErrNotPending, err)
	default:
		require.NoError(r, err)
		w.granted(r, want, l, to)
		return true
	}
	return false
}

// dequeueOnce dequeues with a key that may have been used.
func (w *walk) dequeueOnce(r *rapid.T) {
	request := w.anyRequest(r)
	w.leaseOnce(r, "dequeue", func(once queue.Once) (queue.Lease, error) {
		request.Once = once
		return w.Queue().Dequeue(now(), request)
	}, func(once queue.Once) bool {
		request.Once = once
		return w.dequeueOf(r, request)
	})
}

func (w *walk) dequeueByIDOnce(r *rapid.T) {
	id := w.anyJob(r)
	w.leaseOnce(r, "by id", func(once queue.Once) (queue.Lease, error) {
		return w.Queue().DequeueByID(w.ctx, id, queue.Holder{}, once)
	}, func(once queue.Once) bool {
		return w.dequeueByIDOf(r, id, once)
	})
}

// leaseOnce makes a call that leases a job with a key: again is for one that was made before,
// anew for one that is to be granted a lease.
func (w *walk) leaseOnce(r *rapid.T, kind string, again func(queue.Once) (queue.Lease, error), anew func(queue.Once) bool) {
	key, body := w.anyOnce(r, kind)
	call := w.model.call(key)
	if call != nil && call.body != body {
		_, err := again(once(key, body))
		requireError(r, queue.ErrKeyReused, err)
		return
	}
	if call != nil && !call.vacant {
		held := w.model.tokens[call.token]
		if held == nil { // its job was deleted
			held = &modelLease{ended: "deleted"}
		}
		switch held.ended {
		case "", "canceled":
			l, err := again(once(key, body))
			require.NoError(r, err)
			requireLease(r, w.model.lease(call.token), l)
			return
		case "released": // as if it had never been, from now on
			call.vacant = true
		default:
			_, err := again(once(key, body))
			requireError(r, queue.ErrLeaseLost, err)
			return
		}
	}
	if anew(once(key, body)) {
		w.model.keys[key] = &modelCall{body: body, until: w.model.now.Add(KeysLast), token: w.tokens[len(w.tokens)-1]}
	}
}

// granted compares a new lease with what is expected, and takes it over.
func (w *walk) granted(r *rapid.T, want *modelJob, l queue.Lease, to queue.Holder) {
	r.Helper()
	require.NotContains(r, w.model.tokens, l.Token)
	require.Equal(r, want.id, l.JobID)
	for _, e := range want.edges {
		require.True(r, w.model.jobs[e.id].state.Over(), "a grant comes after all dependencies are over")
	}
	w.model.grant(want, l.Token, to)
	w.tokens = append(w.tokens, l.Token)
	requireLease(r, w.model.lease(l.Token), l)
}

func requireLease(r *rapid.T, want, got queue.Lease) {
	r.Helper()
	for i := range got.Dependencies {
		if d := &want.Dependencies[i]; d.Deleted { // it may be, or may be there yet
			if d.Deleted = got.Dependencies[i].Deleted; d.Deleted {
				d.Result, d.Error = nil, nil
			}
		}
		if e := got.Dependencies[i].Error; e != nil {
			got.Dependencies[i].Error = &queue.JobError{Reason: e.Reason}
		}
	}
	if len(want.Labels) == 0 && len(got.Labels) == 0 {
		want.Labels, got.Labels = nil, nil
	}
	require.Equal(r, want, got)
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
		requireLease(r, w.model.lease(token), l)
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
