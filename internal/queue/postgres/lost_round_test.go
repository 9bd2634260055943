package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// loseTogether has each transaction lose against another one that writes more than one row into a table.
func loseTogether(t *testing.T, dsn, table, code string) {
	t.Helper()
	execute(t, dsn, fmt.Sprintf(strings.ReplaceAll(`
CREATE FUNCTION longshore.lose_TABLE() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF (SELECT count(*) FROM longshore.TABLE WHERE xmin = pg_current_xact_id()::xid) > 1 THEN
     RAISE EXCEPTION ''lost'' USING ERRCODE = ''%s''; END IF; RETURN NULL; END';
CREATE TRIGGER lose AFTER INSERT ON longshore.TABLE FOR EACH STATEMENT EXECUTE FUNCTION longshore.lose_TABLE()`, "TABLE", table), code))
}

// What several callers want is made in one transaction. When that has lost too often each is answered as if it had
// been alone: what was not made is made, and once.
func TestARoundThatLosesTooOftenIsMadeForEachCallerAlone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	loseTogether(t, dsn, "jobs", codeDeadlock)
	numbers, err := s.numberLanes(t.Context(), []queue.Lane{{Channel: queue.DefaultChannel, Type: "one"}})
	require.NoError(t, err)
	call := func(key string) enqueueCall {
		c := enqueueCall{jobs: []queue.NewJob{{Channel: queue.DefaultChannel, Type: "one"}}, lanes: numbers}
		if key != "" {
			c.once = once(key)
		}
		return c
	}
	waiting := []*batched[enqueueCall, enqueueAnswer]{s.enqueues.add(call("")), s.enqueues.add(call("key")), s.enqueues.add(call(""))}
	s.rounds.kick()
	for _, w := range waiting {
		get(t, w.done)
		require.NoError(t, w.err)
		require.Len(t, w.answer, 1)
	}
	again, err := s.EnqueueOnce(t.Context(), call("key").jobs, once("key"))
	require.NoError(t, err)
	require.Equal(t, waiting[1].answer[0].ID, again[0].ID)
	require.True(t, again[0].Repeated)
	for _, w := range waiting {
		l := take(t, s, "one")
		require.Equal(t, w.answer[0].ID, l.JobID)
	}
	require.False(t, s.tail.doubts.are(), "it is known what the round has made")
}

func TestClaimsThatLoseTooOftenTogetherAreMadeAlone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	loseTogether(t, dsn, "leases", codeDeadlock)
	types := []string{"one", "two", "three"}
	var waiting []<-chan leaseOr
	var jobs []queue.NewJob
	for _, name := range types {
		waiting, jobs = append(waiting, takeLater(t, s, name)), append(jobs, queue.NewJob{Type: name})
	}
	ids := add(t, s, jobs...) // in the round that claims them
	requireEach(t, s, waiting, ids)
}

// requireEach requires that each of those who wait is handed its job, and that nothing is in doubt.
func requireEach(t *testing.T, s *Store, waiting []<-chan leaseOr, ids []uuid.UUID) {
	t.Helper()
	for i := range waiting {
		l := get(t, waiting[i])
		require.NoError(t, l.err)
		require.Equal(t, ids[i], l.lease.JobID)
	}
	require.False(t, s.tail.doubts.are(), "it is known what the round has made")
}

// One job whose claim fails, however that is, keeps nobody from the others: who comes at once for several is told
// of none of it.
func TestClaimsThatFailTogetherAreMadeAlone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	loseTogether(t, dsn, "leases", "XX001") // as damage does
	types := []string{"one", "two", "three"}
	var jobs []queue.NewJob
	for _, name := range types {
		jobs = append(jobs, queue.NewJob{Type: name})
	}
	ids := add(t, s, jobs...)

	// While a round is held up, those who ask gather for the next one.
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE longshore.jobs IN SHARE ROW EXCLUSIVE MODE`)
	require.NoError(t, err)
	added := make(chan error, 1)
	go func() {
		_, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "other"}})
		added <- err
	}()
	require.Eventually(t, func() (waits bool) {
		err := conn.QueryRow(t.Context(), `
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE NOT l.granted AND d.datname = current_database() AND l.relation = 'longshore.jobs'::regclass)`).Scan(&waits)
		return err == nil && waits
	}, soon, tick)
	var waiting []<-chan leaseOr
	for _, name := range types {
		waiting = append(waiting, dequeuing(t, s, name))
	}
	require.Eventually(t, func() bool { return s.claims.length() == len(types) }, soon, tick)
	_, err = conn.Exec(t.Context(), `COMMIT`)
	require.NoError(t, err)

	require.NoError(t, get(t, added))
	requireEach(t, s, waiting, ids)
}

// Who sleeps is not told of a claim that loses, and gets the job from a later one.
func TestWhoSleepsIsClaimedForAgainWhenAClaimHasLostTooOften(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	waits := takeLater(t, s, "one")
	loseAtFirst(t, dsn, "INSERT ON longshore.leases", 5*triesOfTransaction)
	id := add(t, s, queue.NewJob{Type: "one"})[0]
	l := get(t, waits)
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	require.False(t, s.tail.doubts.are(), "it is known what the round has made")
}

func TestReportsThatLoseTooOftenTogetherAreTakenAlone(t *testing.T) {
	t.Parallel()
	lost := fmt.Errorf("%w: %w", queue.ErrUnavailable, &pgconn.PgError{Code: codeDeadlock})
	var m merger[int, int]
	answers := []*batched[int, int]{{call: 1, done: make(chan struct{})}, {call: 2, done: make(chan struct{})}}
	m.answer(answers, func(calls []int) ([]int, error) {
		if len(calls) > 1 {
			return nil, lost
		}
		return calls, nil
	})
	for _, a := range answers {
		get(t, a.done)
		require.NoError(t, a.err)
		require.Equal(t, a.call, a.answer)
	}
}
