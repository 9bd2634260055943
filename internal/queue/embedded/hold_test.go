package embedded

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// halfway is a store on which a retry is under way: a job has come back, and those that depend on it
// and run whatever became of it have not been told.
type halfway struct {
	steps
	retry *retry
	back  uuid.UUID // the job that has come back
}

// halfRetried makes a job fail that a second one depends on, calls more with that second one, fails the
// first one, calls ended, and makes the first step of a retry.
func halfRetried(t *testing.T, fs vfs.FS, more func(s steps, back uuid.UUID), ended func(s steps)) halfway {
	t.Helper()
	s := newSteps(t, fs)
	root := s.enqueue(queue.NewJob{Type: "root"})
	back := s.enqueue(queue.NewJob{Type: "back", Dependencies: []uuid.UUID{root}})
	s.after(6, root) // so that the step ends before it comes to those of the second one
	more(s, back)
	s.fail(root)
	ended(s)
	h := halfway{steps: s, retry: s.begin(root), back: back}
	s.step(h.retry)
	require.Equal(t, queue.Blocked, s.state(back))
	require.NotEmpty(t, h.retry.left)
	return h
}

// withLate is halfRetried with one job that depends on the second one and is in line, or is to be after a delay.
func withLate(t *testing.T, fs vfs.FS, delay time.Duration) (h halfway, late uuid.UUID) {
	t.Helper()
	h = halfRetried(t, fs, func(s steps, back uuid.UUID) {
		n := afterwards(back)
		n.Delay = delay
		late = s.enqueue(n)
	}, nothing)
	return h, late
}

// requireNone requires that no job of type late is handed out.
func (h halfway) requireNone() {
	h.Helper()
	_, err := h.store.Dequeue(doneContext(h.T), queue.DequeueRequest{Types: []string{"late"}})
	require.ErrorIs(h, err, queue.ErrDequeueTimeout)
}

// requireEnd finishes the retry, and then all jobs; those of type late come after the one that came back.
func (h halfway) requireEnd(late ...uuid.UUID) {
	h.Helper()
	h.finishRetry(h.retry)
	h.store.audit(h.T)
	for _, id := range late {
		require.Equal(h, queue.Blocked, h.state(id))
	}
	var ran []uuid.UUID
	for {
		l, err := h.store.Dequeue(doneContext(h.T), queue.DequeueRequest{Types: []string{"root", "back", "work", "late"}})
		if err != nil {
			require.ErrorIs(h, err, queue.ErrDequeueTimeout)
			break
		}
		if l.Type == "late" {
			require.Equal(h, queue.Finished, h.state(h.back))
			ran = append(ran, l.JobID)
		}
		_, err = h.store.RequeueOrFinishJob(h.Context(), l.Token, 0, queue.Outcome{})
		require.NoError(h, err)
	}
	require.Equal(h, late, ran)
	h.Close(h.T)
}

func afterwards(dependencies ...uuid.UUID) queue.NewJob {
	return queue.NewJob{Type: "late", Dependencies: dependencies, RunIf: queue.AllFinished}
}

func nothing(steps) {}

// GUARANTEES S7.
func TestNobodyIsHandedADependentThatARetryHasNotReached(t *testing.T) {
	t.Parallel()
	// Each way in which a worker gets a job. What is returned is the job that none must get.
	for name, way := range map[string]func(t *testing.T) (halfway, uuid.UUID){
		"from the line": func(t *testing.T) (halfway, uuid.UUID) {
			h, late := withLate(t, vfs.NewMem(), 0)
			h.requireNone()
			return h, late
		},
		"by its id": func(t *testing.T) (halfway, uuid.UUID) {
			h, late := withLate(t, vfs.NewMem(), 0)
			_, err := h.store.DequeueByID(t.Context(), late, queue.Holder{}, queue.Once{})
			require.ErrorIs(t, err, queue.ErrNotPending)
			require.Equal(t, queue.Blocked, h.state(late))
			return h, late
		},
		"in a batch": func(t *testing.T) (halfway, uuid.UUID) {
			h, late := withLate(t, vfs.NewMem(), 0)
			answer, err := h.store.DequeueBatch(doneContext(t), queue.BatchRequest{
				DequeueRequest: queue.DequeueRequest{Types: []string{"late"}}, Max: 5,
			})
			require.NoError(t, err)
			require.Empty(t, answer.Leases)
			return h, late
		},
		"once it is given back": func(t *testing.T) (halfway, uuid.UUID) {
			var l queue.Lease
			h := halfRetried(t, vfs.NewMem(), func(s steps, back uuid.UUID) { s.enqueue(afterwards(back)) }, func(s steps) {
				var err error
				l, err = s.store.Dequeue(doneContext(s.T), queue.DequeueRequest{Types: []string{"late"}})
				require.NoError(s, err)
			})
			h.requireHandedToNobody(func() {
				_, err := h.store.Release(t.Context(), l.Token, 0)
				require.NoError(t, err)
			})
			return h, l.JobID
		},
		"once its time has come": func(t *testing.T) (halfway, uuid.UUID) {
			h, late := withLate(t, vfs.NewMem(), time.Hour)
			h.requireHandedToNobody(func() { h.Advance(time.Hour) })
			return h, late
		},
		"once it may run earlier": func(t *testing.T) (halfway, uuid.UUID) {
			h, late := withLate(t, vfs.NewMem(), time.Hour)
			h.requireHandedToNobody(func() {
				now := h.Now()
				require.NoError(t, h.store.UpdateJob(t.Context(), late, queue.Update{RunAt: &now}))
			})
			return h, late
		},
		"once another dependency is over": func(t *testing.T) (halfway, uuid.UUID) {
			var late, other uuid.UUID
			h := halfRetried(t, vfs.NewMem(), func(s steps, back uuid.UUID) {
				other = s.enqueue(queue.NewJob{})
				late = s.enqueue(afterwards(back, other))
			}, nothing)
			h.requireHandedToNobody(func() { require.NoError(t, h.store.CancelJob(t.Context(), other)) })
			return h, late
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, late := way(t)
			h.requireEnd(late)
		})
	}
}

