package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// pruneAll makes one round.
func (f *fixture) pruneAll(t *testing.T, before time.Time) {
	t.Helper()
	for range 10_000 {
		done, err := f.Queue().Prune(t.Context(), before)
		require.NoError(t, err)
		if done {
			return
		}
	}
	require.FailNow(t, "pruning does not come to an end")
}

var pruneTests = map[string]func(*testing.T, *fixture){
	"what was over before the time is deleted, and nothing else": func(t *testing.T, f *fixture) {
		old := f.enqueue(t, make100("work")...)
		require.Equal(t, old, f.runToEnd(t, "work"))
		waiting := f.enqueue1(t, "wait")
		later := f.enqueue1(t, "work")
		f.enqueue1(t, "run")
		running := f.dequeue(t, "run")
		f.Advance(time.Hour)
		since := f.Now()
		require.Equal(t, []uuid.UUID{later}, f.runToEnd(t, "work"))

		f.pruneAll(t, since)
		f.requireGone(t, old...)
		f.requireState(t, later, queue.Finished)
		f.requireState(t, waiting, queue.Pending)
		f.finish(t, running.Token, "1")
		f.Restart(t)
		f.pruneAll(t, since)
		f.requireState(t, later, queue.Finished)
		f.Advance(time.Second)
		f.pruneAll(t, f.Now())
		f.requireGone(t, later, running.JobID)
		require.Equal(t, []uuid.UUID{waiting}, f.runToEnd(t, "wait"))
	},
	"a job that a dependent waits with is kept": func(t *testing.T, f *fixture) {
		dependency := f.enqueue1(t, "first")
		f.finish(t, f.dequeue(t, "first").Token, `"result"`)
		dependent := f.enqueue(t, queue.NewJob{
			Type: "second", Dependencies: []uuid.UUID{dependency}, RunAt: f.Now().Add(time.Hour),
		})[0]
		f.Advance(time.Hour)
		f.pruneAll(t, f.Now())
		f.requireState(t, dependency, queue.Finished)
		l := f.dequeue(t, "second")
		require.JSONEq(t, `"result"`, string(l.Dependencies[0].Result))
		f.finish(t, l.Token, "1")
		f.Advance(time.Second)
		f.pruneAll(t, f.Now())
		f.requireGone(t, dependency, dependent)
	},
	"a job with many dependents is pruned": func(t *testing.T, f *fixture) {
		root := f.enqueue1(t, "root")
		jobs := make100("leaf")
		for i := range jobs {
			jobs[i].Dependencies = []uuid.UUID{root}
		}
		leaves := f.enqueue(t, jobs...)
		f.finish(t, f.dequeue(t, "root").Token, "1")
		f.Advance(time.Second)
		since := f.Now()
		require.Equal(t, leaves, f.runToEnd(t, "leaf"))
		f.pruneAll(t, since)
		f.requireGone(t, root)
		f.pruneAll(t, since) // what was hidden is purged by the next round
		f.Restart(t)
		f.requireStates(t, leaves, queue.Finished)
		f.Advance(time.Second)
		f.pruneAll(t, f.Now())
		f.requireGone(t, leaves...)
	},
	"a job with many dependents is pruned together with one that it depends on and that comes later": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "middle", Needs: []queue.Need{{Name: "root"}}}, queue.NewJob{Name: "root", Type: "root"})
		f.finish(t, f.dequeue(t, "root").Token, "1")
		jobs := make100("leaf")
		for i := range jobs {
			jobs[i].Dependencies = ids[:1]
		}
		leaves := f.enqueue(t, jobs...)
		f.finish(t, f.dequeue(t, "middle").Token, "1")
		require.Equal(t, leaves, f.runToEnd(t, "leaf"))
		f.Advance(time.Second)
		f.pruneAll(t, f.Now())
		f.requireGone(t, append(ids, leaves...)...)
		f.Restart(t) // which audits the store
	},
	"a job that is retried in time is kept": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.Advance(time.Hour)
		f.retry(t, id)
		f.pruneAll(t, f.Now())
		require.Equal(t, []uuid.UUID{id}, f.runToEnd(t, "work"))
		f.pruneAll(t, f.Now())
		f.requireState(t, id, queue.Finished)
	},
}
