package reaper_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/reaper"
)

// start opens a store and a reaper on it, in the bubble's virtual time.
func start(t *testing.T, options reaper.Options) *embedded.Store {
	t.Helper()
	store, err := embedded.OpenMemory(embedded.Options{})
	require.NoError(t, err)
	r := reaper.New(store, options)
	r.Start()
	t.Cleanup(func() {
		r.Stop()
		r.Stop() // again does no harm
		require.NoError(t, store.Close())
	})
	return store
}

func enqueue(t *testing.T, store *embedded.Store, job queue.NewJob) uuid.UUID {
	t.Helper()
	added, err := store.Enqueue(t.Context(), []queue.NewJob{job})
	require.NoError(t, err)
	return added[0].ID
}

func dequeue(t *testing.T, store *embedded.Store) queue.Lease {
	t.Helper()
	lease, err := store.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	return lease
}

func status(t *testing.T, store *embedded.Store, id uuid.UUID) queue.Status {
	t.Helper()
	s, err := store.JobStatus(t.Context(), id)
	require.NoError(t, err)
	return s
}

// advance lets virtual time pass, until everything that it set off has come to rest.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestASilentJobIsRequeuedTwiceThenFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		id := enqueue(t, store, queue.NewJob{Type: "build"})
		for range 2 {
			dequeue(t, store)
			advance(110 * time.Second)
			require.Equal(t, queue.Running, status(t, store, id).State, "within the timeout")
			advance(40 * time.Second)
			require.Equal(t, queue.Pending, status(t, store, id).State, "timeout and interval have passed")
		}
		dequeue(t, store)
		advance(150 * time.Second)
		got := status(t, store, id)
		require.Equal(t, queue.Failed, got.State)
		require.Equal(t, &queue.JobError{Reason: queue.ReasonHeartbeatLost}, got.Error)
		require.Equal(t, uint64(3), got.Attempt)
	})
}

func TestAWorkerThatBeatsKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		id := enqueue(t, store, queue.NewJob{Type: "build"})
		lease := dequeue(t, store)
		for range 100 {
			advance(40 * time.Second)
			answer, err := store.RefreshHeartbeat(t.Context(), lease.Token, queue.Beat{})
			require.NoError(t, err)
			require.False(t, answer.Canceled)
		}
		require.Equal(t, uint64(1), status(t, store, id).Attempt)
	})
}

func TestAJobsOwnMaxRetriesWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		none, three := uint64(0), uint64(3)
		fragile := enqueue(t, store, queue.NewJob{Type: "build", MaxRetries: &none})
		dequeue(t, store)
		advance(150 * time.Second)
		require.Equal(t, queue.Failed, status(t, store, fragile).State)

		robust := enqueue(t, store, queue.NewJob{Type: "build", MaxRetries: &three})
		for range 3 {
			dequeue(t, store)
			advance(150 * time.Second)
			require.Equal(t, queue.Pending, status(t, store, robust).State)
		}
		dequeue(t, store)
		advance(150 * time.Second)
		require.Equal(t, queue.Failed, status(t, store, robust).State)
	})
}

// A job's own timeout goes before the server's, be it shorter or longer.
func TestAJobsOwnHeartbeatTimeoutWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		hasty := enqueue(t, store, queue.NewJob{Type: "build", HeartbeatTimeout: 20 * time.Second})
		patient := enqueue(t, store, queue.NewJob{Type: "build", HeartbeatTimeout: 10 * time.Minute})
		usual := enqueue(t, store, queue.NewJob{Type: "build"})
		for range 3 {
			dequeue(t, store)
		}
		running := func() (running []uuid.UUID) {
			for _, id := range []uuid.UUID{hasty, patient, usual} {
				if status(t, store, id).State == queue.Running {
					running = append(running, id)
				}
			}
			return running
		}
		advance(19 * time.Second)
		require.Equal(t, []uuid.UUID{hasty, patient, usual}, running())
		advance(31 * time.Second)
		require.Equal(t, []uuid.UUID{patient, usual}, running(), "its timeout and an interval have passed")
		advance(100 * time.Second)
		require.Equal(t, []uuid.UUID{patient}, running())
		advance(7 * time.Minute)
		require.Equal(t, []uuid.UUID{patient}, running())
		advance(2 * time.Minute)
		require.Empty(t, running())
		require.Equal(t, uint64(1), status(t, store, patient).Retries)
	})
}

