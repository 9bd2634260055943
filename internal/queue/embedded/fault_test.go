package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var errInjected = errors.New("injected")

// failNth makes the n-th write fail, and, if sticky, every one after it. It spares the change
// from one log file to the next: if that fails Pebble crashes the process in a way that cannot
// be recovered from, which TestAStoreThatCannotChangeItsLogEndsTheProcess looks at.
type failNth struct {
	n      int64
	sticky bool
	writes atomic.Int64
	over   atomic.Bool // whether nothing fails any more
	spare  atomic.Bool // whether all but tables and manifests are spared
}

func (f *failNth) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || f.over.Load() {
		return nil
	}
	if f.spare.Load() && !strings.HasSuffix(op.Path, ".sst") && !strings.Contains(op.Path, "MANIFEST") {
		return nil
	}
	if i := f.writes.Add(1); i == f.n || f.sticky && i > f.n {
		return errInjected
	}
	return nil
}

func (*failNth) String() string { return "fail the n-th write" }

// script makes one change of each kind, and returns the status of every job as it was
// acknowledged last, and the one job that the first call that failed was about.
func script(t *testing.T, s *Store, faults *failNth) (acknowledged map[uuid.UUID]queue.Status, unknown uuid.UUID) {
	t.Helper()
	ctx := t.Context()
	acknowledged = make(map[uuid.UUID]queue.Status)
	see := func(id uuid.UUID) bool {
		status, err := s.JobStatus(ctx, id)
		if err != nil {
			return false
		}
		acknowledged[id] = status
		return true
	}
	var ids []uuid.UUID
	for i := range 6 {
		n := queue.NewJob{Type: "build", Args: json.RawMessage(fmt.Sprint(i))}
		if i >= 4 {
			n.Dependencies = []uuid.UUID{ids[0]}
		}
		statuses, err := s.Enqueue(ctx, []queue.NewJob{n})
		if err != nil {
			return acknowledged, uuid.Nil
		}
		ids = append(ids, statuses[0].ID)
		acknowledged[ids[i]] = statuses[0].Status
		if i >= 4 && !see(ids[0]) {
			return acknowledged, ids[0]
		}
	}
	// Everything so far goes into a file, so that a flush and a change of log are hit too.
	if s.failure.failed() {
		return acknowledged, uuid.Nil
	}
	faults.spare.Store(true)
	// Not waited for: Pebble tries a flush that fails again, for ever.
	_, _ = watch(s.failure, s.db.AsyncFlush)
	faults.spare.Store(false)
	steps := []struct {
		id   uuid.UUID
		step func(queue.Lease) error
	}{
		{ids[0], func(l queue.Lease) error {
			_, err := s.RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{Result: json.RawMessage(`1`)})
			return err
		}},
		{ids[1], func(l queue.Lease) error {
			_, err := s.Release(ctx, l.Token, 0)
			return err
		}},
		{ids[1], func(queue.Lease) error { return s.CancelJob(ctx, ids[1]) }},
		{ids[2], func(l queue.Lease) error {
			_, err := s.RequeueOrFinishJob(ctx, l.Token, 2, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}})
			return err
		}},
		{ids[3], func(queue.Lease) error { return nil }},
	}
	for _, step := range steps {
		l, err := s.DequeueByID(ctx, step.id, queue.Holder{Worker: "w"}, queue.Once{})
		if err != nil || !see(step.id) || step.step(l) != nil || !see(step.id) {
			return acknowledged, step.id
		}
	}
	return acknowledged, uuid.Nil
}

