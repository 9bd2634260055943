package postgres

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// source and target are what both engines open for a copy.
type (
	source interface {
		queue.CopySource
		Close() error
	}
	target interface {
		queue.CopyTarget
		Close() error
	}
)

// copyStore copies one store to another, each a directory or a database.
func copyStore(t queuetest.TB, from, to string, now time.Time) queue.Copied {
	t.Helper()
	s, err := openSource(from)
	require.NoError(t, err)
	d, err := openTarget(to)
	require.NoError(t, err)
	copied, err := queue.Copy(context.Background(), s, d, now)
	require.NoError(t, err, "%v %v", copied.Source.Differences, copied.Target.Differences)
	require.NoError(t, d.Close())
	require.NoError(t, s.Close())
	return copied
}

func openSource(store string) (source, error) {
	if strings.HasPrefix(store, "/") {
		return embedded.OpenCopySource(store)
	}
	return OpenCopySource(context.Background(), store)
}

func openTarget(store string) (target, error) {
	if strings.HasPrefix(store, "/") {
		return embedded.CreateCopyTarget(store)
	}
	return OpenCopyTarget(context.Background(), store)
}

// openStore opens a store whose clock stands still.
func openStore(t queuetest.TB, store string, now time.Time) queuetest.Queue {
	t.Helper()
	if strings.HasPrefix(store, "/") {
		s, err := embedded.Open(store, embedded.Options{Logger: failOnError{t}, Clock: func() time.Time { return now }})
		require.NoError(t, err)
		return s
	}
	h := &harness{dsn: store, limits: smallLimits()}
	h.setClock(now)
	h.open(t)
	return h.store
}

// seenJob is all that can be seen of a job.
type seenJob struct {
	job      queue.Job
	status   queue.Status
	attempts []queue.Attempt
	expires  time.Time
}

// see returns all jobs of a store, in the order in which they were enqueued.
func see(t queuetest.TB, q queuetest.Queue) (ids []uuid.UUID, jobs map[uuid.UUID]*seenJob) {
	t.Helper()
	ctx := context.Background()
	jobs = make(map[uuid.UUID]*seenJob)
	page, err := q.ListJobs(ctx, queue.Listing{Limit: queue.MaxPage, OldestFirst: true})
	require.NoError(t, err)
	for i := range page.Jobs {
		id := page.Jobs[i].Job.ID
		ids = append(ids, id)
		var s seenJob
		s.job, err = q.Job(ctx, id)
		require.NoError(t, err)
		s.status, err = q.JobStatus(ctx, id)
		require.NoError(t, err)
		s.attempts, err = q.Attempts(ctx, id)
		require.NoError(t, err)
		why, err := q.Explain(ctx, id)
		require.NoError(t, err)
		s.expires = why.Expires
		jobs[id] = &s
	}
	return ids, jobs
}

// released makes of a job that is running what a copy makes of it.
func (s *seenJob) released(now time.Time, blocked bool) {
	if s.status.State != queue.Running {
		return
	}
	s.status.State = queue.Pending
	if blocked {
		s.status.State = queue.Blocked
	}
	s.status.Started = time.Time{}
	s.status.Version++
	last := &s.attempts[len(s.attempts)-1]
	last.Ended, last.End, last.State = now, queue.EndReleased, s.status.State
}

// releasedAll is released for all jobs, of which one is blocked again if a dependency was retried.
func releasedAll(jobs map[uuid.UUID]*seenJob, now time.Time) {
	for _, s := range jobs {
		blocked := false
		for _, id := range s.status.Dependencies {
			d := jobs[id]
			blocked = blocked || d != nil && !d.status.State.Over()
		}
		s.released(now, blocked)
	}
}

func requireSame(t queuetest.TB, wantIDs, gotIDs []uuid.UUID, want, got map[uuid.UUID]*seenJob) {
	t.Helper()
	require.Equal(t, wantIDs, gotIDs)
	for _, id := range wantIDs {
		w, g := want[id], got[id]
		require.Equal(t, string(w.job.Args), string(g.job.Args))
		require.Equal(t, normal(w.job), normal(g.job))
		require.Equal(t, w.status, g.status)
		require.Equal(t, w.attempts, g.attempts)
		require.Equal(t, w.expires, g.expires)
	}
}

