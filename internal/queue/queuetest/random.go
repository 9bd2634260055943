package queuetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// testRandom drives an engine and the model in step with random calls, restarts included, and
// compares every answer, and after each restart and at the end all that can be seen. Then it
// runs all that is left to its end: nothing may be stuck.
func testRandom(t *testing.T, open func(t TB) Harness) {
	rapid.Check(t, func(r *rapid.T) {
		h := open(r)
		defer h.Close(r)
		w := newWalk(h)
		actions := w.actions()
		actions["restart"] = w.restart
		// One Repeat alone is too short for jobs that run, fail and are retried.
		for range rapid.SampledFrom([]int{4, 2, 1, 1}).Draw(r, "repeats") {
			r.Repeat(actions)
			w.compareAll(r)
		}
		w.drain(r)
	})
}

// Wander leaves a store as a random walk of calls does, leases included. Nothing is pruned, so that
// much is left.
func Wander(r *rapid.T, h Harness) {
	w := newWalk(h)
	actions := w.actions()
	delete(actions, "prune")
	for range 6 {
		r.Repeat(actions)
	}
}

type walk struct {
	Harness
	model  *model
	ctx    context.Context
	tokens []uuid.UUID // every token given out, in order
	seen   map[uuid.UUID]seen
}

// actions are the calls of a walk.
func (w *walk) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"enqueue":         w.enqueue,
		"enqueue more":    w.enqueue,
		"enqueueOnce":     w.enqueueOnce,
		"dequeue":         w.dequeue,
		"dequeue more":    w.dequeue,
		"dequeue most":    w.dequeue,
		"dequeueOnce":     w.dequeueOnce,
		"dequeueByID":     w.dequeueByID,
		"dequeueByIDOnce": w.dequeueByIDOnce,
		"exchange":        w.exchange,
		"report":          w.report,
		"fail":            w.fail,
		"release":         w.release,
		"cancel":          w.cancel,
		"retry":           w.retry,
		"update":          w.update,
		"delete":          w.delete,
		"prune":           w.prune,
		"beat":            w.beat,
		"look":            w.look,
		"list":            w.list,
		"reap":            w.reap,
		"advance":         w.advance,
	}
}

func newWalk(h Harness) *walk {
	return &walk{Harness: h, model: newModel(h.Now()), ctx: context.Background(), seen: make(map[uuid.UUID]seen)}
}

// seen is a job as the walk saw it last.
type seen struct {
	status queue.Status // without Dependents
	labels map[string]string
}

var (
	walkTypes    = []string{"a", "b"}
	walkChannels = []string{"default", "x"}
)

func (w *walk) cancel(r *rapid.T) {
	id := w.anyJob(r)
	requireError(r, w.model.cancel(id), w.Queue().CancelJob(w.ctx, id))
}

func (w *walk) retry(r *rapid.T) {
	id := w.anyJob(r)
	dead := queue.Listing{Filter: queue.Filter{States: []queue.State{queue.Failed, queue.Canceled}}}
	if failed := w.model.list(&dead); len(failed) > 0 && rapid.Bool().Draw(r, "failed") {
		id = rapid.SampledFrom(failed).Draw(r, "job")
	}
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
		u.Labels = new(w.anyLabels(r))
	}
	stale := false
	if status, err := w.Queue().JobStatus(w.ctx, id); err == nil && rapid.Bool().Draw(r, "if version") {
		stale = rapid.IntRange(0, 2).Draw(r, "stale") == 0
		u.IfVersion = new(status.Version)
		if stale {
			*u.IfVersion--
		}
	}
	requireError(r, w.model.update(id, u, stale), w.Queue().UpdateJob(w.ctx, id, u))
}

func (w *walk) delete(r *rapid.T) {
	id := w.anyJob(r)
	requireError(r, w.model.delete(id), w.Queue().DeleteJob(w.ctx, id))
}

func (w *walk) prune(r *rapid.T) {
	before := w.anyTime(r)
	for done := false; !done; {
		var err error
		done, err = w.Queue().Prune(w.ctx, before)
		require.NoError(r, err)
	}
	w.model.prune(before)
}

func (w *walk) list(r *rapid.T) {
	states := rapid.SampledFrom([][]queue.State{
		nil, {queue.Failed}, {queue.Failed, queue.Canceled}, {queue.Pending, queue.Failed}, {queue.Blocked, queue.Scheduled},
	}).Draw(r, "states")
	listing := queue.Listing{
		Limit: rapid.IntRange(1, 4).Draw(r, "limit"), OldestFirst: rapid.Bool().Draw(r, "oldest first"),
		Filter: queue.Filter{
			States:   states,
			Types:    rapid.SampledFrom([][]string{nil, nil, {"a"}, {"b", "c"}}).Draw(r, "types"),
			Channels: rapid.SampledFrom([][]string{nil, nil, {"x"}, {"y"}}).Draw(r, "channels"),
			Labels:   rapid.SampledFrom([][]queue.LabelFilter{nil, nil, nil, {{Name: "a"}}, {{Name: "a", Value: new("1")}}}).Draw(r, "label"),
		},
	}
	if rapid.IntRange(0, 3).Draw(r, "bounded") == 0 {
		listing.QueuedFrom = w.anyTime(r)
		listing.QueuedBefore = listing.QueuedFrom.Add(time.Minute)
	}
	got, err := pagesOf(w.Queue(), listing)
	require.NoError(r, err)
	require.Equal(r, w.model.list(&listing), got)
}

