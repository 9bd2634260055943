package embedded

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What happens between the steps of a retry. Each of these left a job stuck, or let it run too
// early, once. queuetest's storm finds such things by chance; here they are made to happen.

// steps drives a store by hand.
type steps struct {
	*testing.T
	*harness
}

func newSteps(t *testing.T, fs vfs.FS) steps {
	t.Helper()
	return steps{t, newHarness(t, fs, "store", smallLimits())}
}

func (s steps) enqueue(n queue.NewJob) uuid.UUID {
	s.Helper()
	if n.Type == "" {
		n.Type = "work"
	}
	enqueued, err := s.store.Enqueue(s.Context(), []queue.NewJob{n})
	require.NoError(s, err)
	return enqueued[0].ID
}

// after enqueues jobs that depend on one.
func (s steps) after(count int, dependency uuid.UUID) {
	s.Helper()
	for range count {
		s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{dependency}})
	}
}

func (s steps) state(id uuid.UUID) queue.State {
	s.Helper()
	status, err := s.store.JobStatus(s.Context(), id)
	require.NoError(s, err)
	return status.State
}

func (s steps) fail(id uuid.UUID) {
	s.Helper()
	l, err := s.store.DequeueByID(s.Context(), id, queue.Holder{}, queue.Once{})
	require.NoError(s, err)
	_, err = s.store.Fail(s.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
	require.NoError(s, err)
}

// begin begins a retry, without a step of it.
func (s steps) begin(root uuid.UUID) (t *retry) {
	s.Helper()
	_, err := s.store.commit(func(c *change) (err error) {
		t, err = c.beginRetry(root)
		return err
	})
	require.NoError(s, err)
	return t
}

func (s steps) step(t *retry) {
	s.Helper()
	require.NoError(s, s.store.settle(func(c *change) error { return c.retryStep(t) }))
}

func (s steps) finishRetry(t *retry) {
	s.Helper()
	for len(t.left) > 0 {
		s.step(t)
	}
}

func TestADependentThatEndsBetweenTwoStepsOfARetryLeavesNobodyStuck(t *testing.T) {
	t.Parallel()
	s := newSteps(t, vfs.NewMem())
	root, other := s.enqueue(queue.NewJob{}), s.enqueue(queue.NewJob{})
	middle := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{root}})
	s.after(6, root) // so that the step ends before it comes to those of the middle
	last := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{middle, other}, RunIf: queue.AllFinished})
	s.fail(root)
	r := s.begin(root)
	s.step(r)
	require.Equal(t, queue.Blocked, s.state(middle))
	require.NoError(t, s.store.CancelJob(t.Context(), middle))
	s.finishRetry(r)
	s.store.audit(t)
	s.fail(other)
	require.Equal(t, queue.Pending, s.state(last))
	s.Close(t)
}

func TestARetryWhileTheEndIsStillBeingToldHasAllWaitForTheNextOne(t *testing.T) {
	t.Parallel()
	s := newSteps(t, vfs.NewMem())
	root, other := s.enqueue(queue.NewJob{}), s.enqueue(queue.NewJob{})
	var waiting []uuid.UUID
	for range 9 {
		waiting = append(waiting, s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{root, other}, RunIf: queue.AllFinished}))
	}
	var pending []settlement
	_, err := s.store.commit(func(c *change) error {
		before, err := c.readRecord(root)
		if err != nil {
			return err
		}
		r := before
		if r.Record, err = before.Cancel(c.now); err != nil {
			return err
		}
		if err := c.finish(root, &before, r, nil); err != nil {
			return err
		}
		return c.settleSome(nil, &pending)
	})
	require.NoError(t, err)
	require.NotEmpty(t, pending)
	r := s.begin(root)
	_, err = s.store.finishSettling(pending) // it gets ahead of the retry
	require.NoError(t, err)
	s.finishRetry(r)
	s.store.audit(t)
	s.fail(other)
	for _, id := range waiting {
		require.Equal(t, queue.Blocked, s.state(id), "it waits for the root")
	}
	s.fail(root)
	for _, id := range waiting {
		require.Equal(t, queue.Pending, s.state(id))
	}
	s.Close(t)
}

func TestTwoRetriesAtOnceBringTheirCommonDependentBack(t *testing.T) {
	t.Parallel()
	s := newSteps(t, vfs.NewMem())
	one, two := s.enqueue(queue.NewJob{}), s.enqueue(queue.NewJob{})
	both := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{one, two}})
	s.after(6, one)
	s.after(6, two)
	s.fail(one)
	s.fail(two)
	first, second := s.begin(one), s.begin(two)
	s.step(first)
	s.step(second)
	s.finishRetry(first)
	s.finishRetry(second)
	require.Equal(t, queue.Blocked, s.state(both))
	s.Close(t)
}

func TestTwoRetriesOfOneFamilySurviveACrashEach(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s := newSteps(t, fs)
	root := s.enqueue(queue.NewJob{})
	middle := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{root}})
	last := s.enqueue(queue.NewJob{Dependencies: []uuid.UUID{middle}, UniqueKey: "k"})
	s.after(9, last)
	s.after(9, root)
	s.fail(root)
	r := s.begin(root)
	for s.state(last) != queue.Blocked {
		s.step(r)
	}
	require.NoError(t, s.store.CancelJob(t.Context(), last))
	own := s.begin(last)
	s.step(own)
	require.NotEmpty(t, own.left)
	s.finishRetry(r)
	after := newSteps(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	require.Equal(t, queue.Blocked, after.state(last), "its own retry was not forgotten")
	after.Close(t)
	s.finishRetry(own)
	s.Close(t)
}

func TestARetryThatFailedHalfWayIsFinishedByARepetition(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	d := steps{t, &harness{store: s}}
	root := d.enqueue(queue.NewJob{})
	dependent := d.enqueue(queue.NewJob{Dependencies: []uuid.UUID{root}})
	d.fail(root)
	r := d.begin(root)
	key := idKey(nil, prefixJob, root)
	value, _, err := s.get(key)
	require.NoError(t, err)
	require.NoError(t, s.db.Set(key, []byte{0xff}, pebble.Sync))
	require.ErrorIs(t, s.finishRetry(r), queue.ErrDamaged)
	require.NoError(t, s.db.Set(key, value, pebble.Sync)) // it can be read again
	require.NoError(t, s.RetryJob(t.Context(), root))
	require.Equal(t, queue.Pending, d.state(root))
	require.Equal(t, queue.Blocked, d.state(dependent))
	s.audit(t)
	require.NoError(t, s.Close())
}
