package queuetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// retryTests are about an operator's retry of one job; retryGraphTests about what it makes of
// others.
var retryTests = map[string]func(*testing.T, *fixture){
	"a job that failed runs again, as a new generation": func(t *testing.T, f *fixture) {
		job := retrying("work", 2)
		job.Timeout, job.MaxTimeouts = timeout, 1
		id := f.enqueue(t, job)[0]
		f.lose(t, f.dequeue(t, "work").Token, 1)
		f.dequeue(t, "work")
		f.Advance(timeout)
		f.Advance(time.Second)
		f.report(t, f.dequeue(t, "work").Token, retryable("broken"))
		f.Advance(2 * time.Second)
		l, err := f.Queue().Dequeue(now(), queue.DequeueRequest{Types: []string{"work"}, Worker: "w"})
		require.NoError(t, err)
		f.fail(t, l.Token, "broken")
		before := f.status(t, id)
		require.Equal(t, [3]uint64{1, 2, 1}, [3]uint64{before.Retries, before.Failures, before.Timeouts})

		f.retry(t, id)
		want := before
		want.State, want.Error, want.Worker = queue.Pending, nil, ""
		want.Retries, want.Failures, want.Timeouts, want.Generation = 0, 0, 0, 1
		want.Started, want.Finished = time.Time{}, time.Time{}
		got := f.status(t, id)
		require.Greater(t, got.Version, before.Version)
		want.Version = got.Version
		require.Equal(t, want, got)
		f.Restart(t)
		require.Equal(t, want, f.status(t, id))

		require.Equal(t, queue.Pending, f.lose(t, f.dequeue(t, "work").Token, 1), "its budgets are new")
		l = f.dequeue(t, "work")
		require.Equal(t, uint64(6), l.Attempt, "attempts go on")
		f.finish(t, l.Token, `1`)
		require.Equal(t, uint64(1), f.status(t, id).Generation)
	},
	"one that was canceled, whatever it did": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		for name, tc := range map[string]struct {
			job  queue.NewJob
			lead func()
			want queue.State
		}{
			"pending":   {queue.NewJob{Type: "work"}, func() {}, queue.Pending},
			"running":   {queue.NewJob{Type: "work"}, func() { f.dequeue(t, "work") }, queue.Pending},
			"scheduled": {queue.NewJob{Type: "work", Delay: time.Hour}, func() {}, queue.Scheduled},
			"blocked":   {queue.NewJob{Type: "work", Dependencies: []uuid.UUID{first}}, func() {}, queue.Blocked},
		} {
			id := f.enqueue(t, tc.job)[0]
			tc.lead()
			f.cancel(t, id)
			f.retry(t, id)
			f.requireState(t, id, tc.want)
			require.False(t, f.status(t, id).Canceled, name)
			f.cancel(t, id)
		}
	},
	"only what failed or was canceled": func(t *testing.T, f *fixture) {
		require.ErrorIs(t, f.Queue().RetryJob(t.Context(), uuid.New()), queue.ErrNotExist)
		running, finished := f.enqueue1(t, "a"), f.enqueue1(t, "a")
		f.dequeue(t, "a")
		f.finish(t, f.dequeue(t, "a").Token, `1`)
		pending, blocked := f.enqueue1(t, "a"), f.enqueue1(t, "a", running)
		scheduled := f.enqueue(t, queue.NewJob{Type: "a", Delay: time.Hour})[0]
		for _, id := range []uuid.UUID{running, finished, pending, blocked, scheduled} {
			before := f.status(t, id)
			require.ErrorIs(t, f.Queue().RetryJob(t.Context(), id), queue.ErrNotFailed)
			require.Equal(t, before, f.status(t, id))
		}
	},
	"it does not expire any more": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", ExpiresAt: f.Now().Add(time.Hour)})[0]
		canceled := f.enqueue(t, queue.NewJob{Type: "work", ExpiresAt: f.Now().Add(time.Hour)})[0]
		f.cancel(t, canceled)
		f.retry(t, canceled)
		f.Advance(time.Hour)
		f.requireFailed(t, id, queue.ReasonExpired)
		f.requireState(t, canceled, queue.Pending)
		f.retry(t, id)
		f.Restart(t)
		f.Advance(time.Hour)
		require.Equal(t, []uuid.UUID{id, canceled}, f.runToEnd(t, "work"))
	},
	"its old leases stay over": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:2]...)
		failed, canceled := f.dequeue(t, "work"), f.dequeue(t, "work")
		f.fail(t, failed.Token, "broken")
		f.cancel(t, canceled.JobID)
		for _, id := range ids {
			f.retry(t, id)
			f.dequeue(t, "work")
		}
		before := []queue.Status{f.status(t, ids[0]), f.status(t, ids[1])}
		f.fail(t, failed.Token, "broken")
		f.requireLost(t, failed.Token)
		require.True(t, f.beat(t, canceled.Token, queue.Beat{Progress: progress(1, "")}).Canceled)
		_, err := f.Queue().RequeueOrFinishJob(t.Context(), canceled.Token, 0, result1(`1`))
		require.ErrorIs(t, err, queue.ErrCanceled)
		after := []queue.Status{f.status(t, ids[0]), f.status(t, ids[1])}
		require.Equal(t, before, after)
	},
	"whoever waits is handed it": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		f.cancel(t, id)
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		f.retry(t, id)
		require.Equal(t, id, receive(t, leases).JobID)
	},
	"it may be waited for again": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		f.cancel(t, id)
		f.retry(t, id)
		status, err := f.Queue().Await(now(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Pending, status.State)
		statuses := make(chan queue.Status, 1)
		go func() {
			if status, err := f.Queue().Await(context.Background(), id); err == nil {
				statuses <- status
			}
		}()
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		require.Equal(t, queue.Finished, receive(t, statuses).State)
	},
	"again and again": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "work"}, queue.NewJob{Type: "work", Needs: needs("a")})
		for generation := range uint64(4) {
			f.fail(t, f.dequeue(t, "work").Token, "broken")
			f.requireCause(t, ids[1], ids[0])
			f.retry(t, ids[0])
			require.Equal(t, generation+1, f.status(t, ids[1]).Generation)
		}
		require.Equal(t, ids, f.runToEnd(t, "work"))
	},
	"not while another job has its unique key": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, unique("work"))[0]
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		second := f.enqueue(t, unique("work"))[0]
		before := f.status(t, id)
		require.ErrorIs(t, f.Queue().RetryJob(t.Context(), id), queue.ErrUniqueKeyTaken)
		require.Equal(t, before, f.status(t, id))
		require.Equal(t, []uuid.UUID{second}, f.runToEnd(t, "work"))
		f.retry(t, id)
		require.Equal(t, []uuid.UUID{id}, f.requireExisting(t, []bool{true}, unique("work")), "it has its key again")
		require.Equal(t, []uuid.UUID{id}, f.runToEnd(t, "work"))
		f.requireExisting(t, []bool{false}, unique("work"))
	},
	"of many at once one does it": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, chain("work", 50)...)
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		var retried atomic.Int64
		var group errgroup.Group
		for range 20 {
			group.Go(func() error {
				err := f.Queue().RetryJob(t.Context(), ids[0])
				if errors.Is(err, queue.ErrNotFailed) {
					return nil
				}
				retried.Add(1)
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, int64(1), retried.Load())
		require.Equal(t, uint64(1), f.status(t, ids[0]).Generation)
		require.Equal(t, ids, f.runToEnd(t, "work"))
	},
}
