package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

func TestBothEnginesAnswerAlike(t *testing.T) {
	t.Parallel()
	queuetest.TestAlike(t, func(t queuetest.TB) (first, second queuetest.Harness) {
		h := newHarness(t, smallLimits())
		return newEmbeddedHarness(t, h.Now()), h
	})
}

// embeddedHarness is an embedded store in memory, whose clock stands still.
type embeddedHarness struct {
	store    *embedded.Store
	observed queuetest.Observed
	mu       sync.Mutex
	time     time.Time // guarded by mu
}

// unsynced is an embedded.Observer that leaves out syncs.
type unsynced struct{ *queuetest.Observed }

func (unsynced) Synced(time.Duration, int) {}

func newEmbeddedHarness(t queuetest.TB, now time.Time) *embeddedHarness {
	t.Helper()
	h := &embeddedHarness{time: now}
	store, err := embedded.OpenMemory(embedded.Options{Clock: h.Now, Logger: failOnError{t}, Observer: unsynced{&h.observed}})
	require.NoError(t, err)
	h.store = store
	return h
}

func (h *embeddedHarness) Queue() queuetest.Queue { return h.store }

func (h *embeddedHarness) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *embeddedHarness) Advance(d time.Duration) {
	h.mu.Lock()
	h.time = h.time.Add(d)
	h.mu.Unlock()
	if err := h.store.CatchUp(); err != nil {
		panic(err)
	}
}

func (h *embeddedHarness) Observed() *queuetest.Observed { return &h.observed }

func (*embeddedHarness) Restart(t queuetest.TB) { t.Fatalf("what is in memory is not restarted") }

func (h *embeddedHarness) Close(t queuetest.TB) {
	t.Helper()
	require.NoError(t, h.store.Close())
}
