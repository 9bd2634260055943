package peer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/peer"
)

// memory is a system whose lanes are channels.
type memory struct {
	lanes map[string]chan struct{}
	fails error // what adding comes to
}

func newMemory() *memory {
	return &memory{lanes: map[string]chan struct{}{peer.Lane: make(chan struct{}, 1000), peer.OtherLane: make(chan struct{}, 1000)}}
}

func (m *memory) open(_ context.Context, lane string, _ int) (peer.Session, error) {
	return &session{memory: m, lane: m.lanes[lane], ended: make(chan struct{})}, nil
}

type session struct {
	*memory
	lane    chan struct{}
	fetched int
	ended   chan struct{}
	once    sync.Once
}

func (s *session) Add(n int) error {
	for range n {
		s.lane <- struct{}{}
	}
	return s.fails
}

func (s *session) Fetch(n int) error {
	for range n {
		select {
		case <-s.lane:
		case <-s.ended:
			return errors.New("closed")
		}
	}
	s.fetched = n
	return nil
}

func (s *session) Acknowledge() error {
	if s.fetched == 0 {
		return errors.New("nothing was fetched")
	}
	return nil
}

func (s *session) Close() { s.once.Do(func() { close(s.ended) }) }

func TestCycleCountsJobs(t *testing.T) {
	t.Parallel()
	m := newMemory()
	r, err := peer.Cycle(t.Context(), m.open, peer.Cycles{Callers: 3, Batch: 10, WarmUp: time.Millisecond, Duration: 10 * time.Millisecond})
	require.NoError(t, err)
	require.GreaterOrEqual(t, r.Operations, int64(30))
	require.Zero(t, r.Operations%10)
}

func TestCycleEndsWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.fails = errors.New("broken")
	_, err := peer.Cycle(t.Context(), m.open, peer.Cycles{Callers: 3, Batch: 1, Duration: time.Hour})
	require.ErrorIs(t, err, m.fails)
}

func TestWakesAreMeasuredBesideOthers(t *testing.T) {
	t.Parallel()
	for _, busy := range []int{0, 2} {
		wakes, err := peer.Wake(t.Context(), newMemory().open, peer.Wakes{Busy: busy, Duration: 20 * time.Millisecond})
		require.NoError(t, err)
		require.NotEmpty(t, wakes)
		for _, wake := range wakes {
			require.Positive(t, wake)
		}
	}
}

func TestWakeEndsWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.fails = errors.New("broken")
	_, err := peer.Wake(t.Context(), m.open, peer.Wakes{Duration: time.Hour})
	require.ErrorIs(t, err, m.fails)
}