// requireHandedToNobody requires that what is done while somebody waits for a late job hands out none.
func (h halfway) requireHandedToNobody(do func()) {
	h.Helper()
	_, waiter, err := h.store.claimOrJoin(h.Context(), []queue.Lane{{Channel: queue.DefaultChannel, Type: "late"}}, new(claimant))
	require.NoError(h, err)
	require.NotNil(h, waiter)
	do()
	_, ok := waiter.Wait(doneContext(h.T), h.store.closing)
	require.False(h, ok, "a caller was handed a job")
}

func TestManyThatARetryHasNotReachedHoldUpNobody(t *testing.T) {
	t.Parallel()
	for name, dequeue := range map[string]func(s *Store) (queue.Lease, error){
		"one": func(s *Store) (queue.Lease, error) {
			return s.Dequeue(doneContext(t), queue.DequeueRequest{Types: []string{"late"}})
		},
		"a batch": func(s *Store) (queue.Lease, error) {
			answer, err := s.DequeueBatch(doneContext(t), queue.BatchRequest{
				DequeueRequest: queue.DequeueRequest{Types: []string{"late"}}, Max: 5,
			})
			if err != nil || len(answer.Leases) != 1 {
				return queue.Lease{}, err
			}
			return answer.Leases[0], nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var late []uuid.UUID
			h := halfRetried(t, vfs.NewMem(), func(s steps, back uuid.UUID) {
				for range 5 * s.limits.settleStep {
					late = append(late, s.enqueue(afterwards(back)))
				}
			}, nothing)
			free := h.enqueue(queue.NewJob{Type: "late"})
			l, err := dequeue(h.store)
			require.NoError(t, err)
			require.Equal(t, free, l.JobID)
			_, err = h.store.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
			require.NoError(t, err)
			h.requireNone()
			h.requireEnd(late...)
		})
	}
}

func TestOneThatWaitsBecauseOfARetryRunsIfWhatCameBackEndsAtOnce(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	h, late := withLate(t, fs, 0)
	h.requireNone()
	require.NoError(t, h.store.answer(nil))
	after := newSteps(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	for _, s := range []steps{after, h.steps} {
		require.Equal(t, queue.Blocked, s.state(late))
		require.NoError(t, s.store.CancelJob(t.Context(), h.back))
		require.Equal(t, queue.Pending, s.state(late))
		l, err := s.store.Dequeue(doneContext(t), queue.DequeueRequest{Types: []string{"late"}})
		require.NoError(t, err)
		require.Equal(t, late, l.JobID)
	}
	after.Close(t)
	h.finishRetry(h.retry)
	h.Close(t)
}

// It waits for the first of two that have come back, and ends with that in the very change in which the second does.
func TestOneThatWaitsBecauseOfARetryDoesNotWaitForWhatEndsAtTheSameTime(t *testing.T) {
	t.Parallel()
	var next, late uuid.UUID
	h := halfRetried(t, vfs.NewMem(), func(s steps, back uuid.UUID) {
		// As many dependencies as the step spends that brings it back, so that it ends before it comes to the late one.
		others := []uuid.UUID{s.enqueue(queue.NewJob{}), s.enqueue(queue.NewJob{})}
		next = s.enqueue(queue.NewJob{Dependencies: append([]uuid.UUID{back}, others...)})
		for range others {
			l, err := s.store.Dequeue(doneContext(s.T), queue.DequeueRequest{Types: []string{"work"}})
			require.NoError(s, err)
			_, err = s.store.RequeueOrFinishJob(s.Context(), l.Token, 0, queue.Outcome{})
			require.NoError(s, err)
		}
		late = s.enqueue(afterwards(next, back))
	}, nothing)
	for h.state(next) != queue.Blocked {
		h.step(h.retry)
	}
	h.requireNone()
	require.Equal(t, queue.Blocked, h.state(late))
	require.NoError(t, h.store.CancelJob(t.Context(), h.back))
	require.Equal(t, queue.Canceled, h.state(next))
	require.Equal(t, queue.Pending, h.state(late))
	h.finishRetry(h.retry)
	h.Close(t)
}
