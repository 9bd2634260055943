package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// Connections that are cut at a statement or its commit: nobody knows whether it was done.

const (
	// What statements are told by.
	enqueueMarker = "INSERT INTO longshore.jobs"
	finishMarker  = "INSERT INTO longshore.ended"
	claimMarker   = "DELETE FROM longshore.ready"
	commitMarker  = "commit"
)

// behindProxy opens a store whose connections can be cut.
func behindProxy(t *testing.T) (*Store, *proxy) {
	t.Helper()
	p, dsn := through(t, migrated(t, pgtest.Database(t)))
	return openServer(t, dsn, Options{}), p
}

// eachCut runs a test for each place to cut at, with a store that knows that it is alone: it believes
// what it knows of its own changes, and asks nobody.
func eachCut(t *testing.T, test func(t *testing.T, s *Store, p *proxy, at cut)) {
	t.Helper()
	for _, at := range cuts() {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			s, p := behindProxy(t)
			awaitListening(t, s)
			require.Eventually(t, s.isAlone, soon, tick)
			test(t, s, p, at)
		})
	}
}

// requireCut requires that a call has failed as it should when its connection was cut.
func requireCut(t *testing.T, at cut, happened <-chan struct{}, err error) {
	t.Helper()
	get(t, happened)
	if at == afterAnswer {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, queue.ErrUnavailable)
	}
}

// repeat makes a call until the database is there to answer it.
func repeat[T any](t *testing.T, call func() (T, error)) (answer T) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		answer, err = call()
		return !errors.Is(err, queue.ErrUnavailable)
	}, soon, tick)
	require.NoError(t, err)
	return answer
}

func jobsIn(t *testing.T, s *Store) int {
	t.Helper()
	return repeat(t, func() (n int, err error) {
		err = translate(s.pool.QueryRow(t.Context(), `SELECT count(*) FROM longshore.jobs`).Scan(&n))
		return n, err
	})
}

func once(key string) queue.Once { return queue.Once{Key: key, Digest: [32]byte{1}} }

func TestAnEnqueueWithAnUnknownOutcomeRepeatedAddsOnce(t *testing.T) {
	t.Parallel()
	for marker, name := range map[string]string{enqueueMarker: "plain", commitMarker: "graph"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachCut(t, func(t *testing.T, s *Store, p *proxy, at cut) {
				t.Helper()
				got := takeLater(t, s, "once")
				jobs := []queue.NewJob{{Type: "once"}}
				if marker == commitMarker {
					jobs = append(jobs, queue.NewJob{Type: "unique", UniqueKey: "makes it a change"})
				}
				happened := p.cutAt(at, marker)
				first, err := s.EnqueueOnce(t.Context(), jobs, once("key"))
				requireCut(t, at, happened, err)
				again := repeat(t, func() ([]queue.Enqueued, error) { return s.EnqueueOnce(t.Context(), jobs, once("key")) })
				for i := range first {
					first[i].Repeated = true
				}
				if err == nil {
					require.Equal(t, first, again)
				}
				require.Equal(t, len(jobs), jobsIn(t, s))
				// Who waits at this server gets it, although it never heard of it.
				l := get(t, got)
				require.NoError(t, l.err)
				require.Equal(t, again[0].ID, l.lease.JobID)
				done(t, s, &l.lease)
			})
		})
	}
}

func TestAJobOfAnEnqueueWithAnUnknownOutcomeIsHandedOut(t *testing.T) {
	t.Parallel()
	for _, at := range []cut{underWay, beforeAnswer} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			s, p := behindProxy(t)
			awaitListening(t, s)
			require.Eventually(t, s.isAlone, soon, tick)
			got := takeLater(t, s, "unknown")
			happened := p.cutAt(at, enqueueMarker)
			enqueue := func() ([]queue.Enqueued, error) {
				return s.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "unknown"}}, queue.Once{Key: "key"})
			}
			_, err := enqueue()
			requireCut(t, at, happened, err)
			added := repeat(t, enqueue)
			l := get(t, got)
			require.NoError(t, l.err)
			require.Equal(t, added[0].ID, l.lease.JobID)
			require.Equal(t, 1, jobsIn(t, s))
			done(t, s, &l.lease)
		})
	}
}

// Nobody waits for the job when it is added: its round claims nothing, and who asks later has to
// find it.
func TestAJobOfAnEnqueueWithAnUnknownOutcomeIsFoundLater(t *testing.T) {
	t.Parallel()
	for _, at := range []cut{underWay, beforeAnswer} {
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			s, p := behindProxy(t)
			awaitListening(t, s)
			require.Eventually(t, s.isAlone, soon, tick)
			happened := p.cutAt(at, enqueueMarker)
			_, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "unknown"}})
			requireCut(t, at, happened, err)
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			l := repeat(t, func() (queue.Lease, error) {
				return s.Dequeue(ctx, queue.DequeueRequest{Types: []string{"unknown"}})
			})
			done(t, s, &l)
		})
	}
}

func TestAFinishWithAnUnknownOutcomeEndsAsFinishedOnce(t *testing.T) {
	t.Parallel()
	for marker, name := range map[string]string{finishMarker: "plain", commitMarker: "with a dependent"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachCut(t, func(t *testing.T, s *Store, p *proxy, at cut) {
				t.Helper()
				id := add(t, s, queue.NewJob{Type: "first"})[0]
				if marker == commitMarker {
					add(t, s, queue.NewJob{Type: "second", Dependencies: []uuid.UUID{id}})
				}
				l := take(t, s, "first")
				got := takeLater(t, s, "second")
				happened := p.cutAt(at, marker)
				outcome := queue.Outcome{Result: json.RawMessage(`{"a":1}`)}
				state, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, outcome)
				get(t, happened)
				if marker == finishMarker {
					require.NoError(t, err, "a finish finds out by itself")
				}
				if err == nil {
					require.Equal(t, queue.Finished, state)
				} else {
					require.ErrorIs(t, err, queue.ErrUnavailable)
				}
				require.Equal(t, queue.Finished, repeat(t, func() (queue.State, error) {
					return s.RequeueOrFinishJob(t.Context(), l.Token, 0, outcome)
				}))
				_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{Result: json.RawMessage("2")})
				require.ErrorIs(t, err, queue.ErrAlreadyReported)
				status, err := s.JobStatus(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, queue.Finished, status.State)
				require.JSONEq(t, `{"a":1}`, string(status.Result))
				require.EqualValues(t, 3, status.Version, "added, granted, finished")
				if marker == commitMarker {
					next := get(t, got)
					require.NoError(t, next.err)
					done(t, s, &next.lease)
				}
			})
		})
	}
}

func TestARequeueWithAnUnknownOutcomeIsHandedOutAgain(t *testing.T) {
	t.Parallel()
	eachCut(t, func(t *testing.T, s *Store, p *proxy, at cut) {
		t.Helper()
		id := add(t, s, queue.NewJob{Type: "lost"})[0]
		l := take(t, s, "lost")
		got := takeLater(t, s, "lost")
		happened := p.cutAt(at, commitMarker)
		outcome := queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}}
		_, err := s.RequeueOrFinishJob(t.Context(), l.Token, 1, outcome)
		requireCut(t, at, happened, err)
		if at == beforeStatement {
			repeat(t, func() (queue.State, error) { return s.RequeueOrFinishJob(t.Context(), l.Token, 1, outcome) })
		}
		next := get(t, got)
		require.NoError(t, next.err)
		require.Equal(t, id, next.lease.JobID)
		require.EqualValues(t, 2, next.lease.Attempt)
		done(t, s, &next.lease)
		status, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 1, status.Retries)
	})
}
