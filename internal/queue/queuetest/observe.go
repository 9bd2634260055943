package queuetest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Observed is what the observer of an engine under test was told of jobs. Each engine declares what it
// tells; this is as much of it as all of them do.
type Observed struct {
	mu     sync.Mutex // guards what follows
	moves  []queue.Move
	claims int
	counts map[queue.Lane]queue.Counts
}

// Moved is told what one change has made of jobs.
func (o *Observed) Moved(moves []queue.Move) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moves = append(o.moves, moves...)
	if o.counts == nil {
		o.counts = make(map[queue.Lane]queue.Counts)
	}
	for _, m := range moves {
		counts := o.counts[m.Lane]
		counts[m.From]--
		counts[m.To]++
		counts[0] = 0 // where new jobs come from, and those that are deleted go
		o.counts[m.Lane] = counts
	}
}

// Claimed is told of a lease.
func (o *Observed) Claimed(time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims++
}

// Moves returns the moves since it was called last.
func (o *Observed) Moves() []queue.Move {
	o.mu.Lock()
	defer o.mu.Unlock()
	moves := o.moves
	o.moves = nil
	return moves
}

// Claims returns of how many leases it was told.
func (o *Observed) Claims() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claims
}

// Counts returns how many jobs each lane has in each state, by all the moves. Lanes without jobs are left out.
func (o *Observed) Counts() map[queue.Lane]queue.Counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := make(map[queue.Lane]queue.Counts)
	for lane, c := range o.counts {
		if c != (queue.Counts{}) {
			counts[lane] = c
		}
	}
	return counts
}

// requireMoves requires what was told since the last time, in any order.
func (f *fixture) requireMoves(t *testing.T, want ...queue.Move) {
	t.Helper()
	for i := range want {
		want[i].Lane = queue.Lane{Channel: queue.DefaultChannel, Type: "t"}
	}
	require.ElementsMatch(t, want, f.Observed().Moves())
}

// unknown is what a move took where that means nothing.
const unknown = -1

var observerTests = map[string]func(*testing.T, *fixture){
	"each move of a job is told once": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "t", Retry: &queue.RetryPolicy{MaxAttempts: 9, Factor: 1}})[0]
		f.requireMoves(t, queue.Move{To: queue.Pending, Took: unknown})
		f.Advance(3 * time.Second)
		first := f.dequeue(t, "t")
		f.requireMoves(t, queue.Move{From: queue.Pending, To: queue.Running, Took: 3 * time.Second})
		f.Advance(2 * time.Second)
		f.release(t, first.Token, 0)
		f.requireMoves(t, queue.Move{From: queue.Running, To: queue.Pending, End: queue.EndReleased, Took: 2 * time.Second})
		claim := func() uuid.UUID {
			l := f.dequeue(t, "t")
			f.requireMoves(t, queue.Move{From: queue.Pending, To: queue.Running, Took: unknown})
			return l.Token
		}
		lost := claim()
		f.Advance(time.Second)
		f.lose(t, lost, 3)
		f.requireMoves(t, queue.Move{From: queue.Running, To: queue.Pending, End: queue.EndLost, Took: time.Second})
		f.report(t, claim(), queue.Failure{Error: queue.JobError{Reason: "r"}, Retryable: true, RetryAfter: new(time.Duration(0))})
		f.requireMoves(t, queue.Move{From: queue.Running, To: queue.Pending, End: queue.EndReported})
		canceled := claim()
		f.cancel(t, id)
		f.requireMoves(t, queue.Move{From: queue.Running, To: queue.Canceled, End: queue.EndCanceled})
		_, err := f.Queue().RequeueOrFinishJob(t.Context(), canceled, 0, queue.Outcome{})
		require.ErrorIs(t, err, queue.ErrCanceled)
		f.requireMoves(t)
		require.NoError(t, f.Queue().DeleteJob(t.Context(), id))
		f.requireMoves(t, queue.Move{From: queue.Canceled, Took: unknown})
		require.Equal(t, 4, f.Observed().Claims())
	},
	"a lease of a job by its id is told as any other": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "t")
		f.Observed().Moves()
		f.Advance(3 * time.Second)
		once := queue.Once{Key: "k"}
		l, err := f.Queue().DequeueByID(t.Context(), id, queue.Holder{Worker: "w"}, once)
		require.NoError(t, err)
		f.requireMoves(t, queue.Move{From: queue.Pending, To: queue.Running, Took: 3 * time.Second})
		require.Equal(t, 1, f.Observed().Claims())
		again, err := f.Queue().DequeueByID(t.Context(), id, queue.Holder{Worker: "w"}, once)
		require.NoError(t, err)
		require.Equal(t, l.Token, again.Token)
		_, err = f.Queue().DequeueByID(t.Context(), id, queue.Holder{Worker: "w"}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotPending)
		f.requireMoves(t)
		require.Equal(t, 1, f.Observed().Claims(), "one that was granted before, and none")
	},
	"what is refused, or sent again, is no move": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "t")
		l := f.dequeue(t, "t")
		f.finish(t, l.Token, "1")
		require.Len(t, f.Observed().Moves(), 3)
		f.finish(t, l.Token, "1")
		require.ErrorIs(t, f.Queue().CancelJob(t.Context(), l.JobID), queue.ErrNotRunning)
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{Type: "t"}, {Type: "t", Dependencies: []uuid.UUID{uuid.New()}}})
		require.ErrorIs(t, err, queue.ErrNotExist)
		f.requireNothingReady(t, "t")
		f.requireMoves(t)
	},
	"a job waits from when it may run": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "t", Delay: time.Hour})
		f.requireMoves(t, queue.Move{To: queue.Scheduled, Took: unknown})
		f.Advance(time.Hour)
		f.requireMoves(t, queue.Move{From: queue.Scheduled, To: queue.Pending, Took: unknown})
		f.Advance(time.Second)
		f.dequeue(t, "t")
		f.requireMoves(t, queue.Move{From: queue.Pending, To: queue.Running, Took: time.Second})
	},
	"dependents move with what they depend on": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "t")
		f.enqueue1(t, "t", first)
		f.requireMoves(t, queue.Move{To: queue.Pending, Took: unknown}, queue.Move{To: queue.Blocked, Took: unknown})
		l := f.dequeue(t, "t")
		f.Observed().Moves()
		f.fail(t, l.Token, "broken")
		f.requireMoves(t,
			queue.Move{From: queue.Running, To: queue.Failed, End: queue.EndReported},
			queue.Move{From: queue.Blocked, To: queue.Failed, Took: unknown})
		f.retry(t, first)
		f.requireMoves(t,
			queue.Move{From: queue.Failed, To: queue.Pending, Took: unknown},
			queue.Move{From: queue.Failed, To: queue.Blocked, Took: unknown})
		l = f.dequeue(t, "t")
		f.Observed().Moves()
		f.finish(t, l.Token, "1")
		f.requireMoves(t,
			queue.Move{From: queue.Running, To: queue.Finished, End: queue.EndReported},
			queue.Move{From: queue.Blocked, To: queue.Pending, Took: unknown})
	},
	"a job that somebody waits for was pending for an instant": func(t *testing.T, f *fixture) {
		leases := f.dequeueLater(t, 1, "t")
		require.Eventually(t, func() bool { w := f.workers(t); return len(w) == 1 && w[0].Waiting == 1 }, patience, time.Millisecond)
		f.enqueue1(t, "t")
		receive(t, leases)
		f.requireMoves(t, queue.Move{To: queue.Pending, Took: unknown}, queue.Move{From: queue.Pending, To: queue.Running})
		require.Equal(t, 1, f.Observed().Claims())
	},
}
