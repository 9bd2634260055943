package embedded

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// cascade is a graph of three levels, each wider than a step of smallLimits, below one root.
type cascade struct {
	root uuid.UUID
	want map[uuid.UUID]queue.State // once the root is canceled
}

func newCascade(t *testing.T, s *Store) cascade {
	t.Helper()
	enqueue := func(runIf queue.RunIf, dependencies ...uuid.UUID) uuid.UUID {
		statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "work", RunIf: runIf, Dependencies: dependencies}})
		require.NoError(t, err)
		return statuses[0].ID
	}
	g := cascade{root: enqueue(queue.AllSucceeded), want: make(map[uuid.UUID]queue.State)}
	other := enqueue(queue.AllSucceeded)
	g.want[g.root], g.want[other] = queue.Canceled, queue.Pending
	for range 4 {
		middle := enqueue(queue.AllSucceeded, g.root)
		waits := enqueue(queue.AllFinished, g.root, other)
		g.want[middle], g.want[waits] = queue.Canceled, queue.Blocked
		for range 4 {
			g.want[enqueue(queue.AllSucceeded, middle)] = queue.Canceled
			g.want[enqueue(queue.AllFinished, g.root, middle)] = queue.Pending
			g.want[enqueue(queue.AllFinished, middle, waits)] = queue.Blocked
		}
	}
	return g
}

func (g cascade) require(t *testing.T, s *Store) {
	t.Helper()
	for id, want := range g.want {
		status, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want.String(), status.State.String())
	}
}

// cancelRoot makes the first step of a cancel, and returns what is left to settle.
func (g cascade) cancelRoot(t *testing.T, s *Store) (pending []settlement) {
	t.Helper()
	group, err := s.commit(func(c *change) error {
		before, err := c.readRecord(g.root)
		if err != nil {
			return err
		}
		r := before
		if r.Record, err = r.Cancel(c.now); err != nil {
			return err
		}
		if err := c.finish(g.root, &before, r, nil); err != nil {
			return err
		}
		return c.settleSome(nil, &pending)
	})
	require.NoError(t, err)
	require.NoError(t, s.durable(group))
	require.NotEmpty(t, pending)
	return pending
}

func TestASettlementThatACrashInterruptsIsFinishedByTheNextStart(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	h := newHarness(t, fs, "store", smallLimits())
	g := newCascade(t, h.store)
	pending := g.cancelRoot(t, h.store)
	for step := 0; len(pending) > 0; step++ {
		t.Logf("crash after step %d", step)
		after := newHarness(t, fs.CrashClone(vfs.CrashCloneCfg{}), "store", smallLimits())
		g.require(t, after.store)
		after.Close(t)

		group, err := h.store.commit(func(c *change) error { return c.settleSome(pending, &pending) })
		require.NoError(t, err)
		require.NoError(t, h.store.durable(group))
	}
	g.require(t, h.store)
	h.Close(t)
}

func TestASettlementThatFailedIsFinishedByARepetition(t *testing.T) {
	t.Parallel()
	h := newHarness(t, vfs.NewMem(), "store", smallLimits())
	g := newCascade(t, h.store)
	h.store.unsettled = g.cancelRoot(t, h.store) // as a read error leaves it
	require.NoError(t, h.store.CancelJob(t.Context(), g.root))
	g.require(t, h.store)
	h.Close(t)
}

func TestASettlementThatCannotGoOnHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	for runIf, want := range map[queue.RunIf]queue.State{queue.AllFinished: queue.Pending, queue.AllSucceeded: queue.Canceled} {
		t.Run(want.String(), func(t *testing.T) {
			t.Parallel()
			requireSettlementGoesOn(t, runIf, want)
		})
	}
}

