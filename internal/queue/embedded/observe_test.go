package embedded

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// observer keeps what all engines tell, and how many callers have waited for a sync.
type observer struct {
	*queuetest.Observed
	callers *atomic.Int64 // nil to leave them out
}

func (o observer) Synced(_ time.Duration, callers int) {
	if o.callers != nil {
		o.callers.Add(int64(callers))
	}
}

func TestSyncsAreToldWithThoseWhoWaitedForThem(t *testing.T) {
	t.Parallel()
	var callers atomic.Int64
	s, err := OpenMemory(Options{Observer: observer{new(queuetest.Observed), &callers}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "t"}})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"t"}})
	require.NoError(t, err)
	require.GreaterOrEqual(t, callers.Load(), int64(2))

	stats, err := s.Stats()
	require.NoError(t, err)
	require.Equal(t, 1, stats.Leases)
	require.Positive(t, stats.BytesWritten)
	_, err = s.Release(t.Context(), l.Token, 0)
	require.NoError(t, err)
	stats, err = s.Stats()
	require.NoError(t, err)
	require.Zero(t, stats.Leases)
}
