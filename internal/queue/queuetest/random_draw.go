package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What the walk draws at random. Values are few, so that they meet.

func (w *walk) anyJob(r *rapid.T) uuid.UUID {
	if n := len(w.model.order); n > 0 && rapid.IntRange(0, 19).Draw(r, "known") > 0 {
		return w.model.order[rapid.IntRange(0, n-1).Draw(r, "job")]
	}
	return uuid.New()
}

// anyToken is mostly that of a lease which is live, if there is one.
func (w *walk) anyToken(r *rapid.T) uuid.UUID {
	if live := w.model.live(w.tokens); len(live) > 0 && rapid.IntRange(0, 2).Draw(r, "live") > 0 {
		return rapid.SampledFrom(live).Draw(r, "token")
	}
	if n := len(w.tokens); n > 0 && rapid.IntRange(0, 19).Draw(r, "known") > 0 {
		return w.tokens[rapid.IntRange(0, n-1).Draw(r, "token")]
	}
	return uuid.New()
}

func (w *walk) anyRequest(r *rapid.T) queue.DequeueRequest {
	return queue.DequeueRequest{
		Worker:    rapid.SampledFrom([]string{"", "w"}).Draw(r, "worker"),
		Principal: w.anyPrincipal(r),
		Types:     rapid.SliceOfNDistinct(rapid.SampledFrom(walkTypes), 1, 2, rapid.ID).Draw(r, "types"),
		Channels:  rapid.SliceOfNDistinct(rapid.SampledFrom(walkChannels), 1, 2, rapid.ID).Draw(r, "channels"),
	}
}

func (*walk) anyPrincipal(r *rapid.T) string {
	return rapid.SampledFrom([]string{"", "key:a", "oidc:b"}).Draw(r, "principal")
}

func (w *walk) anyPriority(r *rapid.T) int {
	return rapid.SampledFrom([]int{0, 0, -queue.MaxPriority, queue.MaxPriority, 1}).Draw(r, "priority")
}

func (w *walk) anyDelay(r *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 0, time.Second, time.Minute}).Draw(r, "delay")
}

// anyTime is a time near the present one, before or after it.
func (w *walk) anyTime(r *rapid.T) time.Time {
	return w.model.now.Add(time.Duration(rapid.IntRange(-1, 4).Draw(r, "half minutes")) * 30 * time.Second)
}

func (w *walk) anyLabels(r *rapid.T) map[string]string {
	return rapid.SampledFrom([]map[string]string{nil, {}, {"a": "1"}, {"a": "2", "b": ""}}).Draw(r, "labels")
}

func (w *walk) anyNewJob(r *rapid.T) queue.NewJob {
	n := queue.NewJob{
		Type:     rapid.SampledFrom(walkTypes).Draw(r, "type"),
		Channel:  rapid.SampledFrom(walkChannels).Draw(r, "channel"),
		RunIf:    rapid.SampledFrom([]queue.RunIf{queue.AllSucceeded, queue.AllFinished}).Draw(r, "run_if"),
		Args:     args(`"%*d"`, 7*len(w.model.order)%30, len(w.model.order)),
		Priority: w.anyPriority(r),
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 3}).Draw(r, "dependencies") {
		n.Dependencies = append(n.Dependencies, w.anyJob(r))
	}
	switch rapid.IntRange(0, 5).Draw(r, "when") {
	case 0:
		n.Delay = w.anyDelay(r)
	case 1:
		n.RunAt = w.anyTime(r)
	case 2:
		n.ExpiresAt = w.anyTime(r)
	case 3:
		n.RunAt = w.anyTime(r)
		n.ExpiresAt = n.RunAt.Add(time.Duration(rapid.IntRange(1, 3).Draw(r, "life")) * 30 * time.Second)
	}
	switch rapid.IntRange(0, 4).Draw(r, "budgets") {
	case 0:
		n.Timeout, n.MaxTimeouts = time.Minute, rapid.Uint64Range(0, 1).Draw(r, "max_timeouts")
	case 1:
		n.HeartbeatTimeout = 30 * time.Second
	case 2:
		n.Retry = &queue.RetryPolicy{
			MaxAttempts: rapid.Uint64Range(1, 3).Draw(r, "max_attempts"), Factor: 3,
			Initial: rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(r, "initial"), Max: time.Minute,
		}
		n.Timeout, n.MaxTimeouts = 90*time.Second, 1
	}
	if rapid.IntRange(0, 3).Draw(r, "unique") == 0 {
		n.UniqueKey = rapid.SampledFrom([]string{"u", "v"}).Draw(r, "unique_key")
	}
	if rapid.IntRange(0, 3).Draw(r, "traced") == 0 {
		n.TraceParent = traceParent
	}
	n.Labels = w.anyLabels(r)
	return n
}

