package postgres

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// odd is JSON that comes out of a store as it went in, or has been parsed on the way.
const odd = "{\"b\": 1e400, \"a\":\"\\u0000\", \"a2\" : [1.10,\t-0.0]}"

// filled is a store with all that a copy has to carry over.
type filled struct {
	queuetest.Queue
	t       *testing.T
	once    queue.Once
	answer  []queue.Enqueued // to once
	running uuid.UUID
	urgent  uuid.UUID // enqueued last, and first in line
	needing uuid.UUID // pending, and handed the result of a job that was deleted
	result  json.RawMessage
	told    uuid.UUID // over, and depends on one that is gone
	keys    []queue.APIKey
}

func (*filled) apiKeys(t *testing.T, q queuetest.Queue) []queue.APIKey {
	t.Helper()
	page, err := q.APIKeys(t.Context(), queue.APIKeyListing{Limit: queue.MaxPage})
	require.NoError(t, err)
	return page.Keys
}

func (f *filled) add(jobs ...queue.NewJob) []uuid.UUID {
	f.t.Helper()
	enqueued, err := f.Enqueue(f.t.Context(), jobs)
	require.NoError(f.t, err)
	ids := make([]uuid.UUID, len(jobs))
	for i := range ids {
		ids[i] = enqueued[i].ID
	}
	return ids
}

func (f *filled) lease(jobType string) queue.Lease {
	f.t.Helper()
	l, err := f.Dequeue(f.t.Context(), queue.DequeueRequest{Types: []string{jobType}, Worker: "worker", Principal: "key:worker"})
	require.NoError(f.t, err)
	return l
}

func (f *filled) finish(l queue.Lease, outcome queue.Outcome) {
	f.t.Helper()
	_, err := f.RequeueOrFinishJob(f.t.Context(), l.Token, 0, outcome)
	require.NoError(f.t, err)
}

