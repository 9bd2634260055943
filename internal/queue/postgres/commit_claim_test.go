package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Claims whose connection is cut: no lease stays that nobody knows of.

// requireHandedOutAgain requires that a job is handed to somebody, and that nothing was counted
// against it.
func requireHandedOutAgain(t *testing.T, s *Store, worker string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	began := time.Now()
	l := repeat(t, func() (queue.Lease, error) {
		return s.Dequeue(ctx, queue.DequeueRequest{Types: []string{"claimed"}, Worker: worker})
	})
	took := time.Since(began)
	t.Logf("it was handed out again after %v", took)
	require.Less(t, took, patience/2, "nobody waited for what was cut")
	status, err := s.JobStatus(t.Context(), l.JobID)
	require.NoError(t, err)
	require.Zero(t, status.Retries)
	require.Equal(t, worker, status.Worker)
	done(t, s, &l)
}

func TestAClaimWithAnUnknownOutcomeLeavesNoLease(t *testing.T) {
	t.Parallel()
	eachCut(t, func(t *testing.T, s *Store, p *proxy, at cut) {
		t.Helper()
		add(t, s, queue.NewJob{Type: "claimed"})
		happened := p.cutAt(at, claimMarker)
		l, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"claimed"}, Worker: "first"})
		requireCut(t, at, happened, err)
		if at == afterAnswer {
			_, err := s.Release(t.Context(), l.Token, 0)
			if err != nil {
				require.ErrorIs(t, err, queue.ErrUnavailable)
				repeat(t, func() (queue.State, error) { return s.Release(t.Context(), l.Token, 0) })
			}
		}
		requireHandedOutAgain(t, s, "second")
	})
}

func TestWhoSleepsWhenItsClaimIsCutGetsTheJob(t *testing.T) {
	t.Parallel()
	eachCut(t, func(t *testing.T, s *Store, p *proxy, at cut) {
		t.Helper()
		got := takeLater(t, s, "claimed")
		happened := p.cutAt(at, claimMarker)
		// The job is added in the same transaction as it is claimed in, so that both may be lost.
		repeat(t, func() ([]queue.Enqueued, error) {
			return s.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "claimed"}}, queue.Once{Key: "key"})
		})
		get(t, happened)
		l := get(t, got)
		require.NoError(t, l.err)
		status := repeat(t, func() (queue.Status, error) { return s.JobStatus(t.Context(), l.lease.JobID) })
		require.Zero(t, status.Retries)
		repeat(t, func() (queue.State, error) {
			return s.RequeueOrFinishJob(t.Context(), l.lease.Token, 0, queue.Outcome{})
		})
	})
}

// A job that cannot be read fails when it is leased, which is a change of its own.
func TestLeasesThatCannotBeHandedOutWithAnotherAreGivenBack(t *testing.T) {
	t.Parallel()
	s, p := behindProxy(t)
	ids := add(t, s, queue.NewJob{Type: "claimed"}, queue.NewJob{Type: "claimed"}, queue.NewJob{Type: "claimed"})
	_, err := s.pool.Exec(t.Context(), `UPDATE longshore.jobs SET labels = '[]' WHERE id = $1`, ids[1])
	require.NoError(t, err)
	happened := p.cutAt(underWay, "SELECT pg_advisory_xact_lock")
	_, err = s.DequeueBatch(over(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"claimed"}}, Max: 3})
	requireCut(t, underWay, happened, err)
	for _, id := range []uuid.UUID{ids[0], ids[2]} {
		require.Eventually(t, func() bool {
			status, err := s.JobStatus(t.Context(), id)
			return err == nil && status.State == queue.Pending && status.Retries == 0
		}, soon, tick)
	}
}

// blockClaims has claims wait for their leases until what it returns is called.
func blockClaims(t *testing.T, dsn string) (goOn func()) {
	t.Helper()
	execute(t, dsn, `
CREATE FUNCTION longshore.wait() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END';
CREATE TRIGGER wait BEFORE INSERT ON longshore.leases FOR EACH STATEMENT EXECUTE FUNCTION longshore.wait()`)
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	goOn = sync.OnceFunc(func() { _ = conn.Close(ctx) })
	t.Cleanup(goOn)
	_, err = conn.Exec(ctx, `SELECT pg_advisory_lock(42)`)
	require.NoError(t, err)
	return goOn
}

