package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// retryable is a failure after which another run may succeed.
func retryable(reason string) queue.Failure {
	return queue.Failure{Error: queue.JobError{Reason: reason}, Retryable: true}
}

// after is one whose worker says how long to wait.
func after(reason string, wait time.Duration) queue.Failure {
	failure := retryable(reason)
	failure.RetryAfter = &wait
	return failure
}

// retrying makes a job that may fail that often, and waits 1, 2, 4 and 5 seconds.
func retrying(jobType string, attempts uint64) queue.NewJob {
	return queue.NewJob{Type: jobType, Retry: &queue.RetryPolicy{
		MaxAttempts: attempts, Initial: time.Second, Factor: 2, Max: 5 * time.Second,
	}}
}

var failureTests = map[string]func(*testing.T, *fixture){
	"a retryable failure is followed by another run, after a wait that grows": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, retrying("work", 5))[0]
		for i, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second} {
			require.Equal(t, queue.Scheduled, f.report(t, f.dequeue(t, "work").Token, retryable("broken")))
			status := f.status(t, id)
			require.Equal(t, queue.Scheduled, status.State)
			require.Equal(t, f.Now().Add(wait), status.RunAt)
			require.Equal(t, uint64(i+1), status.Failures)
			require.Zero(t, status.Retries+status.Timeouts)
			require.Nil(t, status.Error, "it has not failed for good")
			require.True(t, status.Started.IsZero())
			f.Advance(wait - tick)
			f.requireNothingReady(t, "work")
			f.Advance(tick)
		}
		l := f.dequeue(t, "work")
		require.Equal(t, uint64(5), l.Attempt)
		last := retryable("broken at last")
		last.Error.Details = args(`[5]`)
		require.Equal(t, queue.Failed, f.report(t, l.Token, last))
		status := f.status(t, id)
		require.Equal(t, &last.Error, status.Error)
		require.Equal(t, uint64(5), status.Failures)
		require.Equal(t, f.Now(), status.Finished)
		f.Advance(time.Hour)
		f.requireNothingReady(t, "work")
	},
	"what is not retryable, or has no policy, fails": func(t *testing.T, f *fixture) {
		for name, tc := range map[string]struct {
			job     queue.NewJob
			failure queue.Failure
		}{
			"not retryable":  {retrying("work", 5), queue.Failure{Error: queue.JobError{Reason: "broken"}}},
			"no policy":      {queue.NewJob{Type: "work"}, retryable("broken")},
			"no policy, yet": {queue.NewJob{Type: "work"}, after("broken", 0)},
			"one attempt":    {retrying("work", 1), retryable("broken")},
			"one, yet":       {retrying("work", 1), after("broken", time.Second)},
		} {
			id := f.enqueue(t, tc.job)[0]
			require.Equal(t, queue.Failed, f.report(t, f.dequeue(t, "work").Token, tc.failure), name)
			status := f.status(t, id)
			require.Equal(t, &tc.failure.Error, status.Error, name)
			require.Equal(t, uint64(1), status.Failures, name)
		}
	},
	"the worker's wait wins": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, retrying("work", 9))[0]
		require.Equal(t, queue.Pending, f.report(t, f.dequeue(t, "work").Token, after("busy", 0)))
		require.Equal(t, queue.Scheduled, f.report(t, f.dequeue(t, "work").Token, after("busy", time.Hour)))
		require.Equal(t, f.Now().Add(time.Hour), f.status(t, id).RunAt, "over the most of the policy, too")
		f.Advance(time.Hour)
		require.Equal(t, queue.Scheduled, f.report(t, f.dequeue(t, "work").Token, retryable("broken")))
		require.Equal(t, f.Now().Add(4*time.Second), f.status(t, id).RunAt, "the policy counts all failures")
	},
	"a policy without a wait retries at once": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Retry: &queue.RetryPolicy{MaxAttempts: 3, Factor: 1}})[0]
		first := f.dequeue(t, "work")
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		require.Equal(t, queue.Pending, f.report(t, first.Token, retryable("broken")))
		require.Equal(t, id, receive(t, leases).JobID, "whoever waits is handed it in that very moment")
	},
	"chance shortens the wait, by no more than was said": func(t *testing.T, f *fixture) {
		job := queue.NewJob{Type: "work", Retry: &queue.RetryPolicy{
			MaxAttempts: 2, Initial: time.Hour, Factor: 1, Max: time.Hour, Jitter: 0.5,
		}}
		waits := make(map[time.Duration]bool)
		for range 20 {
			id := f.enqueue(t, job)[0]
			f.report(t, f.dequeue(t, "work").Token, retryable("broken"))
			wait := f.status(t, id).RunAt.Sub(f.Now())
			require.LessOrEqual(t, wait, time.Hour)
			require.Greater(t, wait, time.Hour/2-tick)
			waits[wait] = true
		}
		require.Greater(t, len(waits), 1, "they do not return together")
	},
	"a repeated report is answered the same, whatever came after": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, retrying("work", 3))[0]
		l := f.dequeue(t, "work")
		report := after("broken", time.Second)
		same := func() {
			t.Helper()
			before := f.status(t, id)
			require.Equal(t, queue.Scheduled, f.report(t, l.Token, report))
			require.Equal(t, before, f.status(t, id))
		}
		f.report(t, l.Token, report)
		same()
		f.Restart(t)
		same()
		f.Advance(time.Second)
		same()
		second := f.dequeue(t, "work")
		same()
		for _, other := range []queue.Failure{
			retryable("broken"), after("broken", 2*time.Second), after("other", time.Second), {Error: report.Error},
			{Error: queue.JobError{Reason: "broken", Details: args(`1`)}, Retryable: true, RetryAfter: report.RetryAfter},
		} {
			_, err := f.Queue().Fail(t.Context(), l.Token, other)
			require.ErrorIs(t, err, queue.ErrAlreadyReported)
		}
		_, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, result1(`1`))
		require.ErrorIs(t, err, queue.ErrAlreadyReported)
		f.requireLost(t, l.Token)
		f.finish(t, second.Token, `1`)
		same()
	},
	"a failure for good is the same by either call": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:2]...)
		l := f.dequeue(t, "work")
		f.fail(t, l.Token, "broken")
		state, err := f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, error1("broken"))
		require.NoError(t, err)
		require.Equal(t, queue.Failed, state)
		l = f.dequeue(t, "work")
		_, err = f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, error1("broken"))
		require.NoError(t, err)
		f.fail(t, l.Token, "broken")
	},
	"a report that is too late is told so": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:4]...)
		lost, released, canceled, finished := f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work")
		f.lose(t, lost.Token, 2)
		f.release(t, released.Token, 0)
		f.cancel(t, canceled.JobID)
		f.finish(t, finished.Token, `1`)
		for token, want := range map[uuid.UUID]error{
			lost.Token: queue.ErrLeaseLost, released.Token: queue.ErrLeaseLost, canceled.Token: queue.ErrCanceled,
			finished.Token: queue.ErrAlreadyReported, uuid.New(): queue.ErrNotExist, {}: queue.ErrNotExist,
		} {
			for _, failure := range []queue.Failure{retryable("late"), {Error: queue.JobError{Reason: "late"}}} {
				_, err := f.Queue().Fail(t.Context(), token, failure)
				require.ErrorIs(t, err, want)
			}
		}
		require.Zero(t, f.status(t, lost.JobID).Failures)
	},
	"a dependency that is run again is not over": func(t *testing.T, f *fixture) {
		first := retrying("first", 2)
		first.Name = "first"
		ids := f.enqueue(t, first, queue.NewJob{Type: "second", Needs: needs("first")},
			queue.NewJob{Type: "third", Needs: needs("first"), RunIf: queue.AllFinished})
		f.report(t, f.dequeue(t, "first").Token, retryable("broken"))
		f.requireStates(t, ids[1:], queue.Blocked)
		f.Advance(time.Second)
		f.report(t, f.dequeue(t, "first").Token, retryable("broken"))
		f.requireCause(t, ids[1], ids[0])
		f.requireState(t, ids[2], queue.Pending)
	},
	"a release with a delay waits, at no cost": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		require.Equal(t, queue.Scheduled, f.release(t, l.Token, time.Minute))
		require.Equal(t, f.Now().Add(time.Minute), f.status(t, id).RunAt)
		f.Restart(t)
		f.Advance(time.Minute - tick)
		f.requireNothingReady(t, "work")
		f.Advance(tick)
		require.Equal(t, queue.Scheduled, f.release(t, l.Token, time.Minute), "the same again is answered the same")
		l = f.dequeue(t, "work")
		require.Equal(t, uint64(2), l.Attempt)
		status := f.status(t, id)
		require.Zero(t, status.Retries+status.Failures+status.Timeouts)
		require.Equal(t, queue.Pending, f.release(t, l.Token, 0))
		f.requireState(t, id, queue.Pending)
	},
}