// normal makes labels that are none nil, which engines need not agree on.
func normal(j queue.Job) queue.Job {
	if len(j.Labels) == 0 {
		j.Labels = nil
	}
	return j
}

// runAll hands out all ready jobs of both stores, and requires that it is the same ones in the same
// order, with the same dependencies.
func runAll(t queuetest.TB, a, b queuetest.Queue, lanes queue.DequeueRequest) {
	t.Helper()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		one, err := a.Dequeue(over, lanes)
		two, other := b.Dequeue(over, lanes)
		require.Equal(t, err, other)
		if err != nil {
			require.ErrorIs(t, err, queue.ErrDequeueTimeout)
			return
		}
		require.Equal(t, one.JobID, two.JobID)
		require.Equal(t, one.Dependencies, two.Dependencies)
		require.Equal(t, one.Attempt, two.Attempt)
		for _, run := range []struct {
			queue queuetest.Queue
			token uuid.UUID
		}{{a, one.Token}, {b, two.Token}} {
			_, err := run.queue.RequeueOrFinishJob(context.Background(), run.token, 0, queue.Outcome{Result: []byte(`1`)})
			require.NoError(t, err)
		}
	}
}

// retryAll retries whatever can be, in both stores.
func retryAll(t queuetest.TB, a, b queuetest.Queue, ids []uuid.UUID) {
	t.Helper()
	for _, id := range ids {
		err, other := a.RetryJob(context.Background(), id), b.RetryJob(context.Background(), id)
		require.Equal(t, err == nil, other == nil, "%v %v", err, other)
	}
}

// pruneAll deletes all that is over and not needed, in both stores.
func pruneAll(t queuetest.TB, queues ...queuetest.Queue) {
	t.Helper()
	for _, q := range queues {
		for done := false; !done; {
			var err error
			done, err = q.Prune(context.Background(), time.Now().Add(10*365*24*time.Hour))
			require.NoError(t, err)
		}
	}
}

// Whatever calls have made of a store, both engines go on with a copy of it in the same way, and
// with a copy of that.
func TestACopyOfAnythingGoesOnAsTheStore(t *testing.T) {
	t.Parallel()
	all := queue.DequeueRequest{Types: []string{"a", "b"}, Channels: []string{"default", "x"}}
	root := t.TempDir()
	// As many stores as there is time for, more of them only to make one smaller that fails.
	const enough = 15
	checks, failed := 0, false
	rapid.Check(t, func(r *rapid.T) {
		checks++
		if checks > enough && !failed {
			return
		}
		defer func() { failed = failed || r.Failed() }()
		h := newHarness(r, smallLimits())
		queuetest.Wander(r, h)
		ids, want := see(r, h.store)
		require.NoError(r, h.store.Close())
		now := h.Now()
		releasedAll(want, now)

		directory := filepath.Join(root, uuid.NewString())
		database := emptyOne(r)
		copyStore(r, h.dsn, directory, now)
		copyStore(r, directory, database, now)
		one, two := openStore(r, directory, now), openStore(r, database, now)
		oneIDs, oneJobs := see(r, one)
		requireSame(r, ids, oneIDs, want, oneJobs)
		twoIDs, twoJobs := see(r, two)
		requireSame(r, ids, twoIDs, want, twoJobs)

		for range 2 {
			runAll(r, one, two, all)
			retryAll(r, one, two, ids)
		}
		pruneAll(r, one, two)
		oneIDs, oneJobs = see(r, one)
		twoIDs, twoJobs = see(r, two)
		requireSame(r, oneIDs, twoIDs, oneJobs, twoJobs)

		require.NoError(r, one.Close())
		require.NoError(r, two.Close())
		for _, dsn := range []string{h.dsn, database} {
			(&harness{dsn: dsn}).audit(r)
			giveBack(r, dsn)
		}
		a, err := embedded.AuditDirectory(context.Background(), directory)
		require.NoError(r, err)
		require.Empty(r, a.Differences)
	})
}