func (w *walk) advance(r *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second
	if rapid.IntRange(0, 19).Draw(r, "far") == 0 {
		d = KeysLast + time.Hour // never at the very moment when a key is forgotten
	}
	w.Advance(d)
	w.model.advance(d)
	require.Equal(r, w.model.now, w.Now())
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
	w.requireCounts(r)
	for _, id := range w.model.order {
		got, err := w.Queue().JobStatus(w.ctx, id)
		if w.model.find(id) == nil {
			require.ErrorIs(r, err, queue.ErrNotExist)
			continue
		}
		require.NoError(r, err)
		w.requireStatus(r, w.model.status(id), got)
		job, err := w.Queue().Job(w.ctx, id)
		require.NoError(r, err)
		requireJob(r, w.model.given(id), job)
		w.requireVersion(r, got, job.Labels)
		w.requireAttempts(r, &got)
	}
}

// requireCounts requires that every job is counted, in its lane, its state and its size, and that the moves that
// were told add up to that.
func (w *walk) requireCounts(r *rapid.T) {
	r.Helper()
	want, bytes := w.model.lanes()
	page, err := w.Queue().Queues(w.ctx, queue.LaneListing{Limit: queue.MaxPage})
	require.NoError(r, err)
	got := make(map[queue.Lane]queue.Counts)
	for i := range page.Queues {
		q := &page.Queues[i]
		got[q.Lane] = q.Counts
		require.Equal(r, bytes[q.Lane], q.Bytes, "of lane %v", q.Lane)
		require.Equal(r, q.Counts[queue.Pending] > 0, !q.OldestReady.IsZero())
	}
	require.Equal(r, want, got)
	require.Equal(r, want, w.Observed().Counts(), "by the moves that were told")
}

// requireAttempts requires that each lease that the job had is told of, once.
func (w *walk) requireAttempts(r *rapid.T, status *queue.Status) {
	r.Helper()
	attempts, err := w.Queue().Attempts(w.ctx, status.ID)
	require.NoError(r, err)
	require.Len(r, attempts, int(status.Attempt))
	for i, a := range attempts {
		require.Equal(r, uint64(i+1), a.Number)
		require.Equal(r, w.model.jobs[status.ID].principals[i], a.Principal)
		live := i+1 == len(attempts) && status.State == queue.Running
		require.Equal(r, live, a.Ended.IsZero())
		require.Equal(r, live, a.End == 0)
		require.False(r, a.Started.IsZero())
	}
}

// requireStatus compares what is known of a job with what is expected. The version is another
// matter, and the details of an error need only be plausible: of several dependencies that have
// failed any may be named.
func (w *walk) requireStatus(r *rapid.T, want, got queue.Status) {
	r.Helper()
	require.Positive(r, got.Version)
	got.Version = 0
	if got.Error != nil {
		details := string(got.Error.Details)
		if got.Error.Reason == queue.ReasonDependencyFailed {
			require.True(r, slices.ContainsFunc(want.Dependencies, func(id uuid.UUID) bool {
				return details == `{"dependency":"`+id.String()+`"}`
			}), "it failed because of %s", details)
		} else {
			require.Empty(r, details)
		}
		got.Error = &queue.JobError{Reason: got.Error.Reason}
	}
	require.Equal(r, want, got)
}

func requireJob(r *rapid.T, want, got queue.Job) {
	r.Helper()
	if len(want.Labels) == 0 && len(got.Labels) == 0 {
		want.Labels, got.Labels = nil, nil
	}
	require.Equal(r, want, got)
}

// requireVersion requires that the job has a greater version than when it was seen last, if
// anything about it has changed.
func (w *walk) requireVersion(r *rapid.T, status queue.Status, labels map[string]string) {
	r.Helper()
	status.Dependents = nil
	last, known := w.seen[status.ID]
	w.seen[status.ID] = seen{status, labels}
	if !known {
		return
	}
	if status.Version == last.status.Version {
		require.Equal(r, last, w.seen[status.ID], "it has changed, and its version has not")
		return
	}
	require.Greater(r, status.Version, last.status.Version)
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
	for w.dequeueOf(r, queue.DequeueRequest{Types: walkTypes, Channels: walkChannels}) {
		token := w.tokens[len(w.tokens)-1]
		_, err := w.Queue().RequeueOrFinishJob(w.ctx, token, 0, result1(`1`))
		require.NoError(r, err)
		_, err = w.model.report(token, 0, result1(`1`))
		require.NoError(r, err)
	}
	w.compareAll(r)
	for _, id := range w.model.order {
		require.True(r, w.model.jobs[id].state.Over(), "job %s is stuck: it is %s", id, w.model.jobs[id].state)
	}
	tokens, err := w.Queue().Heartbeats(w.ctx, 0)
	require.NoError(r, err)
	require.Empty(r, tokens)
}

func requireError(r *rapid.T, want, got error) {
	r.Helper()
	var invalid *queue.InvalidError
	switch want {
	case nil:
		require.NoError(r, got)
	case errInvalid: //nolint:errorlint // it is the very one
		require.ErrorAs(r, got, &invalid)
	default:
		require.ErrorIs(r, got, want)
	}
}
