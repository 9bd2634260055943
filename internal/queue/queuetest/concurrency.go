package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

var concurrencyTests = map[string]func(*testing.T, *fixture){
	"no job is granted twice with 100 dequeuers": func(t *testing.T, f *fixture) {
		const jobs, dequeuers = 1000, 100
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var mu sync.Mutex
		granted := make(map[uuid.UUID]int)
		var left atomic.Int64
		left.Store(jobs)
		var group errgroup.Group
		for range dequeuers {
			group.Go(func() error {
				for {
					l, err := f.Queue().Dequeue(ctx, queue.DequeueRequest{Types: []string{"build"}})
					if errors.Is(err, queue.ErrDequeueTimeout) {
						return nil
					}
					if err != nil {
						return err
					}
					mu.Lock()
					granted[l.JobID]++
					mu.Unlock()
					if _, err := f.Queue().RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{}); err != nil {
						return err
					}
					if left.Add(-1) == 0 {
						cancel()
					}
				}
			})
		}
		var ids []uuid.UUID
		for range jobs / 100 {
			ids = append(ids, f.enqueue(t, make100("build")...)...)
		}
		require.NoError(t, group.Wait())
		require.Len(t, granted, jobs)
		for _, id := range ids {
			require.Equal(t, 1, granted[id])
			f.requireState(t, id, queue.Finished)
		}
	},
	// GUARANTEES S10.
	"of cancel, finish, release and reap at once exactly one wins": func(t *testing.T, f *fixture) {
		for round := range 50 {
			id := f.enqueue1(t, "build")
			l := f.dequeue(t, "build")
			calls := map[string]func(context.Context) error{
				"cancel": func(ctx context.Context) error { return f.Queue().CancelJob(ctx, id) },
				"finish": func(ctx context.Context) error {
					_, err := f.Queue().RequeueOrFinishJob(ctx, l.Token, 0, result1(`1`))
					return err
				},
				"fail": func(ctx context.Context) error {
					_, err := f.Queue().RequeueOrFinishJob(ctx, l.Token, 0, error1("broken"))
					return err
				},
				"release": func(ctx context.Context) error {
					_, err := f.Queue().Release(ctx, l.Token, 0)
					return err
				},
				"reap": func(ctx context.Context) error {
					_, err := f.Queue().RequeueOrFinishJob(ctx, l.Token, 0, error1(queue.ReasonHeartbeatLost))
					return err
				},
			}
			var won sync.Map
			var wins atomic.Int64
			var group errgroup.Group
			for name, call := range calls {
				group.Go(func() error {
					err := call(t.Context())
					switch {
					case err == nil:
						wins.Add(1)
						won.Store(name, true)
						return nil
					case errors.Is(err, queue.ErrCanceled), errors.Is(err, queue.ErrLeaseLost),
						errors.Is(err, queue.ErrAlreadyReported), errors.Is(err, queue.ErrNotRunning):
						return nil
					default:
						return fmt.Errorf("%s: %w", name, err)
					}
				})
			}
			require.NoError(t, group.Wait())
			if _, released := won.Load("release"); released {
				// What was given back is pending, and may be canceled, and a cancel may be
				// followed by a release that finds nothing to give back.
				won.Delete("release")
				wins.Add(-1)
				if wins.Load() == 0 {
					f.requireState(t, id, queue.Pending)
					f.finish(t, f.dequeue(t, "build").Token, `1`)
					continue
				}
				_, canceled := won.Load("cancel")
				require.True(t, canceled)
			}
			require.Equal(t, int64(1), wins.Load(), "round %d", round)
			want := map[string]queue.State{"cancel": queue.Canceled, "finish": queue.Finished, "fail": queue.Failed, "reap": queue.Failed}
			won.Range(func(name, _ any) bool {
				f.requireState(t, id, want[name.(string)])
				return true
			})
		}
	},
	"who has added jobs is never told that there are none": func(t *testing.T, f *fixture) {
		types := []string{"a", "b"}
		var group errgroup.Group
		for caller := range 24 {
			group.Go(func() error {
				request := queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: types}}
				for round := range 12 {
					jobs := make([]queue.NewJob, 1+(caller+round)%4)
					for i := range jobs {
						jobs[i] = queue.NewJob{Type: types[i%2], Priority: (caller + i) % 2}
					}
					if caller%3 == 0 { // which takes another way
						jobs[0].UniqueKey = fmt.Sprint(caller, round)
					}
					if _, err := f.Queue().Enqueue(t.Context(), jobs); err != nil {
						return err
					}
					for left := len(jobs); left > 0; left -= len(request.Reports) {
						request.Max = left
						answer, err := f.Queue().DequeueBatch(now(), request)
						if err != nil {
							return err
						}
						if len(answer.Leases) == 0 {
							return fmt.Errorf("caller %d was told that there is nothing, where %d were left of what it had added", caller, left)
						}
						request.Reports = nil
						for i := range answer.Leases {
							request.Reports = append(request.Reports, done(answer.Leases[i].Token))
						}
					}
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		page, err := f.Queue().Queues(t.Context(), queue.LaneListing{Limit: queue.MaxPage})
		require.NoError(t, err)
		require.Zero(t, page.Total[queue.Pending])
	},
	"a graph drains under many workers": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		layer := f.enqueue(t, make100("work")[:10]...)
		total := len(layer)
		for range 10 {
			jobs := make100("work")[:10]
			for i := range jobs {
				jobs[i].Dependencies = layer
			}
			layer = f.enqueue(t, jobs...)
			total += len(layer)
		}
		var done atomic.Int64
		var group errgroup.Group
		for range 20 {
			group.Go(func() error {
				for {
					l, err := f.Queue().Dequeue(ctx, queue.DequeueRequest{Types: []string{"work"}})
					if errors.Is(err, queue.ErrDequeueTimeout) {
						return nil
					}
					if err != nil {
						return err
					}
					for _, d := range l.Dependencies {
						if d.State != queue.Finished {
							return fmt.Errorf("job %s began while its dependency %s was %s", l.JobID, d.ID, d.State)
						}
					}
					if _, err := f.Queue().RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{}); err != nil {
						return err
					}
					if done.Add(1) == int64(total) {
						cancel()
					}
				}
			})
		}
		require.NoError(t, group.Wait())
		require.Equal(t, int64(total), done.Load())
	},
}
