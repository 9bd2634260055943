package embedded

import (
	"bytes"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// interrupted is a reader that has something be done right before a key is read for the first time.
type interrupted struct {
	pebble.Reader
	key []byte
	do  func()
}

func (r *interrupted) Get(key []byte) ([]byte, io.Closer, error) {
	if do := r.do; do != nil && bytes.Equal(key, r.key) {
		r.do = nil
		do()
	}
	return r.Reader.Get(key)
}

// interrupt has something be done right before the store reads a key.
func interrupt(s *Store, key []byte, do func()) { s.from = &interrupted{s.from, key, do} }

// withPending is a store with a job that nothing has happened to.
func withPending(t *testing.T) (*Store, uuid.UUID) {
	t.Helper()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.NoError(t, err)
	return s, enqueued[0].ID
}

// withLeased is a store with a job that has been leased.
func withLeased(t *testing.T) (*Store, queue.Lease) {
	t.Helper()
	s, _ := withPending(t)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	return s, l
}

func TestAJobThatIsDeletedWhileItIsLookedAtIsNotShownWithoutItsResult(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(*Store, uuid.UUID) error{
		"status": func(s *Store, id uuid.UUID) error {
			_, err := s.JobStatus(t.Context(), id)
			return err
		},
		"lists": func(s *Store, _ uuid.UUID) error {
			page, err := s.ListJobs(t.Context(), queue.Listing{Limit: 10})
			if err == nil && len(page.Jobs) == 0 {
				err = queue.ErrNotExist
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := withLeased(t)
			_, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{Result: []byte(`"made"`)})
			require.NoError(t, err)
			interrupt(s, idKey(nil, prefixOutcome, l.JobID), func() { require.NoError(t, s.DeleteJob(t.Context(), l.JobID)) })
			require.ErrorIs(t, look(s, l.JobID), queue.ErrNotExist)
		})
	}
}

func TestALeaseWhoseJobIsDeletedWhileItIsLookedAtIsNotDamaged(t *testing.T) {
	t.Parallel()
	s, l := withLeased(t)
	require.NoError(t, s.CancelJob(t.Context(), l.JobID))
	interrupt(s, idKey(nil, prefixJob, l.JobID), func() { require.NoError(t, s.DeleteJob(t.Context(), l.JobID)) })
	_, err := s.Lease(t.Context(), l.Token)
	require.ErrorIs(t, err, queue.ErrNotExist)
	require.NotErrorIs(t, err, queue.ErrDamaged)
}

// Of a job that nothing has happened to there is no record: that it is ready is looked for then.
func TestAPendingJobThatIsCanceledAndDeletedWhileItIsLookedAtIsNotDamaged(t *testing.T) {
	t.Parallel()
	s, id := withPending(t)
	interrupt(s, readyKey(nil, queue.Lane{Channel: queue.DefaultChannel, Type: "build"}, positionOf(0, 1)), func() {
		require.NoError(t, s.CancelJob(t.Context(), id))
		require.NoError(t, s.DeleteJob(t.Context(), id))
	})
	_, err := s.JobStatus(t.Context(), id)
	require.ErrorIs(t, err, queue.ErrNotExist)
	require.NotErrorIs(t, err, queue.ErrDamaged)
}

func TestAJobThatChangesWhileItIsExplainedIsExplainedAsItIsThen(t *testing.T) {
	t.Parallel()
	s, l := withLeased(t)
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "after", Dependencies: []uuid.UUID{l.JobID}}})
	require.NoError(t, err)
	interrupt(s, idKey(nil, prefixRecord, l.JobID), func() {
		_, err := s.Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
		require.NoError(t, err)
	})
	e, err := s.Explain(t.Context(), enqueued[0].ID)
	require.NoError(t, err)
	require.Equal(t, queue.Failed, e.Status.State, "it is not blocked by nothing")

	interrupt(s, idKey(nil, prefixOutcome, l.JobID), func() { require.NoError(t, s.RetryJob(t.Context(), l.JobID)) })
	e, err = s.Explain(t.Context(), l.JobID)
	require.NoError(t, err)
	require.Equal(t, queue.Pending, e.Status.State, "it has not failed for no reason")
}