// requireKept requires that the store that is found after a crash has every job as it was
// acknowledged last. The job that the failing call was about may have moved on.
func requireKept(t *testing.T, fs vfs.FS, acknowledged map[uuid.UUID]queue.Status, unknown uuid.UUID) {
	t.Helper()
	h := newHarness(t, fs, "store", defaultLimits())
	defer h.Close(t)
	dependenciesMoved := unknown != uuid.Nil
	for id, want := range acknowledged {
		got, err := h.store.JobStatus(t.Context(), id)
		require.NoError(t, err, "an acknowledged job is lost")
		require.Equal(t, want.Type, got.Type)
		require.Equal(t, want.Queued, got.Queued)
		if id == unknown || dependenciesMoved && len(want.Dependencies) > 0 {
			require.GreaterOrEqual(t, got.Attempt, want.Attempt)
			continue
		}
		if len(want.Dependencies) > 0 {
			continue // it was told since it was seen
		}
		require.Equal(t, want, got)
	}
}

func TestNoFailedWriteLosesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, n int64, sticky bool) (writes int64) {
		t.Helper()
		disk := vfs.NewCrashableMem()
		faults := &failNth{n: n, sticky: sticky}
		s, err := open(errorfs.Wrap(disk, faults), "store", Options{}, defaultLimits())
		if err != nil {
			return faults.writes.Load()
		}
		acknowledged, unknown := script(t, s, faults)
		after := disk.CrashClone(vfs.CrashCloneCfg{}) // only what was synced
		requireKept(t, after, acknowledged, unknown)
		if s.failure.failed() {
			require.ErrorIs(t, s.Ready(t.Context()), queue.ErrUnavailable)
			_, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
			require.ErrorIs(t, err, queue.ErrUnavailable, "after a failed write nothing is accepted")
		}
		faults.over.Store(true) // or Pebble would try a failed flush again, for ever
		_ = s.Close()           // may well fail
		return faults.writes.Load()
	}
	for _, sticky := range []bool{false, true} {
		t.Run(fmt.Sprintf("sticky=%t", sticky), func(t *testing.T) {
			t.Parallel()
			total := run(t, -1, false)
			require.Greater(t, total, int64(20))
			for n := int64(1); n <= total; n++ {
				run(t, n, sticky)
			}
		})
	}
}

const (
	crashDirectory = "LONGSHORE_TEST_CRASH_DIRECTORY" // says that this process is to crash
	crashExitsWith = 2                                // how Go ends a process that crashes
)

// TestAStoreThatCannotChangeItsLogEndsTheProcess runs itself as a second process, which fails.
func TestAStoreThatCannotChangeItsLogEndsTheProcess(t *testing.T) {
	if directory := os.Getenv(crashDirectory); directory != "" {
		crashInRotation(t, directory)
		return
	}
	t.Parallel()
	directory := t.TempDir()
	//nolint:gosec // the program is this test itself
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), crashDirectory+"="+directory)
	out, err := child.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, crashExitsWith, exit.ExitCode())
	require.Contains(t, string(exit.Stderr), "panic:")

	s, err := Open(directory, Options{Logger: failOnError{t}})
	require.NoError(t, err)
	acknowledged := strings.Fields(string(out))
	require.Len(t, acknowledged, 10)
	for _, id := range acknowledged {
		_, err := s.JobStatus(t.Context(), uuid.MustParse(id))
		require.NoError(t, err, "an acknowledged job is lost")
	}
	s.audit(t)
	require.NoError(t, s.Close())
}

// crashInRotation prints the ids of jobs that were acknowledged, and then needs a new log.
func crashInRotation(t *testing.T, directory string) {
	t.Helper()
	var failing atomic.Bool
	s, err := open(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") {
			return errInjected
		}
		return nil
	})), directory, Options{}, defaultLimits())
	require.NoError(t, err)
	for range 10 {
		statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
		require.NoError(t, err)
		fmt.Println(statuses[0].ID)
	}
	failing.Store(true)
	_ = s.db.Flush()
	t.Fatal("Pebble went on without a log")
}

