package embedded

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// family is a job that has failed, and jobs that depend on it in every way.
type family struct {
	root uuid.UUID
	want map[uuid.UUID]queue.State // after a retry of the root
}

func newFamily(t *testing.T, s *Store) family {
	t.Helper()
	enqueue := func(n queue.NewJob) uuid.UUID {
		n.Type = "work"
		enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{n})
		require.NoError(t, err)
		return enqueued[0].ID
	}
	f := family{root: enqueue(queue.NewJob{Priority: 1}), want: make(map[uuid.UUID]queue.State)}
	other := enqueue(queue.NewJob{})
	for range 7 {
		child := enqueue(queue.NewJob{Dependencies: []uuid.UUID{f.root}})
		grandchild := enqueue(queue.NewJob{Dependencies: []uuid.UUID{child, f.root}})
		f.want[child], f.want[grandchild] = queue.Blocked, queue.Blocked
		f.want[enqueue(queue.NewJob{Dependencies: []uuid.UUID{grandchild}})] = queue.Blocked
		f.want[enqueue(queue.NewJob{Dependencies: []uuid.UUID{child}, RunIf: queue.AllFinished})] = queue.Blocked
		f.want[enqueue(queue.NewJob{Dependencies: []uuid.UUID{child, other}, RunIf: queue.AllFinished})] = queue.Blocked
	}
	canceled := enqueue(queue.NewJob{Dependencies: []uuid.UUID{f.root}})
	require.NoError(t, s.CancelJob(t.Context(), canceled))
	f.want[canceled] = queue.Canceled // somebody wanted that
	f.want[enqueue(queue.NewJob{Dependencies: []uuid.UUID{canceled, f.root}})] = queue.Canceled
	l, err := s.DequeueByID(t.Context(), f.root, queue.Holder{}, queue.Once{})
	require.NoError(t, err)
	_, err = s.Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
	require.NoError(t, err)
	f.want[enqueue(queue.NewJob{Dependencies: []uuid.UUID{f.root}})] = queue.Blocked // failed at once
	f.want[f.root] = queue.Pending
	return f
}

func (f family) require(t *testing.T, s *Store) {
	t.Helper()
	for id, want := range f.want {
		status, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want.String(), status.State.String())
	}
}

// drain runs everything to its end, which finds what is stuck and what ran too early.
func (f family) drain(t *testing.T, s *Store) {
	t.Helper()
	ctx := doneContext(t)
	for {
		l, err := s.Dequeue(ctx, queue.DequeueRequest{Types: []string{"work"}})
		if err != nil {
			require.ErrorIs(t, err, queue.ErrDequeueTimeout)
			break
		}
		for _, d := range l.Dependencies {
			require.True(t, d.State.Over(), "a dependency is %s", d.State)
		}
		_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
		require.NoError(t, err)
	}
	for id, before := range f.want {
		status, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
		want := queue.Finished
		if before == queue.Canceled {
			want = before
		}
		require.Equal(t, want.String(), status.State.String())
	}
}

func TestARetryBringsTheWholeFamilyBack(t *testing.T) {
	t.Parallel()
	h := newHarness(t, vfs.NewMem(), "store", smallLimits())
	f := newFamily(t, h.store)
	require.NoError(t, h.store.RetryJob(t.Context(), f.root))
	f.require(t, h.store)
	h.store.audit(t)
	f.drain(t, h.store)
	h.Close(t)
}

func TestARetryThatACrashInterruptsIsFinishedByTheNextStart(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	h := newHarness(t, fs, "store", smallLimits())
	f := newFamily(t, h.store)
	s := h.store
	var r *retry
	group, err := s.commit(func(c *change) (err error) {
		r, err = c.beginRetry(f.root)
		return err
	})
	require.NoError(t, err)
	require.NoError(t, s.durable(group))
	require.ErrorIs(t, s.RetryJob(t.Context(), f.root), queue.ErrNotFailed, "it is under way")
	steps := 0
	for ; len(r.left) > 0; steps++ {
		t.Logf("crash after step %d", steps)
		after := newHarness(t, fs.CrashClone(vfs.CrashCloneCfg{}), "store", smallLimits())
		f.require(t, after.store)
		after.store.audit(t)
		f.drain(t, after.store)
		after.Close(t)

		group, err := s.commit(func(c *change) error { return c.retryStep(r) })
		require.NoError(t, err)
		require.NoError(t, s.durable(group))
	}
	require.Greater(t, steps, 5)
	f.require(t, s)
	f.drain(t, s)
	h.Close(t)
}

func TestAStoreOnWhichACrashHasInterruptedARetryIsSound(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s := newSteps(t, fs)
	root := s.enqueue(queue.NewJob{UniqueKey: "k"})
	s.after(6, root)
	s.fail(root)
	for r := s.begin(root); len(r.left) > 0; s.step(r) {
		require.NoError(t, s.store.answer(nil))
		a, err := auditDirectory(t.Context(), fs.CrashClone(vfs.CrashCloneCfg{}), "store")
		require.NoError(t, err)
		require.Empty(t, a.Differences)
	}
	s.Close(t)
}

// doneContext has a dequeue look, and not wait.
func doneContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
