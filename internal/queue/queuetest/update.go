package queuetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

var updateTests = map[string]func(*testing.T, *fixture){
	"what changes nothing is no new version": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Priority: 6})[0]
		before := f.status(t, id)
		f.update(t, id, queue.Update{})
		f.update(t, id, queue.Update{Priority: new(6)})
		require.Equal(t, before, f.status(t, id))
		f.update(t, id, queue.Update{Priority: new(7)})
		require.Greater(t, f.status(t, id).Version, before.Version)
	},
	"priority moves a pending job, and back": func(t *testing.T, f *fixture) {
		ids := f.enqueuePriorities(t, 0, 0, 0, 0)
		f.update(t, ids[2], queue.Update{Priority: new(5)})
		f.update(t, ids[3], queue.Update{Priority: new(6)})
		f.update(t, ids[0], queue.Update{Priority: new(-1)})
		f.update(t, ids[3], queue.Update{Priority: new(0)})
		require.Equal(t, []int{-1, 0, 5, 0}, []int{
			f.status(t, ids[0]).Priority, f.status(t, ids[1]).Priority, f.status(t, ids[2]).Priority, f.status(t, ids[3]).Priority,
		})
		require.Equal(t, pick(ids, 2, 1, 3, 0), f.runToEnd(t, "work"))
	},
	"priority moves jobs within a long backlog": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 3 {
			ids = append(ids, f.enqueue(t, make100("work")...)...)
		}
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		for i := 250; i < 260; i++ {
			f.update(t, ids[i], queue.Update{Priority: new(1)})
		}
		for i := 1; i < 11; i++ {
			f.update(t, ids[i], queue.Update{Priority: new(-1)})
		}
		want := append([]uuid.UUID(nil), ids[250:260]...)
		want = append(append(append(want, ids[11:250]...), ids[260:]...), ids[1:11]...)
		require.Equal(t, want, f.runToEnd(t, "work"))
	},
	"priority counts once a job that waits is ready": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		ids := f.enqueue(t, queue.NewJob{Type: "work"},
			queue.NewJob{Type: "work", Dependencies: []uuid.UUID{first}}, queue.NewJob{Type: "work", Delay: time.Hour})
		f.update(t, ids[1], queue.Update{Priority: new(1)})
		f.update(t, ids[2], queue.Update{Priority: new(2)})
		f.requireState(t, ids[1], queue.Blocked)
		f.requireState(t, ids[2], queue.Scheduled)
		f.Restart(t)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.Advance(time.Hour)
		require.Equal(t, pick(ids, 2, 1, 0), f.runToEnd(t, "work"))
	},
	"run_at makes a pending job wait, and a waiting one ready": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "work"}, queue.NewJob{Type: "work", Delay: time.Hour})
		f.update(t, ids[0], queue.Update{RunAt: new(f.Now().Add(time.Minute))})
		f.update(t, ids[1], queue.Update{RunAt: &time.Time{}})
		f.requireState(t, ids[0], queue.Scheduled)
		f.requireState(t, ids[1], queue.Pending)
		require.True(t, f.status(t, ids[1]).RunAt.IsZero())
		require.Equal(t, ids[1:], f.runToEnd(t, "work"))
		f.Advance(time.Minute - tick)
		f.requireNothingReady(t, "work")
		f.Advance(tick)
		f.requireState(t, ids[0], queue.Pending)
		f.update(t, ids[0], queue.Update{RunAt: new(f.Now())})
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
	},
	"only the time that was given last counts": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "work", Delay: time.Hour}, queue.NewJob{Type: "work", Delay: time.Hour})
		f.update(t, ids[0], queue.Update{RunAt: new(f.Now().Add(2 * time.Hour))})
		f.update(t, ids[1], queue.Update{RunAt: new(f.Now().Add(time.Minute))})
		f.Restart(t)
		f.Advance(time.Minute)
		l := f.dequeue(t, "work")
		require.Equal(t, ids[1], l.JobID)
		f.Advance(2*time.Hour - time.Minute - tick)
		f.requireState(t, ids[0], queue.Scheduled)
		f.requireState(t, ids[1], queue.Running)
		f.Advance(tick)
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
	},
	"run_at of a blocked job counts once it is not": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		id := f.enqueue1(t, "work", first)
		f.update(t, id, queue.Update{RunAt: new(f.Now().Add(time.Hour))})
		f.requireState(t, id, queue.Blocked)
		f.finish(t, f.dequeue(t, "first").Token, `1`)
		f.requireState(t, id, queue.Scheduled)
		f.Advance(time.Hour)
		f.requireState(t, id, queue.Pending)
	},
	"whoever waits is handed the job that need not wait": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "work", Delay: time.Hour})[0]
		leases := f.dequeueOnceLater(t, once("k", ""), "work")
		f.update(t, id, queue.Update{RunAt: new(f.Now().Add(-time.Hour)), Priority: new(3)})
		require.Equal(t, id, receive(t, leases).JobID)
		f.Advance(2 * time.Hour)
		f.requireState(t, id, queue.Running)
	},
	"labels take the place of all there were": func(t *testing.T, f *fixture) {
		given := map[string]string{"team": "print", "customer": "42"}
		id := f.enqueue(t, queue.NewJob{Type: "work", Labels: given, Args: args(`[1]`), UniqueKey: "k", TraceParent: traceParent})[0]
		before, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		given["team"] = "reused by the caller"
		require.Equal(t, map[string]string{"team": "print", "customer": "42"}, before.Labels)
		changed := map[string]string{"team": "web"}
		f.update(t, id, queue.Update{Labels: &changed})
		changed["team"] = "reused by the caller"
		f.Restart(t)
		after, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		before.Labels = map[string]string{"team": "web"}
		require.Equal(t, before, after, "all else is as it was given")
		f.update(t, id, queue.Update{Priority: new(1)})
		l := f.dequeue(t, "work")
		require.Equal(t, map[string]string{"team": "web"}, l.Labels)

		f.release(t, l.Token, 0)
		f.update(t, id, queue.Update{Labels: &map[string]string{}})
		require.Empty(t, f.dequeue(t, "work").Labels)
	},
	"all at once": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		at := f.Now().Add(time.Hour)
		f.update(t, id, queue.Update{
			Priority: new(7), RunAt: &at, Labels: &map[string]string{"a": "b"}, IfVersion: new(f.status(t, id).Version),
		})
		status := f.status(t, id)
		require.Equal(t, queue.Scheduled, status.State)
		require.Equal(t, 7, status.Priority)
		require.Equal(t, at, status.RunAt)
		job, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"a": "b"}, job.Labels)
		require.Zero(t, job.Priority, "the job has what was given first")
		require.True(t, job.RunAt.IsZero())
	},
	"only of the version that is asked for": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, retrying("work", 5))[0]
		seen := map[uint64]bool{}
		for name, change := range map[string]func(){
			"nothing":  func() {},
			"priority": func() { f.update(t, id, queue.Update{Priority: new(1)}) },
			"labels":   func() { f.update(t, id, queue.Update{Labels: &map[string]string{"a": "b"}}) },
			"a run":    func() { f.release(t, f.dequeue(t, "work").Token, 0) },
			"schedule": func() { f.update(t, id, queue.Update{RunAt: new(f.Now().Add(time.Second))}); f.Advance(time.Second) },
		} {
			version := f.status(t, id).Version
			change()
			before := f.status(t, id)
			if name == "nothing" {
				require.Equal(t, version, before.Version)
				continue
			}
			require.Greater(t, before.Version, version, name)
			require.False(t, seen[before.Version])
			seen[before.Version] = true
			err := f.Queue().UpdateJob(t.Context(), id, queue.Update{Priority: new(9), IfVersion: &version})
			require.ErrorIs(t, err, queue.ErrChanged, name)
			require.Equal(t, before, f.status(t, id))
			f.update(t, id, queue.Update{Priority: new(2), IfVersion: &before.Version})
			require.Equal(t, 2, f.status(t, id).Priority)
		}
	},
	"of many at once that saw the same version one is made": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		version := f.status(t, id).Version
		var made atomic.Int64
		var group errgroup.Group
		for i := range 20 {
			group.Go(func() error {
				// None that the job has already: an update that changes nothing leaves the version.
				err := f.Queue().UpdateJob(t.Context(), id, queue.Update{Priority: new(i + 1), IfVersion: &version})
				if errors.Is(err, queue.ErrChanged) {
					return nil
				}
				made.Add(1)
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, int64(1), made.Load())
	},
	"only what waits": func(t *testing.T, f *fixture) {
		running, finished, failed, canceled := f.enqueue1(t, "a"), f.enqueue1(t, "a"), f.enqueue1(t, "a"), f.enqueue1(t, "a")
		f.dequeue(t, "a")
		f.finish(t, f.dequeue(t, "a").Token, `1`)
		f.fail(t, f.dequeue(t, "a").Token, "broken")
		f.cancel(t, canceled)
		for _, id := range []uuid.UUID{running, finished, failed, canceled} {
			before := f.status(t, id)
			for _, update := range []queue.Update{
				{Priority: new(1)}, {RunAt: new(f.Now().Add(time.Hour))}, {Labels: &map[string]string{"a": "b"}}, {IfVersion: &before.Version},
			} {
				require.ErrorIs(t, f.Queue().UpdateJob(t.Context(), id, update), queue.ErrNotPending)
			}
			require.Equal(t, before, f.status(t, id))
			job, err := f.Queue().Job(t.Context(), id)
			require.NoError(t, err)
			require.Empty(t, job.Labels)
		}
		require.ErrorIs(t, f.Queue().UpdateJob(t.Context(), uuid.New(), queue.Update{Priority: new(1)}), queue.ErrNotExist)
	},
	"what is not valid is named, and changes nothing": func(t *testing.T, f *fixture) {
		expires := f.Now().Add(time.Hour)
		id := f.enqueue(t, queue.NewJob{Type: "work", ExpiresAt: expires})[0]
		before := f.status(t, id)
		for field, update := range map[string]queue.Update{
			"priority": {Priority: new(101), Labels: &map[string]string{"a": "b"}},
			"labels.a": {Priority: new(1), Labels: &map[string]string{"a": "\n"}},
			"labels":   {Priority: new(1), Labels: &map[string]string{"": "b"}},
			"run_at":   {Priority: new(1), RunAt: new(expires), Labels: &map[string]string{"a": "b"}},
		} {
			err := f.Queue().UpdateJob(t.Context(), id, update)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid, field)
			require.Equal(t, field, invalid.Field)
			require.Equal(t, before, f.status(t, id))
		}
		job, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, job.Labels)
		f.update(t, id, queue.Update{RunAt: new(expires.Add(-tick))})
		f.Advance(time.Hour)
		f.requireFailed(t, id, queue.ReasonExpired)
	},
}