func TestAFailedSyncStopsTheStoreAndTellsOnce(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			return errInjected
		}
		return nil
	}))
	told := make(chan error, 10)
	s, err := open(fs, "store", Options{OnFailure: func(err error) { told <- err }}, defaultLimits())
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Dequeue(context.Background(), queue.DequeueRequest{Types: []string{"other"}})
		waiting <- err
	}()
	failing.Store(true)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := s.Enqueue(context.Background(), []queue.NewJob{{Type: "build"}})
			require.ErrorIs(t, err, queue.ErrUnavailable)
		})
	}
	group.Wait()
	require.ErrorContains(t, <-told, "injected")
	failing.Store(false)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.ErrorIs(t, err, queue.ErrUnavailable, "a sync that works again changes nothing")
	require.ErrorIs(t, s.Close(), queue.ErrUnavailable)
	require.ErrorIs(t, <-waiting, queue.ErrUnavailable, "nobody waits for ever")
	require.Empty(t, told)
}

// TestWhatWasAcknowledgedSurvivesAPowerCutAtAnyMoment cuts the power while many callers work,
// and compares what they were told with what is found.
func TestWhatWasAcknowledgedSurvivesAPowerCutAtAnyMoment(t *testing.T) {
	t.Parallel()
	for round := range uint64(60) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewCrashableMem()
			s, err := open(fs, "store", Options{}, defaultLimits())
			require.NoError(t, err)
			//nolint:gosec // not for secrets
			random := rand.New(rand.NewPCG(round, 1))
			cutAfter := int64(1 + random.IntN(300))
			seen := newSeen()
			var calls atomic.Int64
			var group sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cut := make(chan struct{})
			for range 8 {
				group.Go(func() {
					for ctx.Err() == nil {
						seen.oneCycle(ctx, s)
						if calls.Add(1) == cutAfter {
							close(cut)
						}
					}
				})
			}
			<-cut
			before := seen.copy() // what was acknowledged before the cut
			after := fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: []int{0, 50, 100}[random.IntN(3)], RNG: random,
			})
			cancel()
			group.Wait()
			require.NoError(t, s.Close())

			h := newHarness(t, after, "store", defaultLimits())
			defer h.Close(t)
			before.requireIn(t, h.store)
		})
	}
}

// seen is what callers were told: the args of each enqueued job, and the result of each
// finished one.
type seen struct {
	mu       sync.Mutex
	enqueued map[uuid.UUID]string
	finished map[uuid.UUID]string
	next     int
}

func newSeen() *seen {
	return &seen{enqueued: make(map[uuid.UUID]string), finished: make(map[uuid.UUID]string)}
}

func (n *seen) copy() *seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := newSeen()
	for id, args := range n.enqueued {
		c.enqueued[id] = args
	}
	for id, result := range n.finished {
		c.finished[id] = result
	}
	return c
}

func (n *seen) oneCycle(ctx context.Context, s *Store) {
	n.mu.Lock()
	n.next++
	args := fmt.Sprint(n.next)
	n.mu.Unlock()
	statuses, err := s.Enqueue(ctx, []queue.NewJob{{Type: "build", Args: json.RawMessage(args)}})
	if err != nil {
		return
	}
	n.mu.Lock()
	n.enqueued[statuses[0].ID] = args
	n.mu.Unlock()
	l, err := s.Dequeue(ctx, queue.DequeueRequest{Types: []string{"build"}})
	if err != nil {
		return
	}
	result := fmt.Sprintf(`"%s done"`, l.Args)
	if _, err := s.RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{Result: json.RawMessage(result)}); err != nil {
		return
	}
	n.mu.Lock()
	n.finished[l.JobID] = result
	n.mu.Unlock()
}

func (n *seen) requireIn(t *testing.T, s *Store) {
	t.Helper()
	for id, args := range n.enqueued {
		job, err := s.Job(t.Context(), id)
		require.NoError(t, err, "an acknowledged job is lost")
		require.Equal(t, args, string(job.Args))
	}
	for id, result := range n.finished {
		status, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Finished, status.State, "an acknowledged result is lost")
		require.Equal(t, result, string(status.Result))
	}
}