func TestAClaimThatGoesOnAfterItsConnectionIsGoneLeavesNoLease(t *testing.T) {
	t.Parallel()
	s, p := behindProxy(t)
	add(t, s, queue.NewJob{Type: "claimed"})
	goOn := blockClaims(t, p.dsn)
	happened := p.cutAt(underWay, claimMarker)
	_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"claimed"}, Worker: "first"})
	requireCut(t, underWay, happened, err)
	// It is looked for in vain, because it has not been granted yet.
	require.Eventually(t, func() bool {
		s.keeper.orphans.mu.Lock()
		defer s.keeper.orphans.mu.Unlock()
		return !s.keeper.orphans.looked.IsZero()
	}, soon, tick)
	goOn()
	requireHandedOutAgain(t, s, "second")
}

func TestADequeueThatIsRepeatedKeepsTheLeaseOfAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s, p := behindProxy(t)
	other := openServer(t, p.dsn, Options{})
	add(t, s, queue.NewJob{Type: "claimed"})
	request := queue.DequeueRequest{Types: []string{"claimed"}, Worker: "first", Once: once("dequeue")}
	openAll(t, s)
	happened := p.cutAt(beforeAnswer, claimMarker)
	p.refuse(true) // the server cannot give it back before the caller comes again, elsewhere
	_, err := s.Dequeue(over(), request)
	requireCut(t, beforeAnswer, happened, err)
	p.cutAll()
	l, err := other.Dequeue(over(), request)
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Attempt)
	p.refuse(false)
	require.Eventually(t, func() bool {
		s.keeper.orphans.mu.Lock()
		defer s.keeper.orphans.mu.Unlock()
		return len(s.keeper.orphans.all) == 0
	}, soon, tick, "it still looks for the lease")
	done(t, other, &l)
}

func TestAServerThatComesWhileAnotherDoesNotListenIsNoticed(t *testing.T) {
	t.Parallel()
	b, p := behindProxy(t)
	awaitListening(t, b)
	require.Eventually(t, b.isAlone, soon, tick, "a single server does not know that it is alone")
	// The connection that listens is gone while another server comes, and is there again when that
	// one adds a job.
	direct, err := pgx.Connect(t.Context(), p.dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, direct.Close(context.WithoutCancel(t.Context()))) }()
	p.refuse(true)
	require.Equal(t, 1, killListeners(t, direct))
	require.Eventually(t, func() bool { return !b.notifier.listens.Load() }, soon, tick)
	a := openServer(t, p.dsn, Options{})
	p.refuse(false)
	awaitListening(t, b)
	id := add(t, a, queue.NewJob{Type: "new"})[0]
	l := take(t, b, "new")
	require.Equal(t, id, l.JobID)
	done(t, b, &l)
}

// A server that is killed leaves its claim to the database, which may grant it after the worker has
// come to another server with the same key.
func TestADequeueThatIsRepeatedWhileTheFirstIsUnderWayHasOneLease(t *testing.T) {
	t.Parallel()
	for name, dequeue := range map[string]func(s *Store, id uuid.UUID) (queue.Lease, error){
		"in turn": func(s *Store, _ uuid.UUID) (queue.Lease, error) {
			return s.Dequeue(over(), queue.DequeueRequest{Types: []string{"claimed"}, Once: once("dequeue")})
		},
		"by id": func(s *Store, id uuid.UUID) (queue.Lease, error) {
			return s.DequeueByID(context.Background(), id, queue.Holder{}, once("dequeue"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := twoServers(t, Options{})
			ids := add(t, a, queue.NewJob{Type: "claimed"}, queue.NewJob{Type: "claimed"})
			require.NoError(t, b.tail.sync(t.Context()))
			goOn := blockClaims(t, a.pool.Config().ConnString())
			var leases [2]queue.Lease
			var calls errgroup.Group
			for i, s := range []*Store{a, b} {
				calls.Go(func() (err error) {
					leases[i], err = dequeue(s, ids[0])
					return err
				})
				require.Eventually(t, func() bool { return blocked(t, a) == i+1 }, soon, tick)
			}
			goOn()
			require.NoError(t, calls.Wait())
			require.Equal(t, leases[0], leases[1])
			require.Equal(t, ids[0], leases[0].JobID)
			require.Eventually(t, func() bool {
				other, err := a.JobStatus(t.Context(), ids[1])
				return err == nil && other.State == queue.Pending
			}, soon, tick, "the other job was not given back")
			done(t, a, &leases[0])
		})
	}
}

// blocked returns how many statements wait for a lock.
func blocked(t *testing.T, s *Store) (n int) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	require.NoError(t, err)
	return n
}
