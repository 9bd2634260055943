// Package queuetest says what every engine must do, as tests: a conformance suite that an
// engine joins with a Harness, a reference model that it is compared with step by step, and
// the benchmarks that engines are measured by.
//
// A behaviour of the queue is tested here and nowhere else, so that no engine can have one of
// its own. What only one engine can do or suffer - its files, its crashes - is tested beside it.
package queuetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queue is all that an engine offers.
type Queue interface {
	queue.JobQueue
	// Release gives a lease's job back at no cost.
	Release(ctx context.Context, token uuid.UUID) (queue.State, error)
	// Lease returns a lease without refreshing it.
	Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error)
	// Await blocks until a job is over or ctx ends, and returns its status.
	Await(ctx context.Context, id uuid.UUID) (queue.Status, error)
	// Ready returns nil while the queue is working.
	Ready(ctx context.Context) error
	// Close ends the queue.
	Close() error
}

// Harness is one queue under test, empty at first. The suite closes it, which must check that
// the store is consistent.
type Harness interface {
	// Queue returns the queue; another one after each Restart.
	Queue() Queue
	// Advance makes the store's clock jump ahead.
	Advance(d time.Duration)
	// Restart ends the queue, by a clean end or a crash, and opens it again on what was kept.
	Restart(t TB)
	// Close closes the queue and checks the store.
	Close(t TB)
}

// TB is what a Harness may use of a test: *testing.T, *testing.B and *rapid.T have it.
type TB interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test runs the conformance suite against the harnesses that open makes, one for each test.
//
//nolint:tparallel // the engine's own test, which calls this, is parallel
func Test(t *testing.T, open func(t TB) Harness) {
	t.Helper()
	groups := []struct {
		name  string
		tests map[string]func(*testing.T, *fixture)
	}{
		{"Enqueue", enqueueTests},
		{"Dequeue", dequeueTests},
		{"Report", reportTests},
		{"Requeue", requeueTests},
		{"Cancel", cancelTests},
		{"Dependencies", dependencyTests},
		{"Heartbeats", heartbeatTests},
		{"Restart", restartTests},
		{"Concurrency", concurrencyTests},
	}
	for _, group := range groups {
		for name, test := range group.tests {
			t.Run(group.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				h := open(t)
				defer h.Close(t)
				test(t, &fixture{Harness: h})
			})
		}
	}
	t.Run("Random", func(t *testing.T) {
		t.Parallel()
		testRandom(t, open)
	})
}

// fixture is a Harness with the calls that tests make most, none of which may fail.
type fixture struct {
	Harness
}

// patience bounds waits that should end at once; only a test that fails waits so long.
const patience = 30 * time.Second

func (f *fixture) enqueue(t *testing.T, jobs ...queue.NewJob) []uuid.UUID {
	t.Helper()
	statuses, err := f.Queue().Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.Len(t, statuses, len(jobs))
	ids := make([]uuid.UUID, len(jobs))
	for i, status := range statuses {
		ids[i] = status.ID
	}
	return ids
}

// enqueue1 enqueues one job of a type, after its dependencies.
func (f *fixture) enqueue1(t *testing.T, jobType string, dependencies ...uuid.UUID) uuid.UUID {
	t.Helper()
	return f.enqueue(t, queue.NewJob{Type: jobType, Dependencies: dependencies})[0]
}

// try dequeues without waiting.
func (f *fixture) try(types ...string) (queue.Lease, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return f.Queue().Dequeue(ctx, queue.DequeueRequest{Types: types})
}

func (f *fixture) dequeue(t *testing.T, types ...string) queue.Lease {
	t.Helper()
	l, err := f.try(types...)
	require.NoError(t, err, "dequeue of %v", types)
	return l
}

func (f *fixture) requireNothingReady(t *testing.T, types ...string) {
	t.Helper()
	_, err := f.try(types...)
	require.ErrorIs(t, err, queue.ErrDequeueTimeout, "dequeue of %v", types)
}

func (f *fixture) finish(t *testing.T, token uuid.UUID, result string) {
	t.Helper()
	state, err := f.Queue().RequeueOrFinishJob(t.Context(), token, 0, result1(result))
	require.NoError(t, err)
	require.Equal(t, queue.Finished, state)
}

func (f *fixture) fail(t *testing.T, token uuid.UUID, reason string) {
	t.Helper()
	state, err := f.Queue().RequeueOrFinishJob(t.Context(), token, 0, error1(reason))
	require.NoError(t, err)
	require.Equal(t, queue.Failed, state)
}

// lose does what a reaper does to a lease that went silent.
func (f *fixture) lose(t *testing.T, token uuid.UUID, maxRetries uint64) queue.State {
	t.Helper()
	state, err := f.Queue().RequeueOrFinishJob(t.Context(), token, maxRetries, error1(queue.ReasonHeartbeatLost))
	require.NoError(t, err)
	return state
}

func (f *fixture) cancel(t *testing.T, id uuid.UUID) {
	t.Helper()
	require.NoError(t, f.Queue().CancelJob(t.Context(), id))
}

func (f *fixture) status(t *testing.T, id uuid.UUID) queue.Status {
	t.Helper()
	status, err := f.Queue().JobStatus(t.Context(), id)
	require.NoError(t, err)
	return status
}

func (f *fixture) requireState(t *testing.T, id uuid.UUID, want queue.State) {
	t.Helper()
	require.Equal(t, want.String(), f.status(t, id).State.String())
}

func (f *fixture) staleTokens(t *testing.T, olderThan time.Duration) []uuid.UUID {
	t.Helper()
	tokens, err := f.Queue().Heartbeats(t.Context(), olderThan)
	require.NoError(t, err)
	return tokens
}

// runToEnd dequeues and finishes jobs of the types until none is ready, and returns their ids
// in the order they ran.
func (f *fixture) runToEnd(t *testing.T, types ...string) []uuid.UUID {
	t.Helper()
	var ran []uuid.UUID
	for {
		l, err := f.try(types...)
		if err != nil {
			require.ErrorIs(t, err, queue.ErrDequeueTimeout)
			return ran
		}
		ran = append(ran, l.JobID)
		f.finish(t, l.Token, "null")
	}
}

func result1(result string) queue.Outcome { return queue.Outcome{Result: json.RawMessage(result)} }

func error1(reason string) queue.Outcome {
	return queue.Outcome{Error: &queue.JobError{Reason: reason}}
}

func args(format string, a ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, a...))
}
