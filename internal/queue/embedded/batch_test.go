package embedded

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestABatchThatFailsStandsInNoLineAndHoldsNothing(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") {
			return errInjected
		}
		return nil
	}))
	s, err := open(fs, "store", Options{}, smallLimits())
	require.NoError(t, err)
	root, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "root"}})
	require.NoError(t, err)
	leaves := make([]queue.NewJob, 3*s.limits.settleStep)
	for i := range leaves { // each in a block of its own, which telling it has to read
		leaves[i] = queue.NewJob{
			Type: "leaf", Dependencies: []uuid.UUID{root[0].ID}, Args: fmt.Appendf(nil, "%q", strings.Repeat("x", 100_000)),
		}
	}
	_, err = s.Enqueue(t.Context(), leaves)
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"root"}})
	require.NoError(t, err)
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())
	s, err = open(fs, "store", Options{}, smallLimits())
	require.NoError(t, err)

	failing.Store(true)
	_, err = s.DequeueBatch(t.Context(), queue.BatchRequest{
		DequeueRequest: queue.DequeueRequest{Types: []string{"other"}}, Max: 3,
		Reports: []queue.Report{{Token: l.Token}},
	})
	require.ErrorIs(t, err, errInjected)
	failing.Store(false)

	other, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "other"}})
	require.NoError(t, err)
	got, err := s.Dequeue(doneContext(t), queue.DequeueRequest{Types: []string{"other"}})
	require.NoError(t, err, "it was handed to a caller that is gone")
	require.Equal(t, other[0].ID, got.JobID)
	state, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.NoError(t, err)
	require.Equal(t, queue.Finished, state)
	s.audit(t)
	require.NoError(t, s.Close())
}

func TestABatchHoldsLittleMoreThanTheLargestLease(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	value := fmt.Appendf(nil, "%q", strings.Repeat("x", 30<<20))
	source, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "source"}})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"source"}})
	require.NoError(t, err)
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{Result: value})
	require.NoError(t, err)
	jobs := make([]queue.NewJob, 5)
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "work", Dependencies: []uuid.UUID{source[0].ID}}
	}
	enqueued, err := s.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	request := queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"work"}}, Max: 10}
	first, err := s.DequeueBatch(doneContext(t), request)
	require.NoError(t, err)
	require.Len(t, first.Leases, 3)
	second, err := s.DequeueBatch(doneContext(t), request)
	require.NoError(t, err)
	require.Len(t, second.Leases, 2)
	require.Equal(t, enqueued[3].ID, second.Leases[0].JobID, "those that were given back kept their place")
	s.audit(t)
	require.NoError(t, s.Close())
}
