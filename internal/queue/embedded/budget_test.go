//go:build !race

package embedded

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// How many allocations the engine may make for a call, those of its syncer and of Pebble among them.
// Whoever needs more raises the number here, and says in the commit what for. The race detector makes
// allocations of its own, so these tests are not there with it.

const allocationRuns = 100

// resize is a job with args of 200 bytes.
var resize = queue.NewJob{Type: "resize", Args: json.RawMessage(`"` + strings.Repeat("x", 198) + `"`)}

// inMemory is a store in memory with jobs that are ready.
func inMemory(t *testing.T, jobs int) *Store {
	t.Helper()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for added := range slices.Chunk(slices.Repeat([]queue.NewJob{resize}, jobs), queue.MaxJobs) {
		_, err = s.Enqueue(t.Context(), added)
		require.NoError(t, err)
	}
	return s
}

// allocations is how many a call makes, which is made once more than it is counted.
func allocations(t *testing.T, call func() error) float64 {
	t.Helper()
	return testing.AllocsPerRun(allocationRuns, func() {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	})
}

//nolint:paralleltest // allocations of other tests would be counted
func TestEnqueueAllocationBudget(t *testing.T) {
	s := inMemory(t, 0)
	jobs := []queue.NewJob{resize}
	require.LessOrEqual(t, allocations(t, func() error {
		_, err := s.Enqueue(t.Context(), jobs)
		return err
	}), 14.0)
}

//nolint:paralleltest // allocations of other tests would be counted
func TestDequeueAndFinishAllocationBudget(t *testing.T) {
	s := inMemory(t, allocationRuns+1)
	request := queue.DequeueRequest{Types: []string{resize.Type}}
	tokens := make([]uuid.UUID, 0, allocationRuns+1)
	require.LessOrEqual(t, allocations(t, func() error {
		l, err := s.Dequeue(t.Context(), request)
		tokens = append(tokens, l.Token)
		return err
	}), 22.0, "of a dequeue")
	require.LessOrEqual(t, allocations(t, func() error {
		token := tokens[0]
		tokens = tokens[1:]
		_, err := s.RequeueOrFinishJob(t.Context(), token, 0, queue.Outcome{Result: json.RawMessage(`{"ok":true}`)})
		return err
	}), 13.0, "of a finish")
}

//nolint:paralleltest // allocations of other tests would be counted
func TestBatchAllocationBudget(t *testing.T) {
	const count = 100
	s := inMemory(t, count*(allocationRuns+1))
	jobs := slices.Repeat([]queue.NewJob{resize}, count)
	require.LessOrEqual(t, allocations(t, func() error {
		_, err := s.Enqueue(t.Context(), jobs)
		return err
	})/count, 5.3, "of an enqueue, for each job")
	request := queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{resize.Type}}, Max: count}
	require.LessOrEqual(t, allocations(t, func() error {
		answer, err := s.DequeueBatch(t.Context(), request)
		request.Reports = request.Reports[:0]
		for i := range answer.Leases {
			request.Reports = append(request.Reports, queue.Report{Token: answer.Leases[i].Token, Result: json.RawMessage(`{"ok":true}`)})
		}
		return err
	})/count, 25.5, "for each report and lease")
}
