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
			s, err := OpenMemory(Options{})
			require.NoError(t, err)
			enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
			require.NoError(t, err)
			id := enqueued[0].ID
			l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
			require.NoError(t, err)
			_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{Result: []byte(`"made"`)})
			require.NoError(t, err)

			interrupt(s, idKey(nil, prefixOutcome, id), func() { require.NoError(t, s.DeleteJob(t.Context(), id)) })
			require.ErrorIs(t, look(s, id), queue.ErrNotExist)
			require.NoError(t, s.Close())
		})
	}
}

func TestALeaseWhoseJobIsDeletedWhileItIsLookedAtIsNotDamaged(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.NoError(t, err)
	id := enqueued[0].ID
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	require.NoError(t, s.CancelJob(t.Context(), id))

	interrupt(s, idKey(nil, prefixJob, id), func() { require.NoError(t, s.DeleteJob(t.Context(), id)) })
	_, err = s.Lease(t.Context(), l.Token)
	require.ErrorIs(t, err, queue.ErrNotExist)
	require.NotErrorIs(t, err, queue.ErrDamaged)
	require.NoError(t, s.Close())
}
