package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// tick is the least time that stores tell apart.
const tick = time.Microsecond

var scheduleTests = map[string]func(*testing.T, *fixture){
	"a delay that does not end before the job expires is refused": func(t *testing.T, f *fixture) {
		good := queue.NewJob{Type: "work", Delay: time.Hour - time.Microsecond, ExpiresAt: f.Now().Add(time.Hour)}
		bad := good
		bad.Delay = time.Hour
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{good, bad})
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "expires_at", invalid.Field)
		require.Equal(t, 1, invalid.Job)
		require.Empty(t, f.list(t, 10))
		f.enqueue(t, good)
	},
	// GUARANTEES S14.
	"a job is not handed out before its time, and then at once": func(t *testing.T, f *fixture) {
		at := f.Now().Add(time.Hour)
		for name, job := range map[string]queue.NewJob{
			"run_at": {Type: "work", RunAt: f.Now().Add(time.Hour)}, "delay": {Type: "work", Delay: time.Hour},
		} {
			enqueued, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{job})
			require.NoError(t, err)
			require.Equal(t, queue.Scheduled.String(), enqueued[0].State.String(), name)
			require.Equal(t, at, enqueued[0].RunAt, name)
			require.Equal(t, queue.Enqueued{Status: f.status(t, enqueued[0].ID)}, enqueued[0], name)
		}
		id := f.list(t, 10)[0]
		for _, wait := range []time.Duration{0, time.Hour - tick} {
			f.Advance(wait)
			f.requireNothingReady(t, "work")
			_, err := f.Queue().DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
			require.ErrorIs(t, err, queue.ErrNotPending)
		}
		f.Advance(tick)
		status := f.status(t, id)
		require.Equal(t, queue.Pending, status.State)
		require.Equal(t, at, status.RunAt, "it is shown for what it was")
		require.Len(t, f.runToEnd(t, "work"), 2)
	},
	"a time that has passed is at once": func(t *testing.T, f *fixture) {
		for _, at := range []time.Time{time.Unix(0, 0).UTC(), time.Unix(1, 0).UTC(), f.Now().Add(-time.Hour), f.Now()} {
			id := f.enqueue(t, queue.NewJob{Type: "work", RunAt: at})[0]
			f.Restart(t)
			require.Equal(t, at, f.status(t, id).RunAt)
			job, err := f.Queue().Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, at, job.RunAt)
			require.Equal(t, id, f.dequeue(t, "work").JobID)
		}
	},
	"whoever waits is handed the job when it is due": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Delay: time.Hour})[0]
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		f.Advance(time.Hour - tick)
		f.requireState(t, id, queue.Scheduled)
		f.Advance(tick)
		require.Equal(t, id, receive(t, leases).JobID)
		require.Equal(t, f.Now(), f.status(t, id).Started)
	},
	"due jobs stand where they were enqueued": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", Delay: 3 * time.Second}, queue.NewJob{Type: "work"},
			queue.NewJob{Type: "work", Delay: time.Second}, queue.NewJob{Type: "work", Delay: 2 * time.Second, Priority: 1},
			queue.NewJob{Type: "work"})
		f.Advance(3 * time.Second)
		require.Equal(t, pick(ids, 3, 0, 1, 2, 4), f.runToEnd(t, "work"))
	},
	"only what is due is handed out": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for i := range 10 {
			ids = append(ids, f.enqueue(t, queue.NewJob{Type: "work", Delay: time.Duration(10-i) * time.Second})[0])
		}
		for i := range 10 {
			f.Advance(time.Second)
			require.Equal(t, ids[9-i:10-i], f.runToEnd(t, "work"))
		}
	},
	"many may be due at once": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 5 {
			jobs := make100("work")
			for i := range jobs {
				jobs[i].Delay = time.Minute + time.Duration(i%7)*time.Second
			}
			ids = append(ids, f.enqueue(t, jobs...)...)
		}
		f.Advance(time.Hour)
		require.Equal(t, ids, f.runToEnd(t, "work"))
	},
	"a job waits for its dependencies and for its time": func(t *testing.T, f *fixture) {
		first, second := f.enqueue1(t, "first"), f.enqueue1(t, "second")
		early := f.enqueue(t, queue.NewJob{Type: "early", Dependencies: []uuid.UUID{first}, Delay: time.Hour})[0]
		late := f.enqueue(t, queue.NewJob{Type: "late", Dependencies: []uuid.UUID{second}, Delay: time.Hour})[0]
		f.requireStates(t, []uuid.UUID{early, late}, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.requireState(t, early, queue.Scheduled)
		f.requireState(t, late, queue.Blocked)
		f.Advance(time.Hour)
		f.requireState(t, early, queue.Pending)
		f.requireState(t, late, queue.Blocked)
		f.finish(t, f.dequeue(t, "second").Token, `1`)
		require.Equal(t, []uuid.UUID{early, late}, f.runToEnd(t, "early", "late"))
	},
	"a scheduled job can be canceled, and does not come back": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Delay: time.Hour, ExpiresAt: f.Now().Add(2 * time.Hour)})[0]
		f.cancel(t, id)
		before := f.status(t, id)
		f.Advance(3 * time.Hour)
		require.Equal(t, before, f.status(t, id))
		f.requireNothingReady(t, "work")
	},
	"times are kept by a restart": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", Delay: time.Hour}, queue.NewJob{Type: "work", Delay: time.Minute},
			queue.NewJob{Type: "work", ExpiresAt: f.Now().Add(time.Hour)})
		released := f.dequeue(t, "work")
		f.release(t, released.Token, 2*time.Hour)
		f.Restart(t)
		f.Advance(time.Minute - tick)
		f.requireNothingReady(t, "work")
		f.Advance(tick)
		require.Equal(t, ids[1:2], f.runToEnd(t, "work"))
		f.Restart(t)
		f.Advance(time.Hour)
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
		f.Advance(time.Hour)
		require.Equal(t, ids[2:], f.runToEnd(t, "work"), "it has begun in time, and does not expire")
	},
	"what nobody begins in time fails, and not before": func(t *testing.T, f *fixture) {
		at := f.Now().Add(time.Hour)
		open := f.enqueue1(t, "open")
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", ExpiresAt: at}, queue.NewJob{Type: "work", ExpiresAt: at, Dependencies: []uuid.UUID{open}},
			queue.NewJob{Type: "work", ExpiresAt: at, RunAt: at.Add(-tick)})
		var before []queue.Status
		f.Advance(time.Hour - 2*tick)
		for i, state := range []queue.State{queue.Pending, queue.Blocked, queue.Scheduled} {
			f.requireState(t, ids[i], state)
			before = append(before, f.status(t, ids[i]))
		}
		f.Advance(tick)
		after := []queue.Status{f.status(t, ids[0]), f.status(t, ids[1])}
		require.Equal(t, before[:2], after)
		f.requireState(t, ids[2], queue.Pending)
		f.Advance(tick)
		for _, id := range ids {
			f.requireFailed(t, id, queue.ReasonExpired)
			status := f.status(t, id)
			require.Equal(t, at, status.Finished)
			require.Zero(t, status.Failures+status.Attempt, "it never ran")
		}
		f.requireNothingReady(t, "work")
		f.finish(t, f.dequeue(t, "open").Token, `1`)
		f.requireFailed(t, ids[1], queue.ReasonExpired)
		f.requireNothingReady(t, "work")
	},
	"what was begun once does not expire": func(t *testing.T, f *fixture) {
		job := queue.NewJob{
			Type: "work", ExpiresAt: f.Now().Add(time.Minute), Retry: &queue.RetryPolicy{MaxAttempts: 2, Factor: 1},
			Timeout: time.Minute, MaxTimeouts: 1,
		}
		for name, back := range map[string]func(queue.Lease){
			"lost":      func(l queue.Lease) { f.lose(t, l.Token, 2) },
			"released":  func(l queue.Lease) { f.release(t, l.Token, time.Second) },
			"retried":   func(l queue.Lease) { f.report(t, l.Token, retryable("broken")) },
			"timed out": func(queue.Lease) {},
			"by id": func(l queue.Lease) {
				f.release(t, l.Token, 0)
				l, err := f.Queue().DequeueByID(t.Context(), l.JobID, queue.Holder{}, queue.Once{})
				require.NoError(t, err)
				f.release(t, l.Token, 0)
			},
		} {
			job.ExpiresAt = f.Now().Add(time.Minute)
			id := f.enqueue(t, job)[0]
			back(f.dequeue(t, "work"))
			f.Advance(time.Hour)
			require.Equal(t, []uuid.UUID{id}, f.runToEnd(t, "work"), name)
		}
	},
	"a job that has expired already fails at once": func(t *testing.T, f *fixture) {
		for _, at := range []time.Time{f.Now(), f.Now().Add(-time.Hour), time.Unix(0, 0).UTC()} {
			enqueued, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{Type: "work", ExpiresAt: at}})
			require.NoError(t, err)
			require.Equal(t, queue.Failed, enqueued[0].State)
			require.Equal(t, &queue.JobError{Reason: queue.ReasonExpired}, enqueued[0].Error)
			require.Equal(t, queue.Enqueued{Status: f.status(t, enqueued[0].ID)}, enqueued[0])
		}
		f.requireNothingReady(t, "work")
	},
	"an expiry settles the dependents": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Name: "a", Type: "work", ExpiresAt: f.Now().Add(time.Hour)},
			queue.NewJob{Name: "b", Type: "work", Needs: needs("a")}, queue.NewJob{Type: "work", Needs: needs("b")},
			queue.NewJob{Type: "after", Needs: needs("a"), RunIf: queue.AllFinished})
		f.Advance(time.Hour)
		f.requireCause(t, ids[1], ids[0])
		f.requireCause(t, ids[2], ids[1])
		l := f.dequeue(t, "after")
		require.Equal(t, []queue.Dependency{
			{ID: ids[0], Name: "a", Type: "work", State: queue.Failed, Error: &queue.JobError{Reason: queue.ReasonExpired}},
		}, l.Dependencies)
	},
	"what is due is done in the order of time": func(t *testing.T, f *fixture) {
		at := func(d time.Duration) time.Time { return f.Now().Add(d) }
		ids := f.enqueue(t,
			queue.NewJob{Name: "late", Type: "work", ExpiresAt: at(3 * time.Second)},
			queue.NewJob{Name: "early", Type: "work", ExpiresAt: at(2 * time.Second)},
			queue.NewJob{Type: "work", Needs: needs("late", "early")},
			// At its own time nothing has decided about it, although that has happened by now.
			queue.NewJob{Type: "work", Needs: needs("late", "early"), ExpiresAt: at(time.Second)},
			// It may run, and then it is too late to begin.
			queue.NewJob{Type: "work", RunAt: at(time.Second), ExpiresAt: at(2 * time.Second)})
		f.Advance(time.Hour)
		f.requireCause(t, ids[2], ids[1])
		f.requireFailed(t, ids[3], queue.ReasonExpired)
		f.requireFailed(t, ids[4], queue.ReasonExpired)
	},
	"what has expired is handed to nobody, though it was not looked at in time": func(t *testing.T, f *fixture) {
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		at := f.Now().Add(time.Hour)
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", RunAt: at.Add(-2 * tick), ExpiresAt: at},
			queue.NewJob{Name: "a", Type: "else", ExpiresAt: at.Add(-2 * tick)},
			queue.NewJob{Type: "work", Needs: needs("a"), RunIf: queue.AllFinished, ExpiresAt: at.Add(-tick)},
			queue.NewJob{Type: "work", RunAt: at})
		f.Advance(time.Hour)
		require.Equal(t, ids[3], receive(t, leases).JobID)
		for _, id := range ids[:3] {
			f.requireFailed(t, id, queue.ReasonExpired)
		}
	},
	"what an expiry makes ready comes before what becomes ready by then": func(t *testing.T, f *fixture) {
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		at := f.Now().Add(time.Hour)
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", RunAt: at},
			queue.NewJob{Name: "a", Type: "else", ExpiresAt: at},
			queue.NewJob{Type: "work", Needs: needs("a"), RunIf: queue.AllFinished, Priority: 1})
		f.Advance(time.Hour)
		require.Equal(t, ids[2], receive(t, leases).JobID)
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
	},
}