func TestAWaitingWorkerIsHandedAReapedJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		id := enqueue(t, store, queue.NewJob{Type: "build"})
		dequeue(t, store)
		before := time.Now()
		lease := dequeue(t, store) // blocks until the reaper has acted
		require.Equal(t, id, lease.JobID)
		require.Equal(t, uint64(2), lease.Attempt)
		require.LessOrEqual(t, time.Since(before), 150*time.Second, "timeout and interval")
	})
}

func TestHundredsOfSilentLeasesAreReapedAtOneLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := start(t, reaper.Options{MaxRetries: 2})
		ids := make([]uuid.UUID, 200)
		for i := range ids {
			ids[i] = enqueue(t, store, queue.NewJob{Type: "build"})
		}
		for range ids {
			dequeue(t, store)
		}
		advance(150 * time.Second)
		for _, id := range ids {
			require.Equal(t, queue.Pending, status(t, store, id).State)
		}
	})
}

// stubborn is a queue whose leases cannot be taken back, but for one.
type stubborn struct {
	tokens []uuid.UUID
	easy   uuid.UUID

	mu     sync.Mutex
	reaped map[uuid.UUID]int // guarded by mu
	looks  int               // guarded by mu
	broken bool              // guarded by mu
}

func (s *stubborn) Heartbeats(context.Context, time.Duration) ([]uuid.UUID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.broken {
		return nil, queue.ErrUnavailable
	}
	return s.tokens, nil
}

func (s *stubborn) IdFromToken(_ context.Context, token uuid.UUID) (uuid.UUID, error) {
	if token == s.tokens[0] {
		return uuid.Nil, errors.New("cannot be looked up")
	}
	return token, nil
}

func (s *stubborn) Job(_ context.Context, id uuid.UUID) (queue.Job, error) {
	if id == s.tokens[1] {
		return queue.Job{}, queue.ErrDamaged
	}
	return queue.Job{}, nil
}

func (s *stubborn) RequeueOrFinishJob(_ context.Context, token uuid.UUID, _ uint64, _ queue.Outcome) (queue.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reaped[token]++
	if token != s.easy {
		return 0, errors.New("cannot be taken back")
	}
	return queue.Pending, nil
}

// countingLogger counts errors.
type countingLogger struct {
	queue.NopLogger
	mu     sync.Mutex
	errors int // guarded by mu
}

func (l *countingLogger) Error(error, string, ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors++
}

func (l *countingLogger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errors
}

func TestStubbornLeasesHideNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &stubborn{reaped: make(map[uuid.UUID]int)}
		for range 1000 {
			q.tokens = append(q.tokens, uuid.New())
		}
		q.easy = q.tokens[999]
		logger := new(countingLogger)
		r := reaper.New(q, reaper.Options{Logger: logger})
		r.Start()
		defer r.Stop()
		advance(reaper.DefaultInterval)
		q.mu.Lock()
		require.Equal(t, 1, q.reaped[q.easy])
		require.Len(t, q.reaped, 999, "all but the one that cannot be looked up")
		q.broken = true
		q.mu.Unlock()
		require.Equal(t, 1+1+998, logger.count())

		// A queue that is not available ends nothing: the next look finds it again.
		advance(reaper.DefaultInterval)
		q.mu.Lock()
		q.broken = false
		q.mu.Unlock()
		advance(reaper.DefaultInterval)
		q.mu.Lock()
		defer q.mu.Unlock()
		require.Equal(t, 3, q.looks)
		require.Equal(t, 2, q.reaped[q.easy])
	})
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	r := reaper.New(new(stubborn), reaper.Options{})
	r.Stop()
}
