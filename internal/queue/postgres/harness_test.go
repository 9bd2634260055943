package postgres

import (
	"cmp"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// testClock is the schema's clock, made to stand still.
const testClock = `
CREATE TABLE longshore.test_clock (now timestamptz NOT NULL);
INSERT INTO longshore.test_clock VALUES (now());
CREATE OR REPLACE FUNCTION longshore.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM longshore.test_clock'`

// emptyDatabase takes everything out of a database, so that another test can have it.
const emptyDatabase = `
TRUNCATE longshore.ready, longshore.leases, longshore.waiting, longshore.ended, longshore.lanes, longshore.jobs, longshore.edges,
  longshore.attempts, longshore.reported, longshore.unique_keys, longshore.calls, longshore.counts, longshore.count_differences,
  longshore.changes, longshore.servers, longshore.workers, longshore.api_keys RESTART IDENTITY;
UPDATE longshore.test_clock SET now = clock_timestamp()`

// databases are those that no test has at the moment: to make one takes longer than most tests.
var databases struct {
	mu   sync.Mutex
	free []string // guarded by mu
}

// emptyOne returns the address of an empty database, whose clock stands still.
func emptyOne(t queuetest.TB) string {
	t.Helper()
	databases.mu.Lock()
	if n := len(databases.free); n > 0 {
		dsn := databases.free[n-1]
		databases.free = databases.free[:n-1]
		databases.mu.Unlock()
		return dsn
	}
	databases.mu.Unlock()
	dsn := pgtest.Database(lasting{t})
	_, err := Migrate(context.Background(), dsn)
	require.NoError(t, err)
	execute(t, dsn, testClock)
	return dsn
}

// lasting hides the Cleanup of a test: its database is for others too.
type lasting struct{ queuetest.TB }

func giveBack(t queuetest.TB, dsn string) {
	t.Helper()
	execute(t, dsn, emptyDatabase)
	databases.mu.Lock()
	defer databases.mu.Unlock()
	databases.free = append(databases.free, dsn)
}

func execute(t queuetest.TB, dsn, statements string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, statements)
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
}

// harness runs the conformance suite on a database of its own.
type harness struct {
	dsn     string
	address string // of the database to the store; "" for dsn
	options Options
	limits  limits
	store   *Store

	observed queuetest.Observed
	mu       sync.Mutex
	time     time.Time // guarded by mu; what the database's clock shows
}

// smallLimits make small graphs and short backlogs meet every limit.
func smallLimits() limits {
	return limits{
		dueStep: 2, round: 3, levels: 2, silence: 60, eventsKept: 4000, lanes: 3, schema: Version,
		listenCheck: listenCheck, closing: 5 * time.Second,
	}
}

func newHarness(t queuetest.TB, limits limits) *harness {
	t.Helper()
	h := &harness{dsn: emptyOne(t), limits: limits}
	h.setClock(time.Now().UTC().Truncate(time.Microsecond))
	h.open(t)
	return h
}

func (h *harness) setClock(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, h.dsn)
	if err == nil {
		_, err = conn.Exec(ctx, `UPDATE longshore.test_clock SET now = $1`, at)
	}
	if err == nil {
		err = conn.Close(ctx)
	}
	if err != nil {
		panic(err)
	}
	h.time = at
}

func (h *harness) open(t queuetest.TB) {
	t.Helper()
	address, options := cmp.Or(h.address, h.dsn), h.options
	options.Logger, options.Observer = failOnError{t}, observer{Observed: &h.observed}
	store, err := open(context.Background(), address, options, h.limits)
	require.NoError(t, err)
	store.keeper.mu.Lock()
	store.keeper.clock = h.Now
	store.keeper.mu.Unlock()
	h.store = store
}

func (h *harness) Queue() queuetest.Queue { return h.store }

func (h *harness) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

// Advance does by itself what the timekeeper does as well, but at a time of its own.
func (h *harness) Advance(d time.Duration) {
	h.setClock(h.Now().Add(d))
	for {
		until, err := h.store.untilDue(context.Background())
		if err == nil && until > 0 {
			return
		}
		if err == nil {
			err = h.store.doDue(context.Background())
		}
		if err != nil {
			panic(err)
		}
	}
}

func (h *harness) Observed() *queuetest.Observed { return &h.observed }

func (h *harness) Restart(t queuetest.TB) {
	t.Helper()
	require.NoError(t, h.store.Close())
	h.audit(t)
	h.open(t)
}

func (h *harness) audit(t queuetest.TB) {
	t.Helper()
	audit, err := Audit(context.Background(), h.dsn)
	require.NoError(t, err)
	require.Empty(t, audit.Differences)
}

func (h *harness) Close(t queuetest.TB) {
	t.Helper()
	require.NoError(t, h.store.Close())
	h.audit(t)
	giveBack(t, h.dsn)
}

// failOnError is a logger: an error in the log of a store that nobody harmed is a failure.
type failOnError struct{ t queuetest.TB }

func (failOnError) Info(string, ...string) {}

func (f failOnError) Error(err error, msg string, keysAndValues ...string) {
	f.t.Fatalf("the store logged an error: %s %v: %v", msg, keysAndValues, err)
}

func TestStore(t *testing.T) {
	t.Parallel()
	queuetest.Test(t, func(t queuetest.TB) queuetest.Harness { return newHarness(t, smallLimits()) })
}

var _ queue.JobQueue = (*Store)(nil)
