package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// timeout is how long a run of the jobs of these tests may take.
const timeout = 10 * time.Second

func timed(jobType string) queue.NewJob { return queue.NewJob{Type: jobType, Timeout: timeout} }

var timeoutTests = map[string]func(*testing.T, *fixture){
	"a run that takes too long fails its job, and not before": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, timed("work"))[0]
		f.Advance(time.Hour)
		l := f.dequeue(t, "work")
		require.Equal(t, timeout, l.Timeout)
		f.Advance(timeout - tick)
		f.beat(t, l.Token, queue.Beat{})
		f.requireState(t, id, queue.Running)
		f.Advance(tick)
		f.requireFailed(t, id, queue.ReasonTimeout)
		status := f.status(t, id)
		require.Equal(t, [3]uint64{0, 0, 1}, [3]uint64{status.Retries, status.Failures, status.Timeouts})
		require.Equal(t, f.Now(), status.Finished)
		f.requireNothingReady(t, "work")
	},
	"its worker is told that the lease is gone": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.MaxTimeouts = 1
		f.enqueue(t, timed("work"), job)
		failed, again := f.dequeue(t, "work"), f.dequeue(t, "work")
		f.Advance(timeout)
		for range 2 {
			for _, l := range []queue.Lease{failed, again} {
				f.requireStale(t, l.Token)
				_, err := f.Queue().Fail(t.Context(), l.Token, retryable("late"))
				require.ErrorIs(t, err, queue.ErrLeaseLost)
			}
			f.Restart(t)
		}
		require.Equal(t, []uuid.UUID{again.JobID}, f.runToEnd(t, "work"))
	},
	"max_timeouts runs may be followed by another one": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.MaxTimeouts = 2
		id := f.enqueue(t, job)[0]
		for n := range uint64(2) {
			l := f.dequeue(t, "work")
			require.Equal(t, n+1, l.Attempt)
			f.Advance(timeout)
			status := f.status(t, id)
			require.Equal(t, queue.Pending, status.State)
			require.Equal(t, n+1, status.Timeouts)
			require.Nil(t, status.Error)
			require.True(t, status.Started.IsZero())
		}
		f.dequeue(t, "work")
		f.Advance(timeout)
		f.requireFailed(t, id, queue.ReasonTimeout)
	},
	"the next run waits as the job's retry says": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.MaxTimeouts = 9
		job.Retry = &queue.RetryPolicy{MaxAttempts: 1, Initial: time.Second, Factor: 3, Max: 5 * time.Second}
		id := f.enqueue(t, job)[0]
		for _, wait := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second, 5 * time.Second} {
			f.dequeue(t, "work")
			f.Advance(timeout)
			status := f.status(t, id)
			require.Equal(t, queue.Scheduled, status.State)
			require.Equal(t, f.Now().Add(wait), status.RunAt)
			f.Advance(wait - tick)
			f.requireNothingReady(t, "work")
			f.Advance(tick)
		}
		require.Equal(t, []uuid.UUID{id}, f.runToEnd(t, "work"))
	},
	"whoever waits is handed the next run": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.MaxTimeouts = 1
		id := f.enqueue(t, job)[0]
		f.dequeue(t, "work")
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		f.Advance(timeout)
		l := receive(t, leases)
		require.Equal(t, id, l.JobID)
		require.Equal(t, uint64(2), l.Attempt)
		f.Advance(timeout - tick)
		f.requireState(t, id, queue.Running)
		f.Advance(tick)
		f.requireFailed(t, id, queue.ReasonTimeout)
	},
	"only the run that is on counts": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, timed("work"))[0]
		f.release(t, f.dequeue(t, "work").Token, 0)
		f.Advance(timeout)
		f.requireState(t, id, queue.Pending)
		f.lose(t, f.dequeue(t, "work").Token, 1)
		f.Advance(timeout - tick)
		l := f.dequeue(t, "work")
		f.Advance(timeout - tick)
		f.finish(t, l.Token, `1`)
		f.Advance(timeout)
		f.requireState(t, id, queue.Finished)

		canceled := f.enqueue(t, timed("work"))[0]
		l = f.dequeue(t, "work")
		f.cancel(t, canceled)
		f.Advance(timeout)
		f.requireState(t, canceled, queue.Canceled)
		require.True(t, f.beat(t, l.Token, queue.Beat{}).Canceled)
	},
	"a run without a bound has none": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		require.Zero(t, l.Timeout)
		f.Advance(365 * 24 * time.Hour)
		f.requireState(t, id, queue.Running)
	},
	"a restart neither ends a run nor prolongs it": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, timed("work"))[0]
		f.dequeue(t, "work")
		f.Advance(timeout - tick)
		f.Restart(t)
		f.requireState(t, id, queue.Running)
		f.Advance(tick)
		f.requireFailed(t, id, queue.ReasonTimeout)
	},
	"it settles the dependents": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.Name = "a"
		ids := f.enqueue(t, job, queue.NewJob{Type: "then", Needs: needs("a")},
			queue.NewJob{Type: "after", Needs: needs("a"), RunIf: queue.AllFinished})
		f.dequeue(t, "work")
		f.Advance(timeout)
		f.requireCause(t, ids[1], ids[0])
		require.Equal(t, &queue.JobError{Reason: queue.ReasonTimeout}, f.dequeue(t, "after").Dependencies[0].Error)
	},
	"the oldest is ended first, after all that is due": func(t *testing.T, f *fixture) {
		short, long := timed("short"), queue.NewJob{Name: "long", Type: "long", Timeout: 2 * timeout}
		short.Name = "short"
		ids := f.enqueue(t, long, short,
			queue.NewJob{Type: "work", Needs: needs("long", "short")},
			// It expires after both, but by then all that has happened is that time has passed.
			queue.NewJob{Type: "work", Needs: needs("long", "short"), ExpiresAt: f.Now().Add(time.Minute)})
		f.dequeue(t, "long")
		f.Advance(timeout + tick)
		f.dequeue(t, "short")
		f.Advance(time.Hour)
		f.requireFailed(t, ids[1], queue.ReasonTimeout)
		f.requireCause(t, ids[2], ids[0])
		f.requireFailed(t, ids[3], queue.ReasonExpired)
	},
	"many may be due at once": func(t *testing.T, f *fixture) {
		jobs := make100("work")
		for i := range jobs {
			jobs[i].Timeout = time.Duration(1+i%9) * time.Second
		}
		ids := f.enqueue(t, jobs...)
		for range jobs {
			f.dequeue(t, "work")
		}
		f.Advance(timeout)
		for _, id := range ids {
			f.requireFailed(t, id, queue.ReasonTimeout)
		}
	},
	// GUARANTEES S9.
	"silence, failures and timeouts are budgets of their own": func(t *testing.T, f *fixture) {
		job := timed("work")
		job.MaxTimeouts, job.Retry = 1, &queue.RetryPolicy{MaxAttempts: 2, Factor: 1}
		ends := []func(queue.Lease){
			func(l queue.Lease) { f.lose(t, l.Token, 1) },
			func(l queue.Lease) { f.report(t, l.Token, retryable("broken")) },
			func(queue.Lease) { f.Advance(timeout) },
			func(l queue.Lease) { f.release(t, l.Token, 0) },
		}
		for last, reason := range []string{queue.ReasonHeartbeatLost, "broken", queue.ReasonTimeout} {
			id := f.enqueue(t, job)[0]
			for i, end := range ends {
				end(f.dequeue(t, "work"))
				require.Equal(t, queue.Pending.String(), f.status(t, id).State.String(), "one of each is survived: %d", i)
			}
			f.Restart(t)
			status := f.status(t, id)
			require.Equal(t, [3]uint64{1, 1, 1}, [3]uint64{status.Retries, status.Failures, status.Timeouts})
			ends[last](f.dequeue(t, "work"))
			f.requireFailed(t, id, reason)
		}
	},
}
