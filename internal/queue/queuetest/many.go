package queuetest

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var manyTests = map[string]func(*testing.T, *fixture){
	"many jobs are canceled, and none that is over": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:6]...)
		finished, running := f.dequeue(t, "work"), f.dequeue(t, "work")
		f.finish(t, finished.Token, "1")
		f.cancel(t, ids[5])
		dependent := f.enqueue1(t, "next", ids[2], ids[3])
		changed, err := f.Queue().CancelJobs(t.Context(), append(slices.Clone(ids), uuid.New(), dependent))
		require.NoError(t, err)
		require.Equal(t, 5, changed)
		f.requireState(t, ids[0], queue.Finished)
		f.requireStates(t, ids[1:], queue.Canceled)
		f.requireState(t, dependent, queue.Canceled)
		require.True(t, f.beat(t, running.Token, queue.Beat{}).Canceled)
		f.Restart(t)
		changed, err = f.Queue().CancelJobs(t.Context(), ids)
		require.NoError(t, err)
		require.Zero(t, changed, "again it changes nothing")
		f.requireNothingReady(t, "work", "next")
	},
	"a chain is canceled in one change": func(t *testing.T, f *fixture) {
		for _, newestFirst := range []bool{false, true} {
			ids := []uuid.UUID{f.enqueue1(t, "work")}
			for range 6 {
				ids = append(ids, f.enqueue1(t, "work", ids[len(ids)-1]))
			}
			order := slices.Clone(ids)
			if newestFirst {
				slices.Reverse(order)
			}
			changed, err := f.Queue().CancelJobs(t.Context(), order)
			require.NoError(t, err)
			require.Equal(t, len(ids), changed)
			f.requireStates(t, ids, queue.Canceled)
		}
	},
	"many jobs are deleted, and none that is not over": func(t *testing.T, f *fixture) {
		for _, newestFirst := range []bool{false, true} {
			ids := []uuid.UUID{f.enqueue1(t, "work")}
			for range 5 {
				ids = append(ids, f.enqueue1(t, "work", ids...))
			}
			require.Equal(t, ids, f.runToEnd(t, "work"))
			waiting := f.enqueue1(t, "wait", ids[1])
			order := append(slices.Clone(ids), waiting, uuid.New(), ids[0])
			if newestFirst {
				slices.Reverse(order)
			}
			changed, err := f.Queue().DeleteJobs(t.Context(), order)
			require.NoError(t, err)
			require.Equal(t, len(ids), changed)
			f.requireGone(t, ids...)
			f.requireState(t, waiting, queue.Pending)
			f.Restart(t)
			l := f.dequeue(t, "wait")
			require.Equal(t, queue.Finished, l.Dependencies[0].State)
			require.False(t, l.Dependencies[0].Deleted)
			f.finish(t, l.Token, "1")
			f.pruneAll(t, f.Now())
		}
	},
	"a step has a bound": func(t *testing.T, f *fixture) {
		for _, call := range []func(ids []uuid.UUID) (int, error){
			func(ids []uuid.UUID) (int, error) { return f.Queue().CancelJobs(t.Context(), ids) },
			func(ids []uuid.UUID) (int, error) { return f.Queue().DeleteJobs(t.Context(), ids) },
		} {
			_, err := call(make([]uuid.UUID, queue.MaxStep+1))
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid)
			changed, err := call(make([]uuid.UUID, queue.MaxStep))
			require.NoError(t, err)
			require.Zero(t, changed)
		}
	},
}