// requireSettlementGoesOn has the dependents of a canceled job be told, which become what is wanted, while
// nothing can be read for a time.
func requireSettlementGoesOn(t *testing.T, runIf queue.RunIf, want queue.State) {
	t.Helper()
	disk := vfs.NewMem()
	s, err := open(disk, "store", Options{}, smallLimits())
	require.NoError(t, err)
	statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "root"}})
	require.NoError(t, err)
	root := statuses[0].ID
	dependents := make([]queue.NewJob, 3*s.limits.settleStep)
	for i := range dependents { // each in a block of its own
		dependents[i] = queue.NewJob{
			Type: "leaf", RunIf: runIf, Dependencies: []uuid.UUID{root}, Args: fmt.Appendf(nil, "%q", strings.Repeat("x", 100_000)),
		}
	}
	leaves, err := s.Enqueue(t.Context(), dependents)
	require.NoError(t, err)
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())

	var failing atomic.Bool
	var commits atomic.Pointer[atomic.Uint64] // of the store
	var working atomic.Uint64                 // up to so many of them reads succeed
	s, err = open(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && commits.Load().Load() >= working.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") {
			return errInjected
		}
		return nil
	})), "store", Options{}, smallLimits())
	require.NoError(t, err)
	// The first step can be made, and the second cannot.
	commits.Store(&s.syncer.committed)
	working.Store(s.syncer.committed.Load() + 1)
	failing.Store(true)
	require.ErrorIs(t, s.CancelJob(t.Context(), root), errInjected)
	require.NotEmpty(t, s.unsettled)

	other, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "other"}})
	require.NoError(t, err)
	require.NoError(t, s.CancelJob(t.Context(), other[0].ID), "somebody else's call")
	require.NotEmpty(t, s.unsettled)

	failing.Store(false)
	require.NoError(t, s.CancelJob(t.Context(), root))
	for _, leaf := range leaves {
		status, err := s.JobStatus(t.Context(), leaf.ID)
		require.NoError(t, err)
		require.Equal(t, want, status.State)
	}
	s.audit(t)
	require.NoError(t, s.Close())
}

func TestADependentThatIsEnqueuedBetweenTwoStepsIsNotTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t, vfs.NewMem(), "store", smallLimits())
	g := newCascade(t, h.store)
	h.store.unsettled = g.cancelRoot(t, h.store)
	open, err := h.store.Enqueue(t.Context(), []queue.NewJob{{Type: "other"}})
	require.NoError(t, err)
	late, err := h.store.Enqueue(t.Context(), []queue.NewJob{{
		Type: "late", RunIf: queue.AllFinished, Dependencies: []uuid.UUID{g.root, open[0].ID},
	}})
	require.NoError(t, err)
	require.NoError(t, h.store.CancelJob(t.Context(), g.root))
	g.want[late[0].ID] = queue.Blocked // by one that is open, and not by the root, which was over
	g.require(t, h.store)
	h.Close(t)
}

func TestChainsAreSettledInBoundedSteps(t *testing.T) {
	t.Parallel()
	h := newHarness(t, vfs.NewMem(), "store", smallLimits())
	jobs := []queue.NewJob{{Type: "link"}}
	var ids []uuid.UUID
	for range 10 {
		statuses, err := h.store.Enqueue(t.Context(), jobs)
		require.NoError(t, err)
		ids = append(ids, statuses[0].ID)
		jobs = []queue.NewJob{{Type: "link", Dependencies: []uuid.UUID{statuses[0].ID}}}
	}
	before := h.store.syncer.committed.Load()
	require.NoError(t, h.store.CancelJob(t.Context(), ids[0]))
	require.Greater(t, h.store.syncer.committed.Load()-before, uint64(2))
	h.Close(t)
}

func TestAJobThatIsDeletedBeforeItsDependentsAreToldLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s := newSteps(t, fs)
	root := s.enqueue(queue.NewJob{})
	var children []uuid.UUID
	for range 2 * s.limits.settleStep {
		child := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{root}})
		// It has a dependent, which is gone by the time that it ends.
		grandchild := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{child}})
		require.NoError(t, s.store.CancelJob(t.Context(), grandchild))
		require.NoError(t, s.store.DeleteJob(t.Context(), grandchild))
		children = append(children, child)
	}
	s.store.unsettled = cascade{root: root}.cancelRoot(t, s.store)
	require.Equal(t, queue.Canceled, s.state(children[0]))
	require.NoError(t, s.store.DeleteJob(t.Context(), children[0]))

	after := newHarness(t, fs.CrashClone(vfs.CrashCloneCfg{}), "store", smallLimits()) // which would tell of an error
	for _, h := range []*harness{after, s.harness} {
		require.NoError(t, h.store.CancelJob(t.Context(), root))
		_, err := h.store.JobStatus(t.Context(), children[0])
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = h.store.Prune(t.Context(), time.Time{}) // of what was deleted
		require.NoError(t, err)
		found := false
		require.NoError(t, h.store.scan([]byte{prefixHidden}, []byte{prefixHidden + 1}, func([]byte, []byte) (bool, error) {
			found = true
			return true, nil
		}))
		require.False(t, found)
		h.Close(t)
	}
}
