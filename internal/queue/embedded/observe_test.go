package embedded

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// observed is an Observer that keeps what it was told.
type observed struct {
	mu      sync.Mutex // guards what follows
	moves   []queue.Move
	claims  int
	callers int
}

func (o *observed) Moved(moves []queue.Move) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moves = append(o.moves, moves...)
}

func (o *observed) Claimed(time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims++
}

func (o *observed) Synced(_ time.Duration, callers int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.callers += callers
}

// told returns what the observer was told since the last call, and how it ended or lasted only where
// that is known.
func (o *observed) told() []queue.Move {
	o.mu.Lock()
	defer o.mu.Unlock()
	moves := o.moves
	o.moves = nil
	for i := range moves {
		moves[i].Took = min(moves[i].Took, 0)
	}
	return moves
}

func TestTheObserverIsToldOfEveryMoveOnce(t *testing.T) {
	t.Parallel()
	o := new(observed)
	s, err := OpenMemory(Options{Observer: o})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	lane := queue.Lane{Channel: "default", Type: "t"}
	move := func(from, to queue.State, end queue.End, took time.Duration) queue.Move {
		return queue.Move{Lane: lane, From: from, To: to, End: end, Took: took}
	}
	claim := func() queue.Lease {
		l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"t"}})
		require.NoError(t, err)
		return l
	}
	added, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "t", Retry: &queue.RetryPolicy{MaxAttempts: 9, Factor: 1}}})
	require.NoError(t, err)
	require.Equal(t, []queue.Move{move(0, queue.Pending, 0, -1)}, o.told())
	l := claim()
	require.Equal(t, []queue.Move{move(queue.Pending, queue.Running, 0, 0)}, o.told())
	_, err = s.Release(t.Context(), l.Token, 0)
	require.NoError(t, err)
	require.Equal(t, []queue.Move{move(queue.Running, queue.Pending, queue.EndReleased, 0)}, o.told())
	l = claim()
	require.Equal(t, []queue.Move{move(queue.Pending, queue.Running, 0, -1)}, o.told())
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 3, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}})
	require.NoError(t, err)
	require.Equal(t, []queue.Move{move(queue.Running, queue.Pending, queue.EndLost, 0)}, o.told())
	l = claim()
	_, err = s.Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "r"}, Retryable: true, RetryAfter: new(time.Duration(0))})
	require.NoError(t, err)
	require.Equal(t, move(queue.Running, queue.Pending, queue.EndReported, 0), o.told()[1])
	l = claim()
	require.Len(t, o.told(), 1)
	require.NoError(t, s.CancelJob(t.Context(), added[0].ID))
	require.Equal(t, []queue.Move{move(queue.Running, queue.Canceled, queue.EndCanceled, 0)}, o.told())
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.ErrorIs(t, err, queue.ErrCanceled)
	require.Empty(t, o.told(), "a report that was refused")
	require.NoError(t, s.DeleteJob(t.Context(), added[0].ID))
	require.Equal(t, []queue.Move{move(queue.Canceled, 0, 0, -1)}, o.told())
	require.Equal(t, 4, o.claims)
	require.GreaterOrEqual(t, o.callers, 10)
}

func TestTheObserverIsToldOfAJobThatIsHandedOutAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := new(observed)
		s, err := OpenMemory(Options{Observer: o})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		got := make(chan error, 1)
		go func() {
			_, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"t"}})
			got <- err
		}()
		synctest.Wait() // it is in line
		_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "t"}})
		require.NoError(t, err)
		require.NoError(t, <-got)
		lane := queue.Lane{Channel: "default", Type: "t"}
		require.Equal(t, []queue.Move{
			{Lane: lane, To: queue.Pending, Took: -1},
			{Lane: lane, From: queue.Pending, To: queue.Running},
		}, o.told())
		require.Equal(t, 1, o.claims)
		stats, err := s.Stats()
		require.NoError(t, err)
		require.Equal(t, 1, stats.Leases)
		require.Positive(t, stats.BytesWritten)
	})
}
