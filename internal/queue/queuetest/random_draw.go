package queuetest

import (
	"fmt"
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

func (w *walk) anyToken(r *rapid.T) uuid.UUID {
	if n := len(w.tokens); n > 0 && rapid.IntRange(0, 19).Draw(r, "known") > 0 {
		return w.tokens[rapid.IntRange(0, n-1).Draw(r, "token")]
	}
	return uuid.New()
}

func (w *walk) anyRequest(r *rapid.T) queue.DequeueRequest {
	return queue.DequeueRequest{
		Types:    rapid.SliceOfNDistinct(rapid.SampledFrom(walkTypes), 1, 2, rapid.ID).Draw(r, "types"),
		Channels: rapid.SliceOfNDistinct(rapid.SampledFrom(walkChannels), 1, 2, rapid.ID).Draw(r, "channels"),
	}
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

func (w *walk) anyNewJob(r *rapid.T) queue.NewJob {
	n := queue.NewJob{
		Type:     rapid.SampledFrom(walkTypes).Draw(r, "type"),
		Channel:  rapid.SampledFrom(walkChannels).Draw(r, "channel"),
		RunIf:    rapid.SampledFrom([]queue.RunIf{queue.AllSucceeded, queue.AllFinished}).Draw(r, "run_if"),
		Args:     args("%d", len(w.model.order)),
		Priority: w.anyPriority(r),
	}
	for range rapid.IntRange(0, 3).Draw(r, "dependencies") {
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
	if rapid.Bool().Draw(r, "labeled") {
		n.Labels = map[string]string{"of": fmt.Sprint(len(w.model.order))}
	}
	return n
}

// anyCall is what one call to Enqueue adds: jobs, of which some need some before them.
func (w *walk) anyCall(r *rapid.T) []queue.NewJob {
	jobs := make([]queue.NewJob, rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(r, "jobs"))
	for i := range jobs {
		jobs[i] = w.anyNewJob(r)
		jobs[i].Name = fmt.Sprint("n", i)
		for k := range i {
			if rapid.IntRange(0, 2).Draw(r, "needs it") == 0 {
				condition := rapid.SampledFrom([]queue.Condition{queue.AsRunIf, queue.IfSucceeded, queue.IfOver}).Draw(r, "if")
				jobs[i].Needs = append(jobs[i].Needs, queue.Need{Name: fmt.Sprint("n", k), If: condition})
			}
		}
	}
	return jobs
}

func (w *walk) enqueue(r *rapid.T) {
	jobs := w.anyCall(r)
	answer, err := w.Queue().Enqueue(w.ctx, jobs)
	w.enqueued(r, jobs, answer, err)
}

// enqueued compares an answer with what is expected of the model; false if the call was refused.
func (w *walk) enqueued(r *rapid.T, jobs []queue.NewJob, answer []queue.Enqueued, err error) bool {
	if err != nil {
		answer = make([]queue.Enqueued, len(jobs))
		for i := range answer {
			answer[i].ID = uuid.New()
		}
	}
	existing, want := w.model.enqueue(jobs, answer)
	requireError(r, want, err)
	for i, is := range existing {
		require.Equal(r, is, answer[i].Existing)
		require.Equal(r, w.model.jobs[answer[i].ID].state.String(), answer[i].State.String())
	}
	return want == nil
}

// anyOnce is an idempotency key that may have been used, mostly with the body it was used with.
func (w *walk) anyOnce(r *rapid.T, kind string) (string, *modelCall) {
	key := kind + rapid.SampledFrom([]string{"1", "2"}).Draw(r, "key")
	call := w.model.keys[key]
	if call != nil && !call.until.After(w.model.now) {
		delete(w.model.keys, key)
		call = nil
	}
	return key, call
}

func (w *walk) enqueueOnce(r *rapid.T) {
	key, call := w.anyOnce(r, "enqueue")
	if call != nil {
		o := queue.Once{Key: key, Digest: call.digest}
		// What is asked for does not matter any more: the digest stands for it.
		answer, err := w.Queue().EnqueueOnce(w.ctx, []queue.NewJob{{Type: "a"}}, o)
		require.NoError(r, err)
		require.Equal(r, call.enqueued, answer)
		o.Digest[0]++
		_, err = w.Queue().EnqueueOnce(w.ctx, []queue.NewJob{{Type: "a"}}, o)
		requireError(r, queue.ErrKeyReused, err)
		return
	}
	w.calls++
	o := once(key, fmt.Sprint(w.calls))
	jobs := w.anyCall(r)
	answer, err := w.Queue().EnqueueOnce(w.ctx, jobs, o)
	if w.enqueued(r, jobs, answer, err) {
		// The one that is replayed shows no dependents, which may be more by then.
		for i := range answer {
			answer[i].Dependents, answer[i].Progress, answer[i].PartialResult = nil, nil, nil
		}
		w.model.keys[key] = &modelCall{digest: o.Digest, until: w.model.now.Add(KeysLast), enqueued: answer}
	}
}

func (w *walk) dequeueOnce(r *rapid.T) {
	key, call := w.anyOnce(r, "dequeue")
	request := queue.DequeueRequest{Types: walkTypes, Channels: walkChannels, Once: once(key, "")}
	l, err := w.Queue().Dequeue(now(), request)
	if call != nil {
		switch held := w.model.tokens[call.token]; held.ended {
		case "", "canceled":
			require.NoError(r, err)
			require.Equal(r, call.token, l.Token)
			require.Equal(r, held.ended == "canceled", l.Canceled)
			return
		case "released": // as if it had never been
		default:
			requireError(r, queue.ErrLeaseLost, err)
			return
		}
	}
	want := w.model.next(request)
	if want == nil {
		requireError(r, queue.ErrDequeueTimeout, err)
		return
	}
	require.NoError(r, err)
	w.granted(r, want, l)
	w.model.keys[key] = &modelCall{until: w.model.now.Add(KeysLast), token: l.Token}
}
