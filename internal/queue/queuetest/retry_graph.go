package queuetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var retryGraphTests = map[string]func(*testing.T, *fixture){
	"the dependents that were over because of it come back, and theirs": func(t *testing.T, f *fixture) {
		for name, end := range map[string]func(uuid.UUID){
			"failed":   func(uuid.UUID) { f.fail(t, f.dequeue(t, "work").Token, "broken") },
			"canceled": func(id uuid.UUID) { f.cancel(t, id) },
		} {
			ids := f.enqueue(t,
				queue.NewJob{Name: "top", Type: "work"},
				queue.NewJob{Name: "left", Type: "work", Needs: needs("top")},
				queue.NewJob{Name: "right", Type: "work", Needs: needs("top")},
				queue.NewJob{Type: "work", Needs: needs("left", "right")})
			end(ids[0])
			f.retry(t, ids[0])
			f.requireState(t, ids[0], queue.Pending)
			f.requireStates(t, ids[1:], queue.Blocked)
			for _, id := range ids {
				status := f.status(t, id)
				require.Equal(t, uint64(1), status.Generation, name)
				require.Nil(t, status.Error)
				require.True(t, status.Finished.IsZero())
			}
			f.Restart(t)
			for _, id := range ids {
				l := f.dequeue(t, "work")
				require.Equal(t, id, l.JobID, name)
				for _, d := range l.Dependencies {
					require.Equal(t, `"again"`, string(d.Result))
				}
				f.finish(t, l.Token, `"again"`)
			}
		}
	},
	"what ended on its own stays as it is": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Name: "root", Type: "work"},
			queue.NewJob{Type: "a", Needs: needs("root")},
			queue.NewJob{Type: "b", Needs: needs("root"), RunIf: queue.AllFinished},
			queue.NewJob{Type: "c", Needs: needs("root"), RunIf: queue.AllFinished},
			queue.NewJob{Name: "d", Type: "d", Needs: needs("root"), RunIf: queue.AllFinished},
			queue.NewJob{Type: "e", Needs: needs("d")})
		f.cancel(t, ids[1])
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.finish(t, f.dequeue(t, "b").Token, `1`)
		running := f.dequeue(t, "c")
		f.fail(t, f.dequeue(t, "d").Token, "of its own")
		var before []queue.Status
		for _, id := range ids[1:] {
			before = append(before, f.status(t, id))
		}
		f.retry(t, ids[0])
		for i, id := range ids[1:] {
			require.Equal(t, before[i], f.status(t, id), "job %d", i+1)
		}
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
		f.finish(t, running.Token, `1`)
		f.retry(t, ids[4])
		require.Equal(t, []uuid.UUID{ids[4], ids[5]}, f.runToEnd(t, "a", "b", "c", "d", "e"))
	},
	"one that another dependency decides against stays, until that one is retried": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "a"}, queue.NewJob{Name: "b", Type: "b"},
			queue.NewJob{Name: "both", Type: "work", Needs: needs("a", "b")}, queue.NewJob{Type: "work", Needs: needs("both")})
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		f.cancel(t, ids[1])
		before := []queue.Status{f.status(t, ids[2]), f.status(t, ids[3])}
		unchanged := func() {
			t.Helper()
			after := []queue.Status{f.status(t, ids[2]), f.status(t, ids[3])}
			require.Equal(t, before, after)
		}
		f.retry(t, ids[0])
		unchanged()
		require.ErrorIs(t, f.Queue().RetryJob(t.Context(), ids[2]), queue.ErrDependencyFailed)
		unchanged()
		require.Equal(t, ids[:1], f.runToEnd(t, "a"))
		unchanged()
		f.retry(t, ids[1])
		f.requireStates(t, ids[2:], queue.Blocked)
		require.Equal(t, ids[1:], f.runToEnd(t, "b", "work"))
	},
	"a dependent may be retried alone, once its dependency is": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "a"}, queue.NewJob{Type: "work", Needs: needs("a")})
		f.cancel(t, ids[1])
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		require.ErrorIs(t, f.Queue().RetryJob(t.Context(), ids[1]), queue.ErrDependencyFailed)
		f.requireState(t, ids[1], queue.Canceled)
		f.retry(t, ids[0])
		f.requireState(t, ids[1], queue.Canceled)
		f.retry(t, ids[1])
		f.requireState(t, ids[1], queue.Blocked)
		require.Equal(t, ids, f.runToEnd(t, "a", "work"))
	},
	// GUARANTEES S7.
	"a dependent that waits, waits for it again": func(t *testing.T, f *fixture) {
		other := f.enqueue1(t, "other")
		ids := f.enqueue(t,
			queue.NewJob{Name: "a", Type: "a"},
			queue.NewJob{Type: "blocked", Needs: needs("a"), Dependencies: []uuid.UUID{other}, RunIf: queue.AllFinished},
			queue.NewJob{Type: "pending", Needs: needs("a"), RunIf: queue.AllFinished},
			queue.NewJob{Type: "scheduled", Needs: needs("a"), RunIf: queue.AllFinished, Delay: time.Hour},
			queue.NewJob{Type: "running", Needs: needs("a"), RunIf: queue.AllFinished})
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		for i, state := range []queue.State{queue.Blocked, queue.Pending, queue.Scheduled, queue.Pending} {
			f.requireState(t, ids[i+1], state)
		}
		running := f.dequeue(t, "running")
		for range 2 {
			f.retry(t, ids[0])
			f.requireStates(t, ids[1:4], queue.Blocked)
			f.requireNothingReady(t, "blocked", "pending", "scheduled")
			f.Restart(t)
			f.fail(t, f.dequeue(t, "a").Token, "broken again")
			for i, state := range []queue.State{queue.Blocked, queue.Pending, queue.Scheduled, queue.Running} {
				f.requireState(t, ids[i+1], state)
			}
		}
		f.retry(t, ids[0])
		f.Advance(time.Hour)
		f.requireStates(t, ids[1:4], queue.Blocked)
		f.finish(t, f.dequeue(t, "a").Token, `"at last"`)
		f.requireState(t, ids[1], queue.Blocked)
		f.finish(t, f.dequeue(t, "other").Token, `1`)
		for _, jobType := range []string{"blocked", "pending", "scheduled"} {
			l := f.dequeue(t, jobType)
			last := l.Dependencies[len(l.Dependencies)-1]
			require.Equal(t, queue.Dependency{ID: ids[0], Name: "a", Type: "a", State: queue.Finished, Result: args(`"at last"`)}, last)
		}
		f.lose(t, running.Token, 1)
		f.dequeue(t, "running")
	},
	"a running dependent goes on, and waits for it again when it comes back": func(t *testing.T, f *fixture) {
		for name, back := range map[string]func(queue.Lease) queue.State{
			"lost":     func(l queue.Lease) queue.State { return f.lose(t, l.Token, 5) },
			"released": func(l queue.Lease) queue.State { return f.release(t, l.Token, 0) },
			"failed":   func(l queue.Lease) queue.State { return f.report(t, l.Token, after("broken", 0)) },
			"timed out": func(l queue.Lease) queue.State {
				f.Advance(timeout)
				return f.status(t, l.JobID).State
			},
		} {
			job := retrying("work", 5)
			job.Timeout, job.MaxTimeouts, job.Needs, job.RunIf = timeout, 5, needs("a", "b"), queue.AllFinished
			ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "a"}, queue.NewJob{Name: "b", Type: "b"}, job)
			f.fail(t, f.dequeue(t, "a").Token, "broken")
			f.cancel(t, ids[1])
			l := f.dequeue(t, "work")
			f.retry(t, ids[0])
			f.requireState(t, ids[2], queue.Running)
			f.Restart(t)
			require.Equal(t, queue.Blocked.String(), back(l).String(), name)
			f.requireNothingReady(t, "work")
			f.retry(t, ids[1])
			f.cancel(t, ids[1])
			f.requireState(t, ids[2], queue.Blocked)
			f.finish(t, f.dequeue(t, "a").Token, `1`)
			f.Advance(time.Minute)
			l = f.dequeue(t, "work")

			// One that is over again before the job comes back is no reason to wait.
			f.retry(t, ids[1])
			f.finish(t, f.dequeue(t, "b").Token, `1`)
			require.NotEqual(t, queue.Blocked.String(), back(l).String(), name)
			f.Advance(time.Minute)
			l = f.dequeue(t, "work")
			for _, d := range l.Dependencies {
				require.Equal(t, queue.Finished, d.State)
			}
			f.finish(t, l.Token, `1`)
		}
	},
	"a dependent that waits for it and for another one that comes back waits for both": func(t *testing.T, f *fixture) {
		both := queue.NewJob{Type: "both", Needs: []queue.Need{{Name: "a"}, {Name: "middle", If: queue.IfOver}}}
		middle := queue.NewJob{Name: "middle", Type: "middle", Needs: needs("a")}
		for name, jobs := range map[string][]queue.NewJob{"before": {both, middle}, "after": {middle, both}} {
			ids := f.enqueue(t, append([]queue.NewJob{{Name: "a", Type: "a"}}, jobs...)...)
			for range 2 {
				f.fail(t, f.dequeue(t, "a").Token, "broken")
				f.requireStates(t, ids, queue.Failed)
				f.retry(t, ids[0])
				f.requireStates(t, ids[1:], queue.Blocked)
			}
			f.finish(t, f.dequeue(t, "a").Token, `1`)
			f.requireNothingReady(t, "both")
			f.finish(t, f.dequeue(t, "middle").Token, `1`)
			require.Len(t, f.runToEnd(t, "both"), 1, name)
		}
	},
	"a dependent whose unique key was taken stays, as do those after it": func(t *testing.T, f *fixture) {
		dependent := unique("work")
		dependent.Name, dependent.Needs = "b", needs("a")
		ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "a"}, dependent, queue.NewJob{Type: "after", Needs: needs("b")},
			queue.NewJob{Type: "beside", Needs: needs("a")})
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		second := f.enqueue(t, unique("work"))[0]
		f.retry(t, ids[0])
		f.requireStates(t, ids[1:3], queue.Failed)
		require.Equal(t, []uuid.UUID{ids[0], ids[3], second}, f.runToEnd(t, "a", "work", "after", "beside"))
		f.retry(t, ids[1])
		require.Equal(t, ids[1:3], f.runToEnd(t, "work", "after"))
	},
	"a deep chain, failed and retried at its root, is drained": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, chain("work", 2000)...)
		for range 2 {
			f.fail(t, f.dequeue(t, "work").Token, "broken")
			f.requireStates(t, ids, queue.Failed)
			f.retry(t, ids[0])
			f.requireStates(t, ids[1:], queue.Blocked)
		}
		f.Restart(t)
		require.Equal(t, ids, f.runToEnd(t, "work"))
	},
	"a wide graph, failed and retried at its root, is drained": func(t *testing.T, f *fixture) {
		const wide = 500
		jobs := []queue.NewJob{{Name: "root", Type: "work"}}
		bottom := queue.NewJob{Type: "work"}
		for i := range wide {
			name := fmt.Sprint("n", i)
			jobs = append(jobs, queue.NewJob{Name: name, Type: "work", Needs: needs("root")})
			bottom.Needs = append(bottom.Needs, queue.Need{Name: name})
		}
		ids := f.enqueue(t, append(jobs, bottom)...)
		for range 2 {
			f.fail(t, f.dequeue(t, "work").Token, "broken")
			f.requireStates(t, ids, queue.Failed)
			f.retry(t, ids[0])
			f.requireStates(t, ids[1:], queue.Blocked)
		}
		require.Equal(t, ids, f.runToEnd(t, "work"))
	},
	"a chain that failed in its middle goes on from there": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, chain("work", 10)...)
		for range 4 {
			f.finish(t, f.dequeue(t, "work").Token, `1`)
		}
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.retry(t, ids[4])
		require.Equal(t, ids[4:], f.runToEnd(t, "work"))
		for i, id := range ids {
			require.Equal(t, i >= 4, f.status(t, id).Generation == 1)
		}
	},
}
