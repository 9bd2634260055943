package queuetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// sized is a job whose args have so many bytes, 2 at least.
func sized(jobType string, bytes int) queue.NewJob {
	return queue.NewJob{Type: jobType, Args: args(`"%s"`, strings.Repeat("x", bytes-2))}
}

// requireBytes requires how large the args are of the jobs of types that are not over; a type that has
// no jobs has 0. It is the same after a restart.
func (f *fixture) requireBytes(t *testing.T, want map[string]int64) {
	t.Helper()
	for range 2 {
		got, all := make(map[string]int64), int64(0)
		for _, q := range f.queues(t, queue.LaneListing{}).Queues {
			got[q.Lane.Type] = q.Bytes
			all += q.Bytes
		}
		for jobType, bytes := range want {
			require.Equal(t, bytes, got[jobType], jobType)
		}
		open, err := f.Queue().OpenJobs(t.Context(), []string{queue.DefaultChannel})
		require.NoError(t, err)
		require.Equal(t, all, open[queue.DefaultChannel].Bytes)
		f.Restart(t)
	}
}

var bytesTests = map[string]func(*testing.T, *fixture){
	"of jobs that wait and run": func(t *testing.T, f *fixture) {
		later := sized("work", 1000)
		later.Delay = time.Hour
		blocked := sized("work", 10_000)
		blocked.Dependencies = f.enqueue(t, sized("other", 3))
		f.enqueue(t, sized("work", 10), sized("work", 100), later, blocked, queue.NewJob{Type: "empty"})
		f.requireBytes(t, map[string]int64{"work": 11_110, "other": 3, "empty": 4}) // which is null
		f.dequeue(t, "work")
		f.requireBytes(t, map[string]int64{"work": 11_110, "other": 3, "empty": 4})
	},
	"of ends of every kind": func(t *testing.T, f *fixture) {
		expires := sized("work", 32)
		expires.ExpiresAt = f.Now().Add(time.Minute)
		long := sized("long", 64)
		long.Timeout = time.Minute
		ids := f.enqueue(t, sized("work", 2), sized("work", 4), sized("work", 8), sized("work", 16), expires, long)
		first, second, third := f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work")
		f.dequeue(t, "long")
		f.requireBytes(t, map[string]int64{"work": 62, "long": 64})
		f.finish(t, first.Token, "1")
		f.requireBytes(t, map[string]int64{"work": 60})
		f.fail(t, second.Token, "broken")
		f.requireBytes(t, map[string]int64{"work": 56})
		f.cancel(t, third.JobID)
		f.requireBytes(t, map[string]int64{"work": 48})
		f.cancel(t, ids[3])
		f.requireBytes(t, map[string]int64{"work": 32})
		f.Advance(time.Minute)
		f.requireState(t, ids[5], queue.Failed)
		f.requireBytes(t, map[string]int64{"work": 0, "long": 0})
		f.delete(t, ids[0])
		f.requireBytes(t, map[string]int64{"work": 0, "long": 0})
	},
	"of jobs that wait again": func(t *testing.T, f *fixture) {
		again := sized("work", 10)
		again.Retry = &queue.RetryPolicy{MaxAttempts: 2, Initial: time.Minute, Factor: 1, Max: time.Minute}
		f.enqueue(t, again)
		check := func() {
			t.Helper()
			f.requireBytes(t, map[string]int64{"work": 10})
		}
		f.release(t, f.dequeue(t, "work").Token, 0)
		check()
		f.release(t, f.dequeue(t, "work").Token, time.Minute)
		check()
		f.Advance(time.Minute)
		f.lose(t, f.dequeue(t, "work").Token, 1)
		check()
		l := f.dequeue(t, "work")
		require.Equal(t, queue.Scheduled, f.report(t, l.Token, queue.Failure{Error: queue.JobError{Reason: "x"}, Retryable: true}))
		f.update(t, l.JobID, queue.Update{Labels: &map[string]string{"a": "b"}, Priority: new(3)})
		check()
	},
	"of jobs that come back with what depends on them": func(t *testing.T, f *fixture) {
		root := f.enqueue(t, sized("root", 10))[0]
		first, second := sized("child", 100), sized("child", 1000)
		first.Dependencies = []uuid.UUID{root}
		second.Dependencies = f.enqueue(t, first)
		last := f.enqueue(t, second)[0]
		f.requireBytes(t, map[string]int64{"root": 10, "child": 1100})
		f.fail(t, f.dequeue(t, "root").Token, "broken")
		f.requireBytes(t, map[string]int64{"root": 0, "child": 0})
		f.requireState(t, last, queue.Failed)
		late := sized("late", 5)
		late.Dependencies = []uuid.UUID{last}
		f.enqueue(t, late) // which is over at once
		f.requireBytes(t, map[string]int64{"root": 0, "child": 0, "late": 0})
		f.retry(t, root)
		f.requireBytes(t, map[string]int64{"root": 10, "child": 1100, "late": 5})
		f.cancel(t, root)
		f.requireBytes(t, map[string]int64{"root": 0, "child": 0, "late": 0})
	},
	"of a batch that is refused": func(t *testing.T, f *fixture) {
		f.enqueue(t, sized("work", 10))
		unknown := sized("work", 100)
		unknown.Dependencies = []uuid.UUID{uuid.New()}
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{sized("work", 1000), unknown})
		require.ErrorIs(t, err, queue.ErrNotExist)
		f.requireBytes(t, map[string]int64{"work": 10})
	},
	"of calls that are repeated and keys that are taken": func(t *testing.T, f *fixture) {
		job := sized("work", 10)
		job.UniqueKey = "k"
		once := queue.Once{Key: "once", Digest: [32]byte{1}}
		for range 2 {
			_, err := f.Queue().EnqueueOnce(t.Context(), []queue.NewJob{sized("work", 100)}, once)
			require.NoError(t, err)
			f.enqueue(t, job)
			f.requireBytes(t, map[string]int64{"work": 110})
		}
	},
	"of batches": func(t *testing.T, f *fixture) {
		jobs := make([]queue.NewJob, 100)
		for i := range jobs {
			jobs[i] = sized("work", 2+i)
		}
		f.enqueue(t, jobs...)
		f.requireBytes(t, map[string]int64{"work": 200 + 99*50})
		f.Restart(t)
		request := queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"work"}}, Max: 60}
		answer, err := f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err)
		require.Len(t, answer.Leases, 60)
		for i := range answer.Leases {
			request.Reports = append(request.Reports, queue.Report{Token: answer.Leases[i].Token})
		}
		answer, err = f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err)
		require.Len(t, answer.Leases, 40)
		f.requireBytes(t, map[string]int64{"work": 40*2 + 40*60 + 39*20})
	},
}
