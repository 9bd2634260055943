package embedded

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// clock stands still, but for the jumps that tests make.
type clock struct {
	mu   sync.Mutex
	time time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// harness runs the conformance suite on a file system, and restarts by closing, or, on a
// crashable one, by a power cut that keeps only what was synced.
type harness struct {
	fs        vfs.FS
	directory string
	limits    limits
	crash     func() vfs.FS // nil to close cleanly
	clock     clock
	observed  queuetest.Observed
	store     *Store
}

// smallLimits make small graphs and short backlogs meet every limit.
func smallLimits() limits {
	l := defaultLimits()
	l.settleStep, l.unlinkStep, l.windowRefill, l.logAhead, l.eventsKept = 3, 2, 2, 300, 1000
	return l
}

// onDiskLimits are those of a server, but that fewer events are kept: a test has to exceed them.
func onDiskLimits() limits {
	l := defaultLimits()
	l.eventsKept = 4000
	return l
}

func newHarness(t queuetest.TB, fs vfs.FS, directory string, limits limits) *harness {
	t.Helper()
	h := &harness{fs: fs, directory: directory, limits: limits, clock: clock{time: time.Now()}}
	h.open(t)
	return h
}

func (h *harness) open(t queuetest.TB) {
	t.Helper()
	store, err := open(h.fs, h.directory, Options{Clock: h.clock.now, Logger: failOnError{t}, Observer: observer{Observed: &h.observed}}, h.limits)
	require.NoError(t, err)
	h.store = store
}

func (h *harness) Queue() queuetest.Queue { return h.store }

func (h *harness) Now() time.Time { return h.store.now() }

// Advance does by itself what the timekeeper does as well, but at a time of its own.
func (h *harness) Advance(d time.Duration) {
	h.clock.advance(d)
	if err := h.store.CatchUp(); err != nil {
		panic(err)
	}
}

func (h *harness) Observed() *queuetest.Observed { return &h.observed }

func (h *harness) Restart(t queuetest.TB) {
	t.Helper()
	if h.crash != nil {
		h.fs = h.crash()
	}
	require.NoError(t, h.store.Close())
	h.open(t)
	h.store.audit(t)
}

func (h *harness) Close(t queuetest.TB) {
	t.Helper()
	h.store.audit(t)
	require.NoError(t, h.store.Close())
	// Not left to the test's end: the files of one store are preallocated, and a random test
	// makes hundreds of stores.
	require.NoError(t, h.fs.RemoveAll(h.directory))
}

// failOnError is a logger: an error in the log of a store that nobody harmed is a failure.
type failOnError struct{ t queuetest.TB }

func (failOnError) Info(string, ...string) {}

func (f failOnError) Error(err error, msg string, keysAndValues ...string) {
	f.t.Fatalf("the store logged an error: %s %v: %v", msg, keysAndValues, err)
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(t queuetest.TB) queuetest.Harness { return newHarness(t, vfs.NewMem(), "store", smallLimits()) })
}

func TestOnDisk(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var stores atomic.Int64
	queuetest.Test(t, func(t queuetest.TB) queuetest.Harness {
		return newHarness(t, vfs.Default, filepath.Join(root, fmt.Sprint(stores.Add(1))), onDiskLimits())
	})
}

func TestAfterPowerCuts(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(t queuetest.TB) queuetest.Harness {
		fs := vfs.NewCrashableMem()
		h := newHarness(t, fs, "store", smallLimits())
		h.crash = func() vfs.FS {
			// What was not synced may be kept, lost, or kept in part.
			seed := rand.Uint64()
			t.Logf("power cut with seed %d", seed)
			//nolint:gosec // not for secrets
			random := rand.New(rand.NewPCG(seed, 0))
			keep := []int{0, 50, 100}[random.IntN(3)]
			fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: random})
			return fs
		}
		return h
	})
}

var _ queue.JobQueue = (*Store)(nil)
