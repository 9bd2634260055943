package embedded

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What the suite tests with a clock that stands still, here with the one that runs.
func TestTheTimekeeperHandsAScheduledJobToWhoWaits(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{Logger: failOnError{t}})
	require.NoError(t, err)
	const delay = 30 * time.Millisecond
	// A later one first: the timekeeper must notice that something is due earlier.
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build", Delay: time.Hour}})
	require.NoError(t, err)
	require.Equal(t, queue.Scheduled, enqueued[0].State)
	before := time.Now()
	enqueued, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build", Delay: delay}})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	require.Equal(t, enqueued[0].ID, l.JobID)
	require.GreaterOrEqual(t, time.Since(before), delay, "never early")
	require.NoError(t, s.Close())
}

func TestTheTimekeeperEndsARunThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{Logger: failOnError{t}})
	require.NoError(t, err)
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build", Timeout: queue.MinTimeout}})
	require.NoError(t, err)
	before := time.Now()
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	status, err := s.Await(t.Context(), enqueued[0].ID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(before), queue.MinTimeout)
	require.Equal(t, &queue.JobError{Reason: queue.ReasonTimeout}, status.Error)
	_, err = s.RefreshHeartbeat(t.Context(), l.Token, queue.Beat{})
	require.ErrorIs(t, err, queue.ErrLeaseLost)
	require.NoError(t, s.Close())
}

func TestWhatFellDueWhileTheStoreWasClosedIsDoneByItsOpening(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	opened := time.Now()
	s, err := Open(directory, Options{Clock: func() time.Time { return opened }}) // so that nothing falls due before
	require.NoError(t, err)
	soon := opened.Add(20 * time.Millisecond)
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{
		{Type: "build", RunAt: soon}, {Type: "build", ExpiresAt: soon}, {Type: "build", RunAt: soon, ExpiresAt: soon.Add(time.Millisecond)},
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	late := func() time.Time { return time.Now().Add(time.Hour) }
	s, err = Open(directory, Options{Clock: late, Logger: failOnError{t}})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	require.Equal(t, enqueued[0].ID, l.JobID)
	for _, expired := range enqueued[1:] {
		status, err := s.Await(t.Context(), expired.ID)
		require.NoError(t, err)
		require.Equal(t, &queue.JobError{Reason: queue.ReasonExpired}, status.Error)
	}
	require.NoError(t, s.Close())
}