// fill fills a store.
func fill(t *testing.T, q queuetest.Queue) *filled {
	t.Helper()
	f := &filled{Queue: q, t: t, result: json.RawMessage(odd), once: queue.Once{Key: "key", Digest: [32]byte{7}}}
	hour := time.Now().Add(time.Hour)
	f.add(queue.NewJob{
		Type: "full", Channel: "other", Args: json.RawMessage(odd), Priority: -3, RunAt: hour, ExpiresAt: hour.Add(time.Hour),
		Timeout: time.Minute, HeartbeatTimeout: time.Second, MaxRetries: new(uint64(9)), MaxTimeouts: 4,
		Retry:     &queue.RetryPolicy{MaxAttempts: 3, Initial: time.Second, Factor: 1.5, Max: time.Minute, Jitter: 0.25},
		UniqueKey: "ключ", Labels: map[string]string{"a": "\"'\\", "b": ""},
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
	f.add(queue.NewJob{Type: "failing", Retry: &queue.RetryPolicy{MaxAttempts: 2, Factor: 1}})
	for range 2 { // the second time for good
		l := f.lease("failing")
		_, err := q.RefreshHeartbeat(t.Context(), l.Token, queue.Beat{
			Progress: &queue.Progress{Percent: new(12.5), Message: "half a \x00 way"}, PartialResult: json.RawMessage(odd),
		})
		require.NoError(t, err)
		_, err = q.Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "broken", Details: json.RawMessage(odd)}, Retryable: true})
		require.NoError(t, err)
	}
	f.add(queue.NewJob{Type: "lost"})
	l := f.lease("lost")
	_, err := q.RequeueOrFinishJob(t.Context(), l.Token, 3, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}})
	require.NoError(t, err)
	require.NoError(t, q.CancelJob(t.Context(), f.add(queue.NewJob{Type: "canceled", UniqueKey: "k"})[0]))

	root := f.add(queue.NewJob{Type: "root"})[0]
	f.needing = f.add(queue.NewJob{Type: "needing", Dependencies: []uuid.UUID{root}})[0]
	f.told = f.add(queue.NewJob{Type: "told", Dependencies: []uuid.UUID{root}})[0]
	f.finish(f.lease("root"), queue.Outcome{Result: json.RawMessage(odd)})
	require.NoError(t, q.CancelJob(t.Context(), f.told))
	require.NoError(t, q.DeleteJob(t.Context(), root))
	gone := f.add(queue.NewJob{Type: "gone"})[0]
	f.told = f.add(queue.NewJob{Type: "told", Dependencies: []uuid.UUID{gone}, RunIf: queue.AllFinished})[0]
	f.finish(f.lease("gone"), queue.Outcome{})
	f.finish(f.lease("told"), queue.Outcome{Error: &queue.JobError{Reason: "no"}})
	require.NoError(t, q.DeleteJob(t.Context(), gone))

	// Of one whose dependency was retried while it ran, the run goes on; then it waits.
	failed := f.add(queue.NewJob{Type: "again"})[0]
	f.running = f.add(queue.NewJob{Type: "running", Dependencies: []uuid.UUID{failed}, RunIf: queue.AllFinished})[0]
	f.finish(f.lease("again"), queue.Outcome{Error: &queue.JobError{Reason: "no"}})
	f.lease("running")
	require.NoError(t, q.RetryJob(t.Context(), failed))
	_, err = q.Enqueue(t.Context(), []queue.NewJob{
		{Type: "first", Name: "first"},
		{Type: "second", Name: "second", Needs: []queue.Need{{Name: "first", If: queue.IfOver}}},
		{Type: "third", Needs: []queue.Need{{Name: "second", If: queue.IfSucceeded}, {Name: "first"}}, RunIf: queue.AllFinished},
	})
	require.NoError(t, err)
	f.add(queue.NewJob{Type: "line"}, queue.NewJob{Type: "line", Priority: 1}, queue.NewJob{Type: "line"}, queue.NewJob{Type: "line"})
	f.add(queue.NewJob{Type: "line", UniqueKey: "u"})
	f.lease("line")
	f.urgent = f.add(queue.NewJob{Type: "line"})[0]
	require.NoError(t, q.UpdateJob(t.Context(), f.urgent, queue.Update{Priority: new(100)}))
	f.answer, err = q.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "once", Priority: 2}, {Type: "line", UniqueKey: "u"}}, f.once)
	require.NoError(t, err)
	_, err = q.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "once"}}, queue.Once{Key: "plain"})
	require.NoError(t, err)
	for _, add := range []queue.NewAPIKey{
		{ID: "second", Name: "ci", Hash: [32]byte{1, 31: 9}, Scopes: []string{"work", "read"}, Channels: []string{"b", "a"}, Limits: queue.APIKeyLimits{Rate: 0.5, Waiting: 3}},
		{ID: "first", Name: "all", Scopes: []string{"admin"}, Lifetime: time.Hour},
	} {
		_, err = q.CreateAPIKey(t.Context(), add)
		require.NoError(t, err)
	}
	require.NoError(t, q.UseAPIKeys(t.Context(), map[string]time.Time{"second": time.Now()}))
	f.keys = f.apiKeys(t, q)
	return f
}

