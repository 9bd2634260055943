package queuetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var orderTests = map[string]func(*testing.T, *fixture){
	"higher priority first, then first in first out": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, 0, -100, 100, 0, 100, -100, 1, -1)
		require.Equal(t, pick(ids, 2, 4, 6, 0, 3, 7, 1, 5), f.runToEnd(t, "work"))
	},
	"over all types and channels asked for": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Type: "a", Channel: "x"}, queue.NewJob{Type: "b", Channel: "y", Priority: 2},
			queue.NewJob{Type: "b", Channel: "x", Priority: 3}, queue.NewJob{Type: "a", Channel: "y", Priority: 2},
			queue.NewJob{Type: "c", Channel: "x", Priority: 100}, queue.NewJob{Type: "b", Channel: "y"})
		request := queue.DequeueRequest{Types: []string{"a", "b"}, Channels: []string{"x", "y"}}
		for i, want := range pick(ids, 2, 1, 3, 0, 5) {
			l, err := f.Queue().Dequeue(now(), request)
			require.NoError(t, err)
			require.Equal(t, want, l.JobID, "job %d", i)
		}
		_, err := f.Queue().Dequeue(now(), request)
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
	},
	"through a long backlog, of which some are taken meanwhile": func(t *testing.T, f *fixture) {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not for secrets
		type queued struct {
			id       uuid.UUID
			priority int
		}
		var all []queued
		for range 8 {
			jobs := make100("work")
			for i := range jobs {
				jobs[i].Priority = random.IntN(5) - 2
			}
			for i, id := range f.enqueue(t, jobs...) {
				all = append(all, queued{id, jobs[i].Priority})
			}
			slices.SortStableFunc(all, func(a, b queued) int { return b.priority - a.priority })
			for range 40 {
				l := f.dequeue(t, "work")
				require.Equal(t, all[0].id, l.JobID)
				f.finish(t, l.Token, `1`)
				all = all[1:]
			}
		}
		for i, id := range f.runToEnd(t, "work") {
			require.Equal(t, all[i].id, id)
		}
	},
	"a job of a higher priority overtakes a long backlog": func(t *testing.T, f *fixture) {
		low := f.enqueue(t, make100("work")...)
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		high := f.enqueuePriorities(t, 1)
		higher := f.enqueuePriorities(t, 2)
		require.Equal(t, append(append(higher, high...), low[1:]...), f.runToEnd(t, "work"))
	},
	"whatever brings it back, a job keeps its place": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, 0, 5, 5, 5, 5, 0)
		lost, released, failed, timed := f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work")
		got := []uuid.UUID{lost.JobID, released.JobID, failed.JobID, timed.JobID}
		require.Equal(t, ids[1:5], got)
		f.lose(t, lost.Token, 1)
		f.release(t, released.Token, 0)
		require.Equal(t, queue.Pending, f.report(t, failed.Token, retryable("broken")))
		f.Advance(timeout)
		f.requireStates(t, []uuid.UUID{lost.JobID, released.JobID, timed.JobID}, queue.Pending)
		require.Equal(t, pick(ids, 1, 2, 3, 4, 0, 5), f.runToEnd(t, "work"))
	},
	"a retried job keeps its place": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, 0, 0, 5, 0)
		failed := f.dequeue(t, "work")
		f.fail(t, failed.Token, "broken")
		f.cancel(t, ids[0])
		f.retry(t, ids[0])
		f.retry(t, ids[2])
		require.Equal(t, pick(ids, 2, 0, 1, 3), f.runToEnd(t, "work"))
	},
	"a job that waited for others has the place it was given": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		ids := f.enqueue(t,
			queue.NewJob{Type: "work", Dependencies: []uuid.UUID{first}}, queue.NewJob{Type: "work"},
			queue.NewJob{Type: "work", Dependencies: []uuid.UUID{first}, Priority: 1}, queue.NewJob{Type: "work", Priority: 1})
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		require.Equal(t, pick(ids, 2, 3, 0, 1), f.runToEnd(t, "work"))
	},
	"a leased job is out of turn, and holds up nobody": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, 9, 8, 7)
		_, err := f.Queue().DequeueByID(t.Context(), ids[1], queue.Holder{}, queue.Once{})
		require.NoError(t, err)
		require.Equal(t, pick(ids, 0, 2), f.runToEnd(t, "work"))
	},
	"jobs that one change makes ready go to those who wait by priority": func(t *testing.T, f *fixture) {
		first := f.dequeueOnceLater(t, once("first", ""), "work")
		second := f.dequeueOnceLater(t, once("second", ""), "work")
		ids := f.enqueuePriorities(t, 0, 1, 2)
		got := []uuid.UUID{receive(t, first).JobID, receive(t, second).JobID}
		require.ElementsMatch(t, pick(ids, 2, 1), got)
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
	},
	"priorities are kept by a restart": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, -3, 0, 7, 7)
		held := f.dequeue(t, "work")
		f.Restart(t)
		f.lose(t, held.Token, 1)
		require.Equal(t, 7, f.status(t, ids[2]).Priority)
		require.Equal(t, pick(ids, 2, 3, 1, 0), f.runToEnd(t, "work"))
	},
}

// enqueuePriorities enqueues a job of each priority, which may fail or time out many times.
func (f *fixture) enqueuePriorities(t *testing.T, priorities ...int) []uuid.UUID {
	t.Helper()
	jobs := make([]queue.NewJob, len(priorities))
	for i, priority := range priorities {
		jobs[i] = queue.NewJob{
			Type: "work", Priority: priority, Timeout: timeout, MaxTimeouts: 9, Retry: &queue.RetryPolicy{MaxAttempts: 9, Factor: 1},
		}
	}
	return f.enqueue(t, jobs...)
}

// pick returns those ids, in that order.
func pick(ids []uuid.UUID, indexes ...int) []uuid.UUID {
	picked := make([]uuid.UUID, len(indexes))
	for i, index := range indexes {
		picked[i] = ids[index]
	}
	return picked
}
