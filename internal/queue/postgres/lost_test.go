package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestAJobThatAChangeLooksAtIsFoundAfterIt(t *testing.T) {
	t.Parallel()
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{})
	awaitListening(t, s)
	require.Eventually(t, s.isAlone, soon, tick, "a single server does not know that it is alone")
	id := add(t, s, queue.NewJob{Type: "looked-at"})[0]
	// A job that another one is to depend on is locked and stays as it is.
	require.NoError(t, s.change(t.Context(), func(c *change) error {
		if _, err := c.read(id); err != nil {
			return err
		}
		_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"looked-at"}})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		return nil
	}))
	l := take(t, s, "looked-at")
	require.Equal(t, id, l.JobID)
	done(t, s, &l)
}

// holdFirst has somebody look at the first ready job of the database until goOn is called, which leaves it as
// it is.
func holdFirst(t *testing.T, dsn string) (goOn func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `BEGIN; SELECT FROM longshore.ready ORDER BY place LIMIT 1 FOR UPDATE`)
	require.NoError(t, err)
	return func() {
		_, err = conn.Exec(t.Context(), `ROLLBACK`)
		require.NoError(t, err)
	}
}

// Whoever has locked a job may go away without a word.
func TestAJobThatAnotherServerHasLockedAndLeftIsHandedOut(t *testing.T) {
	t.Parallel()
	for name, types := range map[string][]string{"one line": {"locked"}, "several": {"locked", "other"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := migrated(t, pgtest.Database(t))
			openServer(t, dsn, Options{})
			s := openServer(t, dsn, Options{})
			ids := add(t, s, queue.NewJob{Type: "locked"}, queue.NewJob{Type: "locked"}, queue.NewJob{Type: "locked"}, queue.NewJob{Type: types[len(types)-1]})
			goOn := holdFirst(t, dsn)
			answer, err := s.DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: types}, Max: 2})
			require.NoError(t, err)
			goOn()
			var handedOut []uuid.UUID
			for i := range answer.Leases {
				handedOut = append(handedOut, answer.Leases[i].JobID)
			}
			require.NotContains(t, handedOut, ids[0])
			for len(handedOut) < len(ids) {
				handedOut = append(handedOut, take(t, s, types...).JobID)
			}
			require.ElementsMatch(t, ids, handedOut)
		})
	}
}

// What another server has done is read once, and the lane that it was done in if need be.
func TestAJobOfALaneThatCouldNotBeReadIsHandedOut(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	p, address := through(t, dsn)
	from, to := openServer(t, dsn, Options{}), openServer(t, address, Options{})
	got := takeLater(t, to, "new")
	happened := p.cutAt(beforeStatement, "FROM longshore.lanes WHERE number")
	id := add(t, from, queue.NewJob{Type: "new"})[0]
	get(t, happened)
	l := get(t, got)
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	done(t, from, &l.lease)
}

// A trigger loses rows of jobs as damage does. Who came first would have got the first job.
func TestALeaseIsRecordedForWhoGotItThoughAJobIsLost(t *testing.T) {
	t.Parallel()
	for name, types := range map[string][]string{"one line": {"lost"}, "several": {"lost", "other"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Database(t)
			_, err := Migrate(t.Context(), dsn)
			require.NoError(t, err)
			execute(t, dsn, `
CREATE FUNCTION longshore.lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER lose BEFORE INSERT ON longshore.jobs FOR EACH ROW WHEN (NEW.args = '"lost"'::bytea) EXECUTE FUNCTION longshore.lose()`)
			s := openServer(t, dsn, Options{})
			leases := make(chan leaseOr, 3)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range 3 {
				request := queue.DequeueRequest{Types: types, Worker: fmt.Sprint("worker ", i)}
				go func() {
					l, err := s.Dequeue(ctx, request)
					if err == nil {
						l.Labels = map[string]string{"worker": request.Worker}
					}
					leases <- leaseOr{lease: l, err: err}
				}()
				require.Eventually(t, func() bool { return s.claims.length() == i+1 && s.claims.sleeps(request.Lanes()) }, soon, tick)
			}
			add(t, s, queue.NewJob{Type: "lost", Args: []byte(`"lost"`)}, queue.NewJob{Type: "lost"}, queue.NewJob{Type: types[len(types)-1]})
			for range 2 {
				got := get(t, leases)
				require.NoError(t, got.err)
				_, secret := cutToken(got.lease.Token)
				var worker string
				require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT worker FROM longshore.leases WHERE secret = $1`, secret).Scan(&worker))
				require.Equal(t, got.lease.Labels["worker"], worker)
			}
			cancel()
			require.ErrorIs(t, get(t, leases).err, queue.ErrDequeueTimeout)
		})
	}
}

func TestJobsOfLanesThatAreNotKnownAreReadWithOneConnection(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	a := openServer(t, dsn, Options{})
	ids := add(t, a, queue.NewJob{Type: "over"}, queue.NewJob{Type: "over"})
	for range ids {
		l := take(t, a, "over")
		done(t, a, &l)
	}
	b := openServer(t, dsn, Options{Connections: 1})
	page, err := b.ListJobs(t.Context(), queue.Listing{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Jobs, len(ids))
	require.Equal(t, "over", page.Jobs[0].Job.Type)
}

func TestChangesAtManyLanesNeedOneConnectionEach(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	a, b := openServer(t, dsn, Options{}), openServer(t, dsn, Options{Connections: 2, NoListen: true})

	var jobs []queue.NewJob
	for i := range 64 {
		jobs = append(jobs, queue.NewJob{Type: fmt.Sprintf("lane-%d", i), UniqueKey: "one"})
	}
	ids := add(t, a, jobs...)
	errs := make(chan error, len(ids))
	for _, id := range ids {
		go func() { errs <- b.CancelJob(context.Background(), id) }()
	}
	for range ids {
		require.NoError(t, get(t, errs))
	}
}

// A server that was cut off is gone after 10 s, and what it has locked is let go later. So is what an operator locks.
func TestAJobThatWasLockedWhileAServerIsAloneIsHandedOut(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	id := add(t, s, queue.NewJob{Type: "locked"})[0]
	require.Eventually(t, s.isAlone, soon, tick)
	goOn := holdFirst(t, dsn)
	got := takeLater(t, s, "locked")
	goOn()
	l := get(t, got)
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	done(t, s, &l.lease)
}
