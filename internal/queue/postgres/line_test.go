package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// Who is not willing to wait is told that there is nothing for it, however many rounds there are
// that serve those before it in line.
func TestWhoDoesNotWaitIsAnsweredBeforeTheLineIsServed(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{})
	requireAnswerBeforeTheLine(t, b)
	require.NoError(t, a.Close())
	require.Eventually(t, b.isAlone, soon, tick)
	requireAnswerBeforeTheLine(t, b)
}

// requireAnswerBeforeTheLine has many wait again and again, and one ask that does not wait, while jobs are
// added as fast as can be, but never enough for all.
func requireAnswerBeforeTheLine(t *testing.T, s *Store) {
	t.Helper()
	const line, producers = 600, 8
	request := queue.DequeueRequest{Types: []string{"busy"}}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var served, adders errgroup.Group
	for range line {
		served.Go(func() error {
			for {
				l, err := s.Dequeue(ctx, request)
				if errors.Is(err, queue.ErrDequeueTimeout) {
					return nil
				}
				if err == nil {
					_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
				}
				if err != nil {
					return err
				}
			}
		})
	}
	require.Eventually(t, func() bool { return s.claims.length() == line }, soon, tick)

	var added atomic.Int64
	for range producers {
		adders.Go(func() error {
			for ctx.Err() == nil {
				if _, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "busy"}}); err != nil {
					return err
				}
				added.Add(1)
			}
			return nil
		})
	}
	require.Eventually(t, func() bool { return added.Load() > line/8 }, soon, tick)
	answered := make(chan error, 1)
	go func() {
		_, err := s.Dequeue(over(), request)
		answered <- err
	}()
	select {
	case err := <-answered:
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
	case <-time.After(soon):
		require.FailNow(t, "it stands behind a line that never ends")
	}
	end()
	require.NoError(t, adders.Wait())
	require.NoError(t, served.Wait())
}

// Who comes while the database is asked for others whether there is something at other servers is asked for
// with all who come meanwhile.
func TestThoseWhoComeMeanwhileShareOneQuestion(t *testing.T) {
	t.Parallel()
	const callers = 50
	_, s := twoServers(t, Options{})
	s.tail.mu.Lock() // nothing is asked
	ask := sync.OnceFunc(s.tail.mu.Unlock)
	defer ask()
	var answers errgroup.Group
	for i := range callers {
		answers.Go(func() error {
			_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"asked"}})
			return err
		})
		// Each has a round of its own.
		require.Eventually(t, func() bool { return s.claims.length() == i+1 && !s.claims.isDirty() }, soon, tick)
	}
	before := s.Stats().Acquired
	ask()
	require.ErrorIs(t, answers.Wait(), queue.ErrDequeueTimeout)
	require.Less(t, s.Stats().Acquired-before, int64(callers/2), "statements for %d callers", callers)
}

// isDirty reports whether there will be another round.
func (d *dispatcher) isDirty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dirty) > 0
}

// length returns how many callers wait, or are about to be told that there is nothing.
func (d *dispatcher) length() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, g := range d.groups {
		for range g.each(everybody) {
			n++
		}
	}
	return n
}

// Whose round overlaps with another one each time is answered all the same.
func TestWhoDoesNotWaitIsAnsweredWhileRoundsOverlapWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]int{"alone": 0, "not alone": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := migrated(t, pgtest.Database(t))
			for range others {
				openServer(t, dsn, Options{})
			}
			limits := defaultLimits()
			limits.round = 1
			s, err := open(t.Context(), dsn, Options{Logger: newCalmLog(t)}, limits)
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			if others == 0 {
				require.Eventually(t, s.isAlone, soon, tick)
			}
			ctx, end := context.WithCancel(t.Context())
			defer end()
			var adders errgroup.Group
			var added atomic.Int64
			for range 16 {
				adders.Go(func() error {
					for ctx.Err() == nil {
						if _, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "busy"}}); err != nil {
							return err
						}
						added.Add(1)
					}
					return nil
				})
			}
			require.Eventually(t, func() bool { return added.Load() > 100 }, soon, tick)
			for range 20 {
				answered := make(chan error, 1)
				go func() {
					_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"idle"}})
					answered <- err
				}()
				require.ErrorIs(t, get(t, answered), queue.ErrDequeueTimeout)
			}
			end()
			require.NoError(t, adders.Wait())
		})
	}
}
