package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// slowDisk is a file system whose log syncs wait while it is held.
type slowDisk struct {
	held    atomic.Bool
	release chan struct{}
}

func (d *slowDisk) fs() vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.held.Load() && strings.HasSuffix(op.Path, ".log") &&
			(op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			<-d.release
		}
		return nil
	}))
}

func TestNoAnswerIsGivenBeforeWhatItRestsOnIsOnDisk(t *testing.T) {
	t.Parallel()
	var ended, idle queue.Lease // of a job that is being canceled, and of one that is left alone
	calls := map[string]func(ctx context.Context, s *Store) error{
		"CancelJob":   func(ctx context.Context, s *Store) error { return s.CancelJob(ctx, ended.JobID) },
		"JobStatus":   func(ctx context.Context, s *Store) error { _, err := s.JobStatus(ctx, ended.JobID); return err },
		"Job":         func(ctx context.Context, s *Store) error { _, err := s.Job(ctx, ended.JobID); return err },
		"Await":       func(ctx context.Context, s *Store) error { _, err := s.Await(ctx, ended.JobID); return err },
		"Lease":       func(ctx context.Context, s *Store) error { _, err := s.Lease(ctx, ended.Token); return err },
		"IdFromToken": func(ctx context.Context, s *Store) error { _, err := s.IdFromToken(ctx, ended.Token); return err },
		"RefreshHeartbeat": func(ctx context.Context, s *Store) error {
			_, err := s.RefreshHeartbeat(ctx, ended.Token, queue.Beat{})
			return err
		},
		"Release": func(ctx context.Context, s *Store) error { _, err := s.Release(ctx, ended.Token, 0); return err },
		"RequeueOrFinishJob": func(ctx context.Context, s *Store) error {
			_, err := s.RequeueOrFinishJob(ctx, ended.Token, 0, queue.Outcome{})
			return err
		},
		"DequeueByID": func(ctx context.Context, s *Store) error {
			_, err := s.DequeueByID(ctx, ended.JobID, queue.Holder{}, queue.Once{})
			return err
		},
		"Enqueue": func(ctx context.Context, s *Store) error {
			_, err := s.Enqueue(ctx, []queue.NewJob{{Type: "x", Dependencies: []uuid.UUID{uuid.New()}}})
			return err
		},
	}
	synctest.Test(t, func(t *testing.T) {
		disk := &slowDisk{release: make(chan struct{})}
		s, err := open(disk.fs(), "store", Options{}, defaultLimits())
		require.NoError(t, err)
		for _, l := range []*queue.Lease{&ended, &idle} {
			_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
			require.NoError(t, err)
			*l, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
			require.NoError(t, err)
		}

		disk.held.Store(true)
		var answered sync.Map
		start := func(name string, call func(context.Context, *Store) error) {
			go func() {
				_ = call(t.Context(), s)
				answered.Store(name, true)
			}()
		}
		start("the cancel itself", calls["CancelJob"])
		synctest.Wait()
		for name, call := range calls {
			start(name, call)
		}
		_, err = s.RefreshHeartbeat(t.Context(), idle.Token, queue.Beat{})
		require.NoError(t, err, "what needs no disk is not held up")
		synctest.Wait()
		answered.Range(func(name, _ any) bool {
			require.Fail(t, fmt.Sprintf("%s was answered", name))
			return true
		})
		disk.held.Store(false)
		close(disk.release)
		synctest.Wait()
		for name := range calls {
			_, ok := answered.Load(name)
			require.True(t, ok, "%s was never answered", name)
		}
		require.NoError(t, s.Close())
	})
}

func TestASyncCoversWhatWasCommittedBeforeItBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan error)
		y := newSyncer(func() error { return <-release }, nil, func(error) {})
		y.start()
		done := make(chan int, 2)
		wait := func(n int, group *syncGroup) {
			go func() {
				y.wait(group)
				done <- n
			}()
		}
		wait(1, commitTo(y))
		synctest.Wait() // the first sync is under way
		wait(2, commitTo(y))
		release <- nil
		synctest.Wait()
		require.Equal(t, 1, <-done)
		require.Empty(t, done, "the second came too late for the first sync")
		require.Equal(t, uint64(1), y.synced.Load())
		release <- nil
		require.Equal(t, 2, <-done)
		y.close()

		failed := make(chan struct{})
		var told error
		y = newSyncer(func() error { return errInjected }, failed, func(err error) { told = err; close(failed) })
		y.start()
		require.False(t, y.wait(commitTo(y)))
		require.ErrorIs(t, told, errInjected)
		require.False(t, y.close())
	})
}

// commitTo does what a commit does to a syncer.
func commitTo(y *syncer) *syncGroup {
	y.begun.Add(1)
	y.committed.Add(1)
	return y.join()
}

// ORIGIN 18.
func TestCloseLosesNoLeaseThatWasHandedOver(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewMem()
			s, err := open(fs, "store", Options{}, defaultLimits())
			require.NoError(t, err)
			const callers = 20
			tokens := make(chan uuid.UUID, callers)
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					l, err := s.Dequeue(context.Background(), queue.DequeueRequest{Types: []string{"build"}})
					switch {
					case err == nil:
						tokens <- l.Token
					case !errors.Is(err, queue.ErrUnavailable):
						t.Errorf("dequeue: %v", err)
					}
				})
			}
			synctest.Wait() // they are in line
			handedOver := make(chan struct{})
			group.Go(func() {
				_, err := s.commit(func(c *change) error {
					for range callers {
						n := queue.NewJob{Type: "build"}
						c.admit(&job{Job: n.Job(uuid.New(), nil, c.now), place: c.nextPlace()}, nil, false)
					}
					return nil
				})
				if err != nil {
					t.Errorf("enqueue: %v", err)
				}
				close(handedOver)
			})
			<-handedOver
			require.NoError(t, s.Close())
			group.Wait()
			close(tokens)

			h := newHarness(t, fs, "store", defaultLimits())
			delivered := 0
			for token := range tokens {
				delivered++
				require.NotNil(t, h.store.leases.get(token))
			}
			require.Len(t, h.store.leases.byToken, delivered, "leases that nobody holds")
			h.Close(t)
		})
	}
}

func TestCloseReturnsThoughACallHangsInAStoreThatFailed(t *testing.T) {
	t.Parallel()
	s, err := open(vfs.NewMem(), "store", Options{}, defaultLimits())
	require.NoError(t, err)
	require.NoError(t, s.enter()) // a call that never returns
	s.failure.fail(errInjected)
	require.ErrorIs(t, s.Close(), queue.ErrUnavailable)
}
