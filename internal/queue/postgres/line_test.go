package postgres

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
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

// requireAnswerBeforeTheLine has many wait, and one ask that does not wait, while jobs for all of
// them are added as fast as can be.
func requireAnswerBeforeTheLine(t *testing.T, s *Store) {
	t.Helper()
	const line, producers = 600, 8
	request := queue.DequeueRequest{Types: []string{"busy"}}
	var served errgroup.Group
	for range line {
		served.Go(func() error {
			l, err := s.Dequeue(t.Context(), request)
			if err != nil {
				return err
			}
			_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
			return err
		})
	}
	require.Eventually(t, func() bool { return s.claims.length() == line }, soon, tick)

	var added atomic.Int64
	var adders errgroup.Group
	for range producers {
		adders.Go(func() error {
			for added.Add(1) <= line {
				if _, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "busy"}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.Eventually(t, func() bool { return added.Load() > line/8 }, soon, tick)
	_, err := s.Dequeue(over(), request)
	require.Less(t, added.Load(), int64(line), "the whole line was served first")
	require.ErrorIs(t, err, queue.ErrDequeueTimeout)
	require.NoError(t, adders.Wait())
	require.NoError(t, served.Wait())
}

// length returns how many callers wait, or are about to be told that there is nothing.
func (d *dispatcher) length() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, g := range d.groups {
		n += len(g.waiting)
	}
	return n
}
