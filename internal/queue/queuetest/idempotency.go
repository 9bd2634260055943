package queuetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// once makes a call with a key and a body.
func once(key, body string) queue.Once {
	return queue.Once{Key: key, Digest: sha256.Sum256([]byte(body))}
}

var idempotencyTests = map[string]func(*testing.T, *fixture){
	"the same call again is answered the same and adds nothing": func(t *testing.T, f *fixture) {
		jobs := []queue.NewJob{{Name: "a", Type: "work"}, {Type: "work", Needs: needs("a"), Delay: time.Minute}}
		first := f.enqueueOnce(t, once("k", "1"), jobs...)
		require.Equal(t, repeated(first), f.enqueueOnce(t, once("k", "1"), jobs...))
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		f.cancel(t, first[1].ID)
		require.Equal(t, repeated(first), f.enqueueOnce(t, once("k", "1"), jobs...), "as they were then")
		f.requireNothingReady(t, "work")
		require.Len(t, f.list(t, 10), 2)
	},
	"what a call was answered is found by its key alone": func(t *testing.T, f *fixture) {
		found, err := f.Queue().EnqueuedOnce(t.Context(), once("k", "1"))
		require.NoError(t, err)
		require.Nil(t, found)
		jobs := []queue.NewJob{{Name: "a", Type: "work"}, {Type: "work", Needs: needs("a"), Delay: time.Minute}}
		first := f.enqueueOnce(t, once("k", "1"), jobs...)
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		f.Restart(t)
		found, err = f.Queue().EnqueuedOnce(t.Context(), once("k", "1"))
		require.NoError(t, err)
		require.Equal(t, repeated(first), found)
		plain := f.enqueueOnce(t, once("plain", "1"), queue.NewJob{Type: "work"})
		found, err = f.Queue().EnqueuedOnce(t.Context(), once("plain", "1"))
		require.NoError(t, err)
		require.Equal(t, repeated(plain), found)
		_, err = f.Queue().EnqueuedOnce(t.Context(), once("k", "2"))
		require.ErrorIs(t, err, queue.ErrKeyReused)
		f.Advance(KeysLast)
		found, err = f.Queue().EnqueuedOnce(t.Context(), once("k", "2"))
		require.NoError(t, err)
		require.Nil(t, found, "it is forgotten")
		require.Len(t, f.list(t, 10), 3)
	},
	"what a call was answered is found while its job is worked on": func(t *testing.T, f *fixture) {
		for i := range 50 {
			call := once(fmt.Sprint(i), "1")
			first := f.enqueueOnce(t, call, queue.NewJob{Type: "work"})
			var group errgroup.Group
			group.Go(func() error {
				l, err := f.Queue().Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"work"}})
				if err == nil {
					_, err = f.Queue().RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
				}
				return err
			})
			for range 5 {
				found, err := f.Queue().EnqueuedOnce(t.Context(), call)
				require.NoError(t, err)
				require.Equal(t, repeated(first), found)
			}
			require.NoError(t, group.Wait())
		}
	},
	"the answer is remembered over a restart": func(t *testing.T, f *fixture) {
		jobs := []queue.NewJob{{Type: "work", Priority: 3, ExpiresAt: f.Now().Add(time.Hour)}, {Type: "work"}}
		first := f.enqueueOnce(t, once("k", "1"), jobs...)
		f.Restart(t)
		require.Equal(t, repeated(first), f.enqueueOnce(t, once("k", "1"), jobs...))
		f.requireKeyReused(t, once("k", "2"), jobs...)
		require.Len(t, f.runToEnd(t, "work"), 2)
	},
	"another call with the key is refused": func(t *testing.T, f *fixture) {
		job := queue.NewJob{Type: "work"}
		f.enqueueOnce(t, once("k", "1"), job)
		f.requireKeyReused(t, once("k", "2"), job)
		f.requireKeyReused(t, queue.Once{Key: "k"}, job)
		require.Len(t, f.runToEnd(t, "work"), 1)
		f.enqueueOnce(t, once("k2", "1"), job)
		require.Len(t, f.runToEnd(t, "work"), 1, "another key is another call")
	},
	"without a key every call counts": func(t *testing.T, f *fixture) {
		for range 2 {
			f.enqueueOnce(t, queue.Once{}, queue.NewJob{Type: "work"})
		}
		require.Len(t, f.runToEnd(t, "work"), 2)
	},
	"a refused call has not used its key": func(t *testing.T, f *fixture) {
		for _, refused := range []queue.NewJob{
			{Type: "?"}, {Type: "work", Needs: needs("who")}, {Type: "work", Dependencies: []uuid.UUID{uuid.New()}},
		} {
			_, err := f.Queue().EnqueueOnce(t.Context(), []queue.NewJob{refused}, once("k", "wrong"))
			require.Error(t, err)
		}
		f.enqueueOnce(t, once("k", "right"), queue.NewJob{Type: "work"})
		require.Len(t, f.runToEnd(t, "work"), 1)
	},
	"what existed is said again": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, unique("work"))[0]
		first := f.enqueueOnce(t, once("k", "1"), unique("work"))
		require.Equal(t, id, first[0].ID)
		require.True(t, first[0].Existing)
		f.runToEnd(t, "work")
		require.Equal(t, repeated(first), f.enqueueOnce(t, once("k", "1"), unique("work")), "although it is over by now")
		f.requireNothingReady(t, "work")
	},
	"a key is forgotten after its time": func(t *testing.T, f *fixture) {
		job := queue.NewJob{Type: "work"}
		first := f.enqueueOnce(t, once("k", "1"), job)
		f.Advance(KeysLast - time.Microsecond)
		require.Equal(t, repeated(first), f.enqueueOnce(t, once("k", "1"), job), "a repetition does not prolong it")
		f.requireKeyReused(t, once("k", "2"), job)
		f.Advance(time.Microsecond)
		second := f.enqueueOnce(t, once("k", "2"), job)
		require.NotEqual(t, first[0].ID, second[0].ID)
		f.Advance(KeysLast - time.Microsecond)
		require.Equal(t, repeated(second), f.enqueueOnce(t, once("k", "2"), job), "it has a time of its own")
		require.Len(t, f.runToEnd(t, "work"), 2)
	},
	"many keys are forgotten, each in its time": func(t *testing.T, f *fixture) {
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		for _, key := range keys {
			f.enqueueOnce(t, once(key, "1"), queue.NewJob{Type: "work"})
			f.Advance(time.Hour)
		}
		f.Restart(t)
		f.Advance(KeysLast - 4*time.Hour)
		for i, key := range keys {
			enqueued := f.enqueueOnce(t, once(key, "1"), queue.NewJob{Type: "work"})
			require.Equal(t, i < 5, enqueued[0].Queued.Equal(f.Now()), "key %s", key)
		}
	},
	"of many at once one adds, and the others are told the same or to wait": func(t *testing.T, f *fixture) {
		const callers = 20
		answers := make([][]queue.Enqueued, callers)
		var group errgroup.Group
		for i := range answers {
			group.Go(func() error {
				enqueued, err := f.Queue().EnqueueOnce(t.Context(), []queue.NewJob{{Type: "work"}}, once("k", "1"))
				if errors.Is(err, queue.ErrKeyInUse) {
					return nil
				}
				answers[i] = enqueued
				return err
			})
		}
		require.NoError(t, group.Wait())
		last := f.enqueueOnce(t, once("k", "1"), queue.NewJob{Type: "work"})
		first := 0
		for _, answer := range answers {
			if answer != nil {
				require.Equal(t, last, repeated(answer))
				if !answer[0].Repeated {
					first++
				}
			}
		}
		require.Equal(t, 1, first)
		require.Len(t, f.runToEnd(t, "work"), 1)
	},
}

// repeated returns what a call is answered that is made again, by what it was answered.
func repeated(first []queue.Enqueued) []queue.Enqueued {
	again := slices.Clone(first)
	for i := range again {
		again[i].Repeated = true
	}
	return again
}

func (f *fixture) enqueueOnce(t *testing.T, once queue.Once, jobs ...queue.NewJob) []queue.Enqueued {
	t.Helper()
	enqueued, err := f.Queue().EnqueueOnce(context.Background(), jobs, once)
	require.NoError(t, err)
	require.Len(t, enqueued, len(jobs))
	return enqueued
}

func (f *fixture) requireKeyReused(t *testing.T, once queue.Once, jobs ...queue.NewJob) {
	t.Helper()
	_, err := f.Queue().EnqueueOnce(t.Context(), jobs, once)
	require.ErrorIs(t, err, queue.ErrKeyReused)
}
