package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// unique is a job that only one of its lane may be like.
func unique(jobType string) queue.NewJob { return queue.NewJob{Type: jobType, UniqueKey: "k"} }

var uniqueTests = map[string]func(*testing.T, *fixture){
	"a second one is the first": func(t *testing.T, f *fixture) {
		job := unique("build")
		job.Args = args(`"first"`)
		id := f.enqueue(t, job)[0]
		dependent := f.enqueue1(t, "later", id)
		before := f.status(t, id)
		job.Args, job.Priority, job.Dependencies = args(`"second"`), 9, []uuid.UUID{dependent}
		enqueued, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{job})
		require.NoError(t, err)
		want := before
		want.Dependents = nil // of which there may be many
		require.Equal(t, []queue.Enqueued{{Status: want, Existing: true}}, enqueued)
		require.Equal(t, before, f.status(t, id), "nothing about it has changed")
		require.Equal(t, `"first"`, string(f.dequeue(t, "build").Args))
		f.requireNothingReady(t, "build")
	},
	"a key is one of its channel and type": func(t *testing.T, f *fixture) {
		other, channel, none := unique("build"), unique("build"), queue.NewJob{Type: "build"}
		other.UniqueKey, channel.Channel = "k2", "x"
		f.requireExisting(t, []bool{false, false, false, false, false, false, true},
			unique("build"), unique("test"), other, channel, none, none, unique("build"))
	},
	"it is held for as long as the job is not over": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		job := unique("build")
		job.Dependencies, job.Delay = []uuid.UUID{first}, time.Minute
		job.Retry = &queue.RetryPolicy{MaxAttempts: 2, Initial: time.Minute, Factor: 1, Max: time.Minute}
		id := f.enqueue(t, job)[0]
		held := func(state queue.State) {
			t.Helper()
			f.requireState(t, id, state)
			require.Equal(t, []uuid.UUID{id}, f.requireExisting(t, []bool{true}, unique("build")))
		}
		held(queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		held(queue.Scheduled)
		f.Advance(time.Minute)
		held(queue.Pending)
		l := f.dequeue(t, "build")
		held(queue.Running)
		f.lose(t, l.Token, 1)
		held(queue.Pending)
		f.release(t, f.dequeue(t, "build").Token, time.Second)
		held(queue.Scheduled)
		f.Advance(time.Second)
		f.report(t, f.dequeue(t, "build").Token, retryable("broken"))
		held(queue.Scheduled)
		f.Restart(t)
		held(queue.Scheduled)
		f.Advance(time.Minute)
		f.finish(t, f.dequeue(t, "build").Token, `1`)
		f.requireExisting(t, []bool{false}, unique("build"))
	},
	"it is free however the job ended": func(t *testing.T, f *fixture) {
		short := unique("build")
		short.Timeout, short.ExpiresAt = time.Second, f.Now().Add(time.Hour)
		for name, end := range map[string]func(id uuid.UUID){
			"finished":         func(uuid.UUID) { f.finish(t, f.dequeue(t, "build").Token, `1`) },
			"failed":           func(uuid.UUID) { f.fail(t, f.dequeue(t, "build").Token, "broken") },
			"lost":             func(uuid.UUID) { f.lose(t, f.dequeue(t, "build").Token, 0) },
			"canceled":         func(id uuid.UUID) { f.cancel(t, id) },
			"canceled running": func(uuid.UUID) { f.cancel(t, f.dequeue(t, "build").JobID) },
			"timed out": func(uuid.UUID) {
				f.dequeue(t, "build")
				f.Advance(time.Second)
			},
		} {
			id := f.enqueue(t, short)[0]
			end(id)
			require.True(t, f.status(t, id).State.Over(), name)
			ids := f.requireExisting(t, []bool{false}, unique("build"))
			f.cancel(t, ids[0])
		}
		f.enqueue(t, short)
		f.Advance(time.Hour)
		f.requireExisting(t, []bool{false}, unique("build"))

		root := f.enqueue1(t, "root")
		job := unique("dependent")
		job.Dependencies = []uuid.UUID{root}
		id := f.enqueue(t, job)[0]
		f.cancel(t, root)
		f.requireState(t, id, queue.Canceled)
		f.requireExisting(t, []bool{false}, unique("dependent"))
	},
	"one that is over at once does not hold it": func(t *testing.T, f *fixture) {
		dead := f.enqueue1(t, "dead")
		f.cancel(t, dead)
		over, expired := unique("build"), unique("build")
		over.Dependencies, expired.ExpiresAt = []uuid.UUID{dead}, f.Now()
		ids := f.requireExisting(t, []bool{false, false, false, true}, over, expired, unique("build"), unique("build"))
		require.Equal(t, ids[2], ids[3])
		require.Equal(t, ids[2:3], f.runToEnd(t, "build"))
	},
	"two of one call are one job": func(t *testing.T, f *fixture) {
		left, right := unique("part"), unique("part")
		left.Name, right.Name = "left", "right"
		ids := f.requireExisting(t, []bool{false, true, false}, left, right, queue.NewJob{Type: "merge", Needs: needs("right")})
		require.Equal(t, ids[0], ids[1])
		f.finish(t, f.dequeue(t, "part").Token, `1`)
		require.Equal(t,
			[]queue.Dependency{{ID: ids[0], Name: "right", Type: "part", State: queue.Finished, Result: args(`1`)}},
			f.dequeue(t, "merge").Dependencies)
		f.requireNothingReady(t, "part")
	},
	"a job that needs its own twin is that twin": func(t *testing.T, f *fixture) {
		for _, middle := range [][]queue.NewJob{nil, {{Name: "middle", Type: "middle", Needs: needs("twin")}}} {
			twin, job := unique("work"), unique("work")
			twin.Name, job.Needs = "twin", needs("twin")
			if middle != nil {
				job.Needs = needs("middle")
			}
			jobs := append(append([]queue.NewJob{job}, middle...), twin)
			enqueued, err := f.Queue().Enqueue(t.Context(), jobs)
			require.NoError(t, err)
			last := len(enqueued) - 1
			require.Equal(t, enqueued[last].ID, enqueued[0].ID)
			require.True(t, enqueued[0].Existing)
			require.False(t, enqueued[last].Existing)
			require.Len(t, f.runToEnd(t, "work", "middle"), last, "nobody waits for himself")
		}
	},
	"needs of one that existed depend on that": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, unique("part"))[0]
		l := f.dequeue(t, "part")
		part := unique("part")
		part.Name = "part"
		ids := f.requireExisting(t, []bool{false, true}, queue.NewJob{Type: "merge", Needs: needs("part")}, part)
		require.Equal(t, id, ids[1])
		require.Equal(t, []uuid.UUID{id}, f.status(t, ids[0]).Dependencies)
		require.Equal(t, ids[:1], f.status(t, id).Dependents)
		f.requireState(t, ids[0], queue.Blocked)
		f.finish(t, l.Token, `1`)
		require.Equal(t,
			[]queue.Dependency{{ID: id, Name: "part", Type: "part", State: queue.Finished, Result: args(`1`)}},
			f.dequeue(t, "merge").Dependencies)
	},
	"needs that come to one job count once, as strictly as any of them says": func(t *testing.T, f *fixture) {
		a, b := unique("part"), unique("part")
		a.Name, b.Name = "a", "b"
		merge := queue.NewJob{Type: "merge", Needs: []queue.Need{{Name: "a", If: queue.IfOver}, {Name: "b", If: queue.IfSucceeded}}}
		ids := f.requireExisting(t, []bool{false, true, false}, a, b, merge)
		require.Equal(t, ids[:1], f.status(t, ids[2]).Dependencies)
		f.fail(t, f.dequeue(t, "part").Token, "broken")
		f.requireCause(t, ids[2], ids[0])
	},
	"a refused call leaves keys alone": func(t *testing.T, f *fixture) {
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{unique("build"), {Type: "build", Dependencies: []uuid.UUID{uuid.New()}}})
		require.ErrorIs(t, err, queue.ErrNotExist)
		f.requireExisting(t, []bool{false}, unique("build"))
	},
	"of many at once one is added": func(t *testing.T, f *fixture) {
		const callers = 20
		answers := make([][]queue.Enqueued, callers)
		var group errgroup.Group
		for i := range answers {
			group.Go(func() (err error) {
				answers[i], err = f.Queue().Enqueue(t.Context(), []queue.NewJob{unique("build"), unique("build")})
				return err
			})
		}
		require.NoError(t, group.Wait())
		added := 0
		for _, answer := range answers {
			for _, enqueued := range answer {
				require.Equal(t, answers[0][0].ID, enqueued.ID)
				if !enqueued.Existing {
					added++
				}
			}
		}
		require.Equal(t, 1, added)
		require.Len(t, f.runToEnd(t, "build"), 1)
	},
}

// requireExisting enqueues jobs and requires which of them exist already.
func (f *fixture) requireExisting(t *testing.T, want []bool, jobs ...queue.NewJob) []uuid.UUID {
	t.Helper()
	enqueued, err := f.Queue().Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.Len(t, enqueued, len(jobs))
	for i := range enqueued {
		require.Equal(t, want[i], enqueued[i].Existing, "job %d exists", i)
	}
	return idsOf(enqueued)
}
