package queuetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func (f *fixture) attempts(t *testing.T, id uuid.UUID) []queue.Attempt {
	t.Helper()
	attempts, err := f.Queue().Attempts(t.Context(), id)
	require.NoError(t, err)
	return attempts
}

// principalOf is whose credential a worker has.
func principalOf(worker string) string {
	if worker == "" {
		return ""
	}
	return "key:" + worker
}

// dequeueAs dequeues a job for a worker that has a name, and a credential.
func (f *fixture) dequeueAs(t *testing.T, worker, jobType string) queue.Lease {
	t.Helper()
	l, err := f.Queue().Dequeue(now(), queue.DequeueRequest{Types: []string{jobType}, Worker: worker, Principal: principalOf(worker)})
	require.NoError(t, err)
	return l
}

var attemptTests = map[string]func(*testing.T, *fixture){
	"a job that was never leased has none": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		require.Empty(t, f.attempts(t, id))
		f.cancel(t, id)
		require.Empty(t, f.attempts(t, id))
		_, err := f.Queue().Attempts(t.Context(), uuid.New())
		require.ErrorIs(t, err, queue.ErrNotExist)
	},
	"each lease is told with how it ended": func(t *testing.T, f *fixture) {
		job := queue.NewJob{
			Type: "work", Timeout: timeout, MaxTimeouts: 1,
			Retry: &queue.RetryPolicy{MaxAttempts: 3, Factor: 1},
		}
		id := f.enqueue(t, job)[0]
		var want []queue.Attempt
		// run leases the job, lets a second pass, and has the lease end.
		run := func(worker string, state queue.State, end queue.End, e *queue.JobError, how func(queue.Lease)) {
			l := f.dequeueAs(t, worker, "work")
			live := queue.Attempt{Number: l.Attempt, Worker: worker, Principal: principalOf(worker), Started: f.Now()}
			require.Equal(t, append(want[:len(want):len(want)], live), f.attempts(t, id))
			f.Advance(time.Second)
			how(l)
			live.Ended, live.End, live.State, live.Error = f.Now(), end, state, e
			want = append(want, live)
			require.Equal(t, want, f.attempts(t, id))
			f.Restart(t)
			require.Equal(t, want, f.attempts(t, id))
		}
		run("a", queue.Pending, queue.EndReleased, nil, func(l queue.Lease) { f.release(t, l.Token, 0) })
		run("b", queue.Pending, queue.EndLost, &queue.JobError{Reason: queue.ReasonHeartbeatLost}, func(l queue.Lease) {
			f.lose(t, l.Token, 1)
		})
		run("", queue.Pending, queue.EndTimedOut, &queue.JobError{Reason: queue.ReasonTimeout}, func(queue.Lease) {
			f.Advance(timeout)
		})
		details := args(`{"disk": 1}`)
		run("c", queue.Pending, queue.EndReported, &queue.JobError{Reason: "full", Details: details}, func(l queue.Lease) {
			failure := retryable("full")
			failure.Error.Details = details
			f.report(t, l.Token, failure)
		})
		run("d", queue.Failed, queue.EndReported, &queue.JobError{Reason: "broken"}, func(l queue.Lease) {
			f.fail(t, l.Token, "broken")
		})
		f.retry(t, id)
		require.Equal(t, want, f.attempts(t, id))
		run("e", queue.Canceled, queue.EndCanceled, nil, func(queue.Lease) { f.cancel(t, id) })
		f.retry(t, id)
		run("f", queue.Finished, queue.EndReported, nil, func(l queue.Lease) { f.finish(t, l.Token, "1") })
		require.Equal(t, uint64(7), f.status(t, id).Attempt)
	},
	"each lease is told with who asked for it, however they did": func(t *testing.T, f *fixture) {
		ids := []uuid.UUID{f.enqueue1(t, "work"), f.enqueue1(t, "work")}
		ask := func(principal string) queue.DequeueRequest {
			return queue.DequeueRequest{Types: []string{"work"}, Principal: principal}
		}
		_, err := f.Queue().DequeueByID(t.Context(), ids[0], queue.Holder{Worker: "w", Principal: "key:by id"}, queue.Once{})
		require.NoError(t, err)
		answer, err := f.Queue().DequeueBatch(now(), queue.BatchRequest{DequeueRequest: ask("key:batch"), Max: 2})
		require.NoError(t, err)
		require.Len(t, answer.Leases, 1)
		// Of two who wait, each gets a lease of its own.
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		waited := make(map[uuid.UUID]string)
		granted := make(chan error)
		var mu sync.Mutex // guards waited
		for _, principal := range []string{"oidc:a", "oidc:b"} {
			go func() {
				l, err := f.Queue().Dequeue(ctx, ask(principal))
				mu.Lock()
				waited[l.JobID] = principal
				mu.Unlock()
				granted <- err
			}()
		}
		ids = append(ids, f.enqueue(t, queue.NewJob{Type: "work"}, queue.NewJob{Type: "work"})...)
		for range 2 {
			require.NoError(t, <-granted)
		}
		for i, want := range []string{"key:by id", "key:batch", waited[ids[2]], waited[ids[3]]} {
			attempts := f.attempts(t, ids[i])
			require.Len(t, attempts, 1)
			require.NotEmpty(t, want)
			require.Equal(t, want, attempts[0].Principal)
		}
	},
	"a job that is canceled while it waits has those it had": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		f.release(t, f.dequeue(t, "work").Token, 0)
		f.cancel(t, id)
		attempts := f.attempts(t, id)
		require.Len(t, attempts, 1)
		require.Equal(t, queue.EndReleased, attempts[0].End)
		f.retry(t, id)
		require.Equal(t, attempts, f.attempts(t, id))
	},
	"large details of an error that a job went on after are left out": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Retry: &queue.RetryPolicy{MaxAttempts: 9, Factor: 1}})[0]
		for _, size := range []int{queue.MaxAttemptDetails, queue.MaxAttemptDetails + 1} {
			failure := retryable("full")
			failure.Error.Details = args(`"%s"`, strings.Repeat("x", size-2))
			f.report(t, f.dequeue(t, "work").Token, failure)
		}
		attempts := f.attempts(t, id)
		require.Len(t, attempts[0].Error.Details, queue.MaxAttemptDetails)
		require.Equal(t, &queue.JobError{Reason: "full"}, attempts[1].Error)
	},
}