// anyCall is what one call to Enqueue adds: jobs that may need each other. Some calls are to be
// refused.
func (w *walk) anyCall(r *rapid.T) []queue.NewJob {
	jobs := make([]queue.NewJob, rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(r, "jobs"))
	order := make([]int, len(jobs))
	for i := range jobs {
		order[i] = i
	}
	rank := rapid.Permutation(order).Draw(r, "rank")
	for i := range jobs {
		jobs[i] = w.anyNewJob(r)
		jobs[i].Name = fmt.Sprint("n", i)
		for k := range jobs {
			if rank[k] < rank[i] && rapid.IntRange(0, 2).Draw(r, "needs it") == 0 {
				condition := rapid.SampledFrom([]queue.Condition{queue.AsRunIf, queue.IfSucceeded, queue.IfOver}).Draw(r, "if")
				jobs[i].Needs = append(jobs[i].Needs, queue.Need{Name: fmt.Sprint("n", k), If: condition})
			}
		}
	}
	if rapid.IntRange(0, 9).Draw(r, "sound") == 0 {
		// Itself, one that may need it, one that it may need already, or nobody.
		last := &jobs[len(jobs)-1]
		last.Needs = append(last.Needs, queue.Need{Name: fmt.Sprint("n", rapid.IntRange(0, len(jobs)).Draw(r, "one more"))})
	}
	return jobs
}

func (w *walk) enqueue(r *rapid.T) {
	jobs := w.anyCall(r)
	answer, err := w.Queue().Enqueue(w.ctx, jobs)
	w.enqueued(r, jobs, answer, err)
}

// enqueued compares an answer with what is expected; false if the call was refused.
func (w *walk) enqueued(r *rapid.T, jobs []queue.NewJob, answer []queue.Enqueued, err error) bool {
	ids := make([]uuid.UUID, len(jobs))
	for i := range ids {
		ids[i] = uuid.New() // to be taken back, if the model thinks otherwise
		if err == nil && !answer[i].Existing {
			ids[i] = answer[i].ID
		}
	}
	existing, want := w.model.enqueue(jobs, ids)
	requireError(r, want, err)
	if want != nil {
		return false
	}
	for i := range jobs {
		require.Equal(r, existing[i], answer[i].Existing, "job %d", i)
		require.Equal(r, ids[i], answer[i].ID, "job %d", i)
		status := w.model.status(ids[i])
		status.Dependents, status.Progress, status.PartialResult = nil, nil, nil
		if !answer[i].Existing {
			status.Dependents = answer[i].Dependents // which jobs of the same call may have become
		}
		w.requireStatus(r, status, answer[i].Status)
	}
	return true
}

// anyOnce is an idempotency key and a body; both may have been used.
func (w *walk) anyOnce(r *rapid.T, kind string) (key, body string) {
	return kind + rapid.SampledFrom([]string{"1", "2"}).Draw(r, "key"), rapid.SampledFrom([]string{"", "", "", "else"}).Draw(r, "body")
}

func (w *walk) enqueueOnce(r *rapid.T) {
	key, body := w.anyOnce(r, "enqueue")
	jobs := w.anyCall(r) // the digest stands for what is asked for, which does not matter any more
	answer, err := w.Queue().EnqueueOnce(w.ctx, jobs, once(key, body))
	switch call := w.model.call(key); {
	case call != nil && err != nil && errors.As(err, new(*queue.InvalidError)): // which may be seen first
	case call != nil && call.body != body:
		requireError(r, queue.ErrKeyReused, err)
	case call != nil && slices.ContainsFunc(call.enqueued, func(e queue.Enqueued) bool { return w.model.find(e.ID) == nil }):
		requireError(r, queue.ErrDeleted, err)
	case call != nil:
		require.NoError(r, err)
		require.Equal(r, repeated(call.enqueued), answer)
		found, err := w.Queue().EnqueuedOnce(w.ctx, once(key, body))
		require.NoError(r, err)
		require.Equal(r, repeated(call.enqueued), found)
	case w.enqueued(r, jobs, answer, err):
		for i := range answer {
			// A repeated answer says nothing of what others have made of it, or its worker.
			answer[i].Dependents, answer[i].Progress, answer[i].PartialResult = nil, nil, nil
		}
		w.model.keys[key] = &modelCall{body: body, until: w.model.now.Add(KeysLast), enqueued: answer}
	}
}