// requireGoesOn requires of a copy what a store does with what is in it.
func (f *filled) requireGoesOn(t *testing.T, q queuetest.Queue) {
	t.Helper()
	again, err := q.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "once"}}, f.once)
	require.NoError(t, err)
	want := slices.Clone(f.answer) // which goes on in several copies
	for i := range want {
		want[i].Repeated = true
	}
	require.Equal(t, want, again)
	_, err = q.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "once"}}, queue.Once{Key: f.once.Key})
	require.ErrorIs(t, err, queue.ErrKeyReused)
	enqueued, err := q.Enqueue(t.Context(), []queue.NewJob{{Type: "line", UniqueKey: "u"}, {Type: "line", Priority: 100}})
	require.NoError(t, err)
	require.True(t, enqueued[0].Existing)

	l, err := q.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"line"}})
	require.NoError(t, err)
	require.Equal(t, f.urgent, l.JobID, "one that came later goes after it")
	l, err = q.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"needing"}})
	require.NoError(t, err)
	require.Equal(t, f.needing, l.JobID)
	require.Equal(t, f.result, l.Dependencies[0].Result)
	require.NoError(t, q.RetryJob(t.Context(), f.told))
	l, err = q.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"told"}})
	require.NoError(t, err)
	require.True(t, l.Dependencies[0].Deleted)
	require.Equal(t, "gone", l.Dependencies[0].Type)
	require.Equal(t, queue.Finished, l.Dependencies[0].State)
	status, err := q.JobStatus(t.Context(), f.running)
	require.NoError(t, err)
	require.Equal(t, queue.Blocked, status.State)
	l, err = q.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"again"}})
	require.NoError(t, err)
	_, err = q.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.NoError(t, err)
	l, err = q.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"running"}})
	require.NoError(t, err)
	require.Equal(t, f.running, l.JobID)
	require.EqualValues(t, 2, l.Attempt)
}

func TestACopyHasEverything(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first, second, third := filepath.Join(root, "first"), filepath.Join(root, "second"), filepath.Join(root, "third")
	database, other := emptyOne(t), emptyOne(t)
	s, err := embedded.Open(first, embedded.Options{})
	require.NoError(t, err)
	f := fill(t, s)
	ids, want := see(t, s)
	require.NoError(t, s.Close())
	now := time.Now().UTC().Truncate(time.Microsecond)
	releasedAll(want, now)

	for _, c := range []struct{ from, to string }{
		{first, database}, {database, second}, {database, other}, {second, third},
	} {
		copied := copyStore(t, c.from, c.to, now)
		require.EqualValues(t, len(ids), copied.Jobs)
		require.EqualValues(t, 2, copied.Calls)
		require.EqualValues(t, 2, copied.APIKeys)
		require.Equal(t, c.from == first, copied.Released > 0)
		q := openStore(t, c.to, now)
		gotIDs, got := see(t, q)
		requireSame(t, ids, gotIDs, want, got)
		require.Equal(t, f.keys, f.apiKeys(t, q))
		require.NoError(t, q.Close())
	}
	for _, store := range []string{database, second, other, third} {
		q := openStore(t, store, now)
		f.requireGoesOn(t, q)
		require.NoError(t, q.Close())
	}
	for _, dsn := range []string{database, other} {
		(&harness{dsn: dsn}).audit(t)
		giveBack(t, dsn)
	}
	for _, directory := range []string{second, third} {
		a, err := embedded.AuditDirectory(context.Background(), directory)
		require.NoError(t, err)
		require.Empty(t, a.Differences)
	}
}

// The embedded engine took such a reason once. PostgreSQL has no text with U+0000.
func TestAReasonWithUPlus0000IsCopiedWithAnotherCharacterInItsPlace(t *testing.T) {
	t.Parallel()
	directory, database := filepath.Join(t.TempDir(), "store"), emptyOne(t)
	now := time.Now()
	f := &filled{Queue: openStore(t, directory, now), t: t}
	failed := f.add(queue.NewJob{Type: "failing", Retry: &queue.RetryPolicy{MaxAttempts: 2, Factor: 1}})[0]
	for range 2 { // the second time for good
		_, err := f.Fail(t.Context(), f.lease("failing").Token, queue.Failure{Error: queue.JobError{Reason: "\x00no\x00"}, Retryable: true})
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	copied := copyStore(t, directory, database, now)
	require.Equal(t, int64(1), copied.Mended)
	require.Equal(t, failed, copied.FirstMended)
	q := openStore(t, database, now)
	status, err := q.JobStatus(t.Context(), failed)
	require.NoError(t, err)
	require.Equal(t, "\uFFFDno\uFFFD", status.Error.Reason)
	attempts, err := q.Attempts(t.Context(), failed)
	require.NoError(t, err)
	require.Equal(t, "\uFFFDno\uFFFD", attempts[0].Error.Reason)
	require.NoError(t, q.Close())
}
