package queuetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var dependencyTests = map[string]func(*testing.T, *fixture){
	"fan-in: a job runs when all are over, and is handed their results in order": func(t *testing.T, f *fixture) {
		var dependencies []uuid.UUID
		for i := range 20 {
			dependencies = append(dependencies, f.enqueue1(t, fmt.Sprintf("part-%d", i)))
		}
		for i := range dependencies[:10] { // an order that is not that of their creation
			dependencies[i], dependencies[19-i] = dependencies[19-i], dependencies[i]
		}
		merge := f.enqueue1(t, "merge", dependencies...)
		require.Equal(t, dependencies, f.status(t, merge).Dependencies, "ORIGIN 6: order is kept")
		for i := range dependencies {
			f.requireState(t, merge, queue.Blocked)
			f.requireNothingReady(t, "merge")
			f.finish(t, f.dequeue(t, fmt.Sprintf("part-%d", i)).Token, fmt.Sprint(i))
		}
		l := f.dequeue(t, "merge")
		require.Len(t, l.Dependencies, 20)
		for i, d := range l.Dependencies {
			want := queue.Dependency{ID: dependencies[i], Type: fmt.Sprintf("part-%d", 19-i), State: queue.Finished, Result: args("%d", 19-i)}
			require.Equal(t, want, d)
		}
	},
	"fan-out: all dependents are released, in the order they were added": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		var dependents []uuid.UUID
		for range 6 {
			jobs := make100("second")
			for i := range jobs {
				jobs[i].Dependencies = []uuid.UUID{first}
			}
			dependents = append(dependents, f.enqueue(t, jobs...)...)
		}
		require.Equal(t, dependents, f.status(t, first).Dependents)
		f.requireNothingReady(t, "second")
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		require.Equal(t, dependents, f.runToEnd(t, "second"))
	},
	"diamond": func(t *testing.T, f *fixture) {
		top := f.enqueue1(t, "work")
		left, right := f.enqueue1(t, "work", top), f.enqueue1(t, "work", top)
		bottom := f.enqueue1(t, "work", left, right)
		require.Equal(t, []uuid.UUID{top, left, right, bottom}, f.runToEnd(t, "work"))
	},
	"a dependency that is over already does not block": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		second := f.enqueue1(t, "second", first)
		f.requireState(t, second, queue.Pending)
		require.Equal(t, []uuid.UUID{second}, f.status(t, first).Dependents)
		require.Equal(t, second, f.dequeue(t, "second").JobID)
	},
	"some over already, some not": func(t *testing.T, f *fixture) {
		done, open := f.enqueue1(t, "first"), f.enqueue1(t, "first")
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		second := f.enqueue1(t, "second", open, done)
		f.requireState(t, second, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `2`)
		l := f.dequeue(t, "second")
		require.Equal(t, []string{"2", "1"}, []string{string(l.Dependencies[0].Result), string(l.Dependencies[1].Result)})
	},
	// ORIGIN 9.
	"a dependency named twice counts once": func(t *testing.T, f *fixture) {
		a, b := f.enqueue1(t, "first"), f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", b, a, b)
		require.Equal(t, []uuid.UUID{b, a}, f.status(t, second).Dependencies)
		require.Equal(t, []uuid.UUID{second}, f.status(t, b).Dependents)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.requireState(t, second, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.dequeue(t, "second")
		f.requireNothingReady(t, "second")
	},
	// ORIGIN 11.
	"a failure fails the dependents, transitively and at once": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		third := f.enqueue1(t, "third", second)
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		for id, cause := range map[uuid.UUID]uuid.UUID{second: first, third: second} {
			status := f.status(t, id)
			require.Equal(t, queue.Failed, status.State)
			require.Equal(t, queue.ReasonDependencyFailed, status.Error.Reason)
			require.JSONEq(t, fmt.Sprintf(`{"dependency": %q}`, cause), string(status.Error.Details))
			require.False(t, status.Finished.IsZero())
			require.Zero(t, status.Attempt)
		}
		f.requireNothingReady(t, "second", "third")
	},
	"all_finished runs whatever became of them": func(t *testing.T, f *fixture) {
		failed, canceled, finished := f.enqueue1(t, "first"), f.enqueue1(t, "first"), f.enqueue1(t, "first")
		id := f.enqueue(t, queue.NewJob{
			Type: "second", Dependencies: []uuid.UUID{canceled, failed, finished}, RunIf: queue.AllFinished,
		})[0]
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		f.cancel(t, canceled)
		f.requireState(t, id, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		require.Equal(t, []queue.Dependency{
			{ID: canceled, Type: "first", State: queue.Canceled},
			{ID: failed, Type: "first", State: queue.Failed, Error: &queue.JobError{Reason: "broken"}},
			{ID: finished, Type: "first", State: queue.Finished, Result: args("1")},
		}, f.dequeue(t, "second").Dependencies)
	},
	"a dependency that failed or was canceled already decides at once": func(t *testing.T, f *fixture) {
		failed, canceled := f.enqueue1(t, "first"), f.enqueue1(t, "first")
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		f.cancel(t, canceled)
		f.requireState(t, f.enqueue1(t, "second", failed), queue.Failed)
		f.requireState(t, f.enqueue1(t, "second", canceled), queue.Canceled)
		f.requireState(t, f.enqueue1(t, "second", canceled, failed), queue.Canceled)
		f.requireState(t, f.enqueue1(t, "second", failed, canceled), queue.Failed)
		f.requireState(t, f.enqueue1(t, "second", f.enqueue1(t, "open"), failed), queue.Failed)
		f.requireNothingReady(t, "second")
		finished := f.enqueue(t, queue.NewJob{Type: "third", Dependencies: []uuid.UUID{failed, canceled}, RunIf: queue.AllFinished})[0]
		f.requireState(t, finished, queue.Pending)
	},
	"the first dependency to end badly decides": func(t *testing.T, f *fixture) {
		a, b := f.enqueue1(t, "first"), f.enqueue1(t, "first")
		id := f.enqueue1(t, "second", a, b)
		f.cancel(t, b)
		before := f.status(t, id)
		require.Equal(t, queue.Canceled, before.State)
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		require.Equal(t, before, f.status(t, id))
	},
	"a job lost for good fails its dependents": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		f.lose(t, f.dequeue(t, "first").Token, 0)
		f.requireState(t, second, queue.Failed)
	},
	"a dependent that settles its own dependents in between is told once, as all others": func(t *testing.T, f *fixture) {
		root, other := f.enqueue1(t, "root"), f.enqueue1(t, "other")
		jobs := []queue.NewJob{{Type: "follower", Dependencies: []uuid.UUID{root}}}
		for range 600 {
			jobs = append(jobs, queue.NewJob{Type: "work", Dependencies: []uuid.UUID{root, other}, RunIf: queue.AllFinished})
		}
		ids := f.enqueue(t, jobs...)
		f.enqueue1(t, "follower", ids[0])
		f.cancel(t, root)
		f.requireNothingReady(t, "work")
		f.requireState(t, ids[0], queue.Canceled)
		f.finish(t, f.dequeue(t, "other").Token, `1`)
		require.Equal(t, ids[1:], f.runToEnd(t, "work"))
	},
	"two dependencies that one failure ends are both counted": func(t *testing.T, f *fixture) {
		root := f.enqueue1(t, "root")
		a, b := f.enqueue1(t, "follower", root), f.enqueue1(t, "follower", root)
		id := f.enqueue(t, queue.NewJob{Type: "work", Dependencies: []uuid.UUID{a, b}, RunIf: queue.AllFinished})[0]
		f.fail(t, f.dequeue(t, "root").Token, "broken")
		require.Equal(t, id, f.dequeue(t, "work").JobID)
	},
	"a lease holds a bounded amount of results": func(t *testing.T, f *fixture) {
		const parts = 17
		size := queue.MaxDependencyBytes / (parts - 1)
		result := `"` + strings.Repeat("x", size-2) + `"`
		ids := make([]uuid.UUID, parts)
		for i := range ids {
			ids[i] = f.enqueue1(t, "part")
			f.finish(t, f.dequeue(t, "part").Token, result)
		}
		most, another := f.enqueue1(t, "merge", ids[1:]...), f.enqueue1(t, "merge", ids[1:]...)
		batch, err := f.Queue().DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"merge"}}, Max: 2})
		require.NoError(t, err)
		require.Len(t, batch.Leases, 1, "what is withheld counts as well")
		require.Equal(t, most, batch.Leases[0].JobID)
		f.cancel(t, another)

		tooMany := f.enqueue1(t, "merge", ids...)
		next := f.enqueue1(t, "merge")
		require.Equal(t, next, f.dequeue(t, "merge").JobID, "it holds up nobody")
		status := f.status(t, tooMany)
		require.Equal(t, queue.Failed, status.State)
		require.Equal(t, queue.ReasonDependenciesTooLarge, status.Error.Reason)

		tooMany = f.enqueue1(t, "merge", ids...)
		_, err = f.Queue().DequeueByID(t.Context(), tooMany, queue.Holder{}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotPending)
		f.requireState(t, tooMany, queue.Failed)
	},
	"results too large for a lease are withheld until the whole of it is asked for": func(t *testing.T, f *fixture) {
		result := `"` + strings.Repeat("x", queue.MaxLeaseResults/2-2) + `"`
		ids := make([]uuid.UUID, 3)
		for i := range ids {
			ids[i] = f.enqueue1(t, "part")
			f.finish(t, f.dequeue(t, "part").Token, result)
		}
		small := f.enqueue1(t, "merge", ids[:2]...)
		l := f.dequeue(t, "merge")
		require.Equal(t, small, l.JobID)
		require.Zero(t, l.Withheld)
		require.Len(t, l.Dependencies, 2)
		f.finish(t, l.Token, `1`)

		large := f.enqueue1(t, "merge", ids...)
		request := queue.DequeueRequest{Types: []string{"merge"}, Once: once("k", "1")}
		requireWithheld := func(how string, l queue.Lease, err error) {
			require.NoError(t, err, how)
			require.Equal(t, large, l.JobID, how)
			require.Equal(t, int64(3*len(result)), l.Withheld, how)
			require.Nil(t, l.Dependencies, how)
		}
		for _, how := range []string{"for the first time", "again"} {
			var err error
			l, err = f.Queue().Dequeue(t.Context(), request)
			requireWithheld(how, l, err)
		}
		held, err := f.Queue().Lease(t.Context(), l.Token)
		requireWithheld("Lease", held, err)
		whole, err := f.Queue().WholeLease(t.Context(), l.Token)
		require.NoError(t, err)
		require.Zero(t, whole.Withheld)
		require.Equal(t, l.Token, whole.Token)
		require.Len(t, whole.Dependencies, 3)
		for i, d := range whole.Dependencies {
			require.Equal(t, ids[i], d.ID)
			require.Equal(t, result, string(d.Result))
		}
		f.release(t, l.Token, 0)

		batch, err := f.Queue().DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"merge"}}, Max: 2})
		require.NoError(t, err)
		require.Len(t, batch.Leases, 1)
		requireWithheld("DequeueBatch", batch.Leases[0], nil)
		f.release(t, batch.Leases[0].Token, 0)
		l, err = f.Queue().DequeueByID(t.Context(), large, queue.Holder{}, queue.Once{})
		requireWithheld("DequeueByID", l, err)

		f.cancel(t, large)
		whole, err = f.Queue().WholeLease(t.Context(), l.Token)
		require.NoError(t, err)
		require.True(t, whole.Canceled)
		require.Len(t, whole.Dependencies, 3)
		_, err = f.Queue().WholeLease(t.Context(), batch.Leases[0].Token)
		require.ErrorIs(t, err, queue.ErrLeaseLost)
		_, err = f.Queue().WholeLease(t.Context(), uuid.New())
		require.ErrorIs(t, err, queue.ErrNotExist)
	},
	"a requeued dependency is not over": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		f.lose(t, f.dequeue(t, "first").Token, 1)
		f.requireState(t, second, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.requireState(t, second, queue.Pending)
	},
	"a deep chain runs, and fails, to its end": func(t *testing.T, f *fixture) {
		chain := func() []uuid.UUID {
			ids := []uuid.UUID{f.enqueue1(t, "link")}
			for len(ids) < 1000 {
				ids = append(ids, f.enqueue1(t, "link", ids[len(ids)-1]))
			}
			return ids
		}
		ids := chain()
		require.Equal(t, ids, f.runToEnd(t, "link"))
		ids = chain()
		f.fail(t, f.dequeue(t, "link").Token, "broken")
		for _, id := range ids {
			f.requireState(t, id, queue.Failed)
		}
	},
	"a wide layered graph is settled by one failure": func(t *testing.T, f *fixture) {
		root := f.enqueue1(t, "work")
		layer := []uuid.UUID{root}
		var all []uuid.UUID
		for range 4 {
			jobs := make100("work")
			for i := range jobs {
				jobs[i].Dependencies = layer
			}
			layer = f.enqueue(t, jobs...)
			all = append(all, layer...)
		}
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		for _, id := range all {
			f.requireState(t, id, queue.Failed)
		}
		f.requireNothingReady(t, "work")
	},
}
