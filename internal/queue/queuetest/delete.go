package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func (f *fixture) delete(t *testing.T, id uuid.UUID) {
	t.Helper()
	require.NoError(t, f.Queue().DeleteJob(t.Context(), id))
}

// requireGone requires that nothing finds a job.
func (f *fixture) requireGone(t *testing.T, ids ...uuid.UUID) {
	t.Helper()
	q := f.Queue()
	for _, id := range ids {
		_, err := q.JobStatus(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = q.Job(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = q.Attempts(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = q.DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotExist)
		require.ErrorIs(t, q.CancelJob(t.Context(), id), queue.ErrNotExist)
		require.ErrorIs(t, q.RetryJob(t.Context(), id), queue.ErrNotExist)
		require.ErrorIs(t, q.DeleteJob(t.Context(), id), queue.ErrNotExist)
		require.ErrorIs(t, q.UpdateJob(t.Context(), id, queue.Update{Priority: new(1)}), queue.ErrNotExist)
		_, err = q.Enqueue(t.Context(), []queue.NewJob{{Type: "late", Dependencies: []uuid.UUID{id}}})
		var missing *queue.DependencyError
		require.ErrorAs(t, err, &missing)
	}
	page, err := q.ListJobs(t.Context(), queue.Listing{Limit: queue.MaxPage})
	require.NoError(t, err)
	for i := range page.Jobs {
		require.NotContains(t, ids, page.Jobs[i].Status.ID)
	}
}

var deleteTests = map[string]func(*testing.T, *fixture){
	"only a job that is over can be deleted": func(t *testing.T, f *fixture) {
		running := f.enqueue1(t, "work")
		f.dequeue(t, "work")
		ids := append(f.enqueue(t, queue.NewJob{Type: "work"}, queue.NewJob{Type: "work", RunAt: f.Now().Add(time.Hour)}),
			running, f.enqueue1(t, "work", running))
		for _, id := range ids {
			before := f.status(t, id)
			require.ErrorIs(t, f.Queue().DeleteJob(t.Context(), id), queue.ErrNotOver)
			require.Equal(t, before, f.status(t, id))
		}
		require.ErrorIs(t, f.Queue().DeleteJob(t.Context(), uuid.New()), queue.ErrNotExist)
	},
	"a job that is deleted is gone, however it ended": func(t *testing.T, f *fixture) {
		ids := []uuid.UUID{f.enqueue1(t, "work"), f.enqueue1(t, "work"), f.enqueue1(t, "work")}
		other := f.enqueue1(t, "other")
		finished, failed := f.dequeue(t, "work"), f.dequeue(t, "work")
		f.release(t, finished.Token, 0)
		finished = f.dequeue(t, "work")
		f.beat(t, failed.Token, queue.Beat{PartialResult: args("1")})
		f.finish(t, finished.Token, `"done"`)
		f.fail(t, failed.Token, "broken")
		f.cancel(t, ids[2])
		for _, id := range ids {
			f.delete(t, id)
		}
		for range 2 {
			f.requireGone(t, ids...)
			for _, l := range []queue.Lease{finished, failed} {
				_, err := f.Queue().Lease(t.Context(), l.Token)
				require.ErrorIs(t, err, queue.ErrNotExist)
				_, err = f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, result1(`"done"`))
				require.ErrorIs(t, err, queue.ErrNotExist)
			}
			f.Restart(t)
		}
		f.requireState(t, other, queue.Pending)
	},
	"its unique key can be used": func(t *testing.T, f *fixture) {
		job := queue.NewJob{Type: "work", UniqueKey: "k"}
		id := f.enqueue(t, job)[0]
		f.cancel(t, id)
		again := f.enqueue(t, job)[0]
		f.delete(t, id)
		require.Equal(t, again, f.enqueue(t, job)[0])
	},
	"a dependent that is not over is handed the result all the same": func(t *testing.T, f *fixture) {
		dependency := f.enqueue1(t, "first")
		dependent := f.enqueue1(t, "second", dependency)
		over := f.enqueue1(t, "third", dependency)
		f.finish(t, f.dequeue(t, "first").Token, `"result"`)
		f.cancel(t, over)
		f.delete(t, dependency)
		f.requireGone(t, dependency)
		f.Restart(t)
		f.pruneAll(t, f.Now())
		f.requireGone(t, dependency)
		l := f.dequeue(t, "second")
		want := []queue.Dependency{{ID: dependency, Type: "first", State: queue.Finished, Result: args(`"result"`)}}
		require.Equal(t, want, l.Dependencies)
		f.finish(t, l.Token, "null")
		f.pruneAll(t, f.Now())
		require.Equal(t, []uuid.UUID{dependency}, f.status(t, dependent).Dependencies)
	},
	"a dependent that is over knows how it ended": func(t *testing.T, f *fixture) {
		for _, needed := range []bool{false, true} { // by another dependent, for a while
			failing := f.enqueue1(t, "first")
			succeeding := f.enqueue1(t, "first")
			jobs := []queue.NewJob{
				{Type: "second", Dependencies: []uuid.UUID{succeeding}},
				{Type: "second", Dependencies: []uuid.UUID{failing}},
				{Type: "second", Dependencies: []uuid.UUID{failing, succeeding}, RunIf: queue.AllFinished},
			}
			ids := f.enqueue(t, jobs...)
			f.fail(t, f.dequeue(t, "first").Token, "broken")
			f.finish(t, f.dequeue(t, "first").Token, "1")
			f.fail(t, f.dequeue(t, "second").Token, "broken")
			f.fail(t, f.dequeue(t, "second").Token, "broken")
			var last []uuid.UUID
			if needed {
				last = f.enqueue(t, queue.NewJob{
					Type: "last", Dependencies: []uuid.UUID{failing, succeeding}, RunIf: queue.AllFinished,
				})
			}
			f.delete(t, failing)
			f.delete(t, succeeding)
			require.Equal(t, last, nilIfEmpty(f.runToEnd(t, "last")))
			f.pruneAll(t, f.Now())

			f.retry(t, ids[0])
			require.ErrorIs(t, f.Queue().RetryJob(t.Context(), ids[1]), queue.ErrDependencyFailed)
			f.retry(t, ids[2])
			f.Restart(t)
			want := []queue.Dependency{{ID: succeeding, Type: "first", State: queue.Finished, Deleted: true}}
			l := f.dequeue(t, "second")
			require.Equal(t, want, l.Dependencies)
			f.finish(t, l.Token, "1")
			l = f.dequeue(t, "second")
			want = append([]queue.Dependency{{ID: failing, Type: "first", State: queue.Failed, Deleted: true}}, want...)
			require.Equal(t, want, l.Dependencies)
			f.finish(t, l.Token, "1")
			for _, id := range ids {
				f.delete(t, id)
			}
		}
	},
	"a keyed enqueue whose job was deleted adds nothing": func(t *testing.T, f *fixture) {
		once := queue.Once{Key: "k"}
		jobs := []queue.NewJob{{Type: "work"}}
		enqueued, err := f.Queue().EnqueueOnce(t.Context(), jobs, once)
		require.NoError(t, err)
		f.cancel(t, enqueued[0].ID)
		f.delete(t, enqueued[0].ID)
		_, err = f.Queue().EnqueueOnce(t.Context(), jobs, once)
		require.ErrorIs(t, err, queue.ErrDeleted)
		f.requireNothingReady(t, "work")
		f.Advance(KeysLast)
		_, err = f.Queue().EnqueueOnce(t.Context(), jobs, once)
		require.NoError(t, err)
	},
	"a graph can be deleted in any order": func(t *testing.T, f *fixture) {
		for _, newestFirst := range []bool{false, true} {
			ids := []uuid.UUID{f.enqueue1(t, "work")}
			for range 4 {
				ids = append(ids, f.enqueue1(t, "work", ids...))
			}
			require.Equal(t, ids, f.runToEnd(t, "work"))
			for i := range ids {
				if newestFirst {
					i = len(ids) - 1 - i
				}
				f.delete(t, ids[i])
			}
			f.requireGone(t, ids...)
		}
	},
}

func nilIfEmpty(ids []uuid.UUID) []uuid.UUID {
	if len(ids) == 0 {
		return nil
	}
	return ids
}
