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

// fixture is a Harness with the calls that tests make most, none of which may fail.
type fixture struct {
	Harness
}

// patience bounds waits that should end at once; only a test that fails waits so long.
const patience = 30 * time.Second

func (f *fixture) enqueue(t *testing.T, jobs ...queue.NewJob) []uuid.UUID {
	t.Helper()
	enqueued, err := f.Queue().Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.Len(t, enqueued, len(jobs))
	return idsOf(enqueued)
}

// enqueue1 enqueues one job of a type, after its dependencies.
func (f *fixture) enqueue1(t *testing.T, jobType string, dependencies ...uuid.UUID) uuid.UUID {
	t.Helper()
	return f.enqueue(t, queue.NewJob{Type: jobType, Dependencies: dependencies})[0]
}

func idsOf(enqueued []queue.Enqueued) []uuid.UUID {
	ids := make([]uuid.UUID, len(enqueued))
	for i := range enqueued {
		ids[i] = enqueued[i].ID
	}
	return ids
}

// now is a context that is over, with which a dequeue does not wait.
func now() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// try dequeues without waiting.
func (f *fixture) try(types ...string) (queue.Lease, error) {
	return f.Queue().Dequeue(now(), queue.DequeueRequest{Types: types})
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

// fail reports a failure after which there is no other run.
func (f *fixture) fail(t *testing.T, token uuid.UUID, reason string) {
	t.Helper()
	require.Equal(t, queue.Failed, f.report(t, token, queue.Failure{Error: queue.JobError{Reason: reason}}))
}

// report reports a failure and returns what becomes of the job.
func (f *fixture) report(t *testing.T, token uuid.UUID, failure queue.Failure) queue.State {
	t.Helper()
	state, err := f.Queue().Fail(t.Context(), token, failure)
	require.NoError(t, err)
	return state
}

func (f *fixture) release(t *testing.T, token uuid.UUID, delay time.Duration) queue.State {
	t.Helper()
	state, err := f.Queue().Release(t.Context(), token, delay)
	require.NoError(t, err)
	return state
}

// lose does what a reaper does to a lease that went silent.
func (f *fixture) lose(t *testing.T, token uuid.UUID, maxRetries uint64) queue.State {
	t.Helper()
	state, err := f.Queue().RequeueOrFinishJob(t.Context(), token, maxRetries, error1(queue.ReasonHeartbeatLost))
	require.NoError(t, err)
	return state
}

func (f *fixture) beat(t *testing.T, token uuid.UUID, beat queue.Beat) queue.BeatAnswer {
	t.Helper()
	answer, err := f.Queue().RefreshHeartbeat(t.Context(), token, beat)
	require.NoError(t, err)
	return answer
}

func (f *fixture) cancel(t *testing.T, id uuid.UUID) {
	t.Helper()
	require.NoError(t, f.Queue().CancelJob(t.Context(), id))
}

func (f *fixture) retry(t *testing.T, id uuid.UUID) {
	t.Helper()
	require.NoError(t, f.Queue().RetryJob(t.Context(), id))
}

func (f *fixture) update(t *testing.T, id uuid.UUID, update queue.Update) {
	t.Helper()
	require.NoError(t, f.Queue().UpdateJob(t.Context(), id, update))
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

func (f *fixture) requireStates(t *testing.T, ids []uuid.UUID, want queue.State) {
	t.Helper()
	for i, id := range ids {
		require.Equal(t, want.String(), f.status(t, id).State.String(), "job %d", i)
	}
}

// requireFailed requires that a job has failed for a reason.
func (f *fixture) requireFailed(t *testing.T, id uuid.UUID, reason string) {
	t.Helper()
	status := f.status(t, id)
	require.Equal(t, queue.Failed.String(), status.State.String())
	require.Equal(t, reason, status.Error.Reason)
}

// requireCause requires that a job has failed because of a dependency, and of which.
func (f *fixture) requireCause(t *testing.T, id, cause uuid.UUID) {
	t.Helper()
	f.requireFailed(t, id, queue.ReasonDependencyFailed)
	require.JSONEq(t, fmt.Sprintf(`{"dependency": %q}`, cause), string(f.status(t, id).Error.Details))
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

// dequeueLater starts callers that dequeue one job each and send its lease.
func (f *fixture) dequeueLater(t *testing.T, callers int, types ...string) <-chan queue.Lease {
	leases := make(chan queue.Lease, callers)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	q := f.Queue()
	for range callers {
		go func() {
			l, err := q.Dequeue(ctx, queue.DequeueRequest{Types: types})
			if err == nil {
				leases <- l
			}
		}()
	}
	return leases
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func result1(result string) queue.Outcome { return queue.Outcome{Result: json.RawMessage(result)} }

func error1(reason string) queue.Outcome {
	return queue.Outcome{Error: &queue.JobError{Reason: reason}}
}

func args(format string, a ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, a...))
}

func make100(jobType string) []queue.NewJob {
	jobs := make([]queue.NewJob, 100)
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: jobType, Args: args("%d", i)}
	}
	return jobs
}
