package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// Whatever the planner believes, the statements that are hot use indexes.

// hotStatements are those that run for each job, or each look at one.
func hotStatements() map[string]string {
	return map[string]string{
		"claimOne": claimOne, "claimMany": claimMany, "claimOneKeyed": claimOneKeyed, "claimManyKeyed": claimManyKeyed, "finishLeases": finishLeases, "beatLeases": beatLeases,
		"firstReady": firstReady, "lockReady": lockReady, "lockLeases": lockLeases, "readWaiting": readWaiting,
		"readEnded": readEnded, "defineByID": defineByID, "defineByPlace": defineByPlace, "readLease": readLease,
		"readEndedLease": readEndedLease, "readStates": readStates, "readCall": readCall, "addJobs": addJobs, "addJobsKeyless": addJobsKeyless,
		"readChanges": readChanges, "readDependencies": readDependencies, "everyFront": everyFront, "nextDue": nextDue, "dueJobs": dueJobs, "longRuns": longRuns,
		"edgesBelow": edgesBelow, "allEdgesBelow": allEdgesBelow, "edgesAbove": edgesAbove,
		"insertCounts": insertCounts,
	}
}

// planning returns a connection in a transaction, as a store has one.
func planning(t *testing.T, dsn string, options *Options) *pgx.Conn {
	t.Helper()
	config, err := poolConfig(dsn, options)
	require.NoError(t, err)
	pool, err := newPool(t.Context(), config, options.NoListen)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx.Conn()
}

// planOf returns how a statement is carried out whose arguments nobody knows.
func planOf(t *testing.T, conn *pgx.Conn, name, statement string) string {
	t.Helper()
	prepared, err := conn.Prepare(t.Context(), name, statement)
	require.NoError(t, err, name)
	nulls := make([]string, len(prepared.ParamOIDs))
	for i := range nulls {
		nulls[i] = "NULL"
	}
	arguments := ""
	if len(nulls) > 0 {
		arguments = "(" + strings.Join(nulls, ", ") + ")"
	}
	return explain(t, conn, "EXPLAIN EXECUTE "+pgx.Identifier{name}.Sanitize()+arguments)
}

func explain(t *testing.T, conn *pgx.Conn, statement string, arguments ...any) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), statement, append([]any{pgx.QueryExecModeSimpleProtocol}, arguments...)...)
	require.NoError(t, err, statement)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err, statement)
	return strings.Join(lines, "\n")
}

// requireIndexes requires that no statement reads a table of jobs from end to end, or sorts one.
func requireIndexes(t *testing.T, dsn string) {
	t.Helper()
	for _, noListen := range []bool{false, true} {
		requireIndexesOf(t, planning(t, dsn, &Options{Connections: 1, NoListen: noListen}))
	}
}

func requireIndexesOf(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for name, statement := range hotStatements() {
		plan := planOf(t, conn, name, statement)
		for _, table := range []string{"ready", "leases", "waiting", "ended", "jobs", "edges", "attempts", "calls", "changes"} {
			for line := range strings.SplitSeq(plan, "\n") {
				isScan := strings.Contains(line, "Seq Scan on "+table+" ") || strings.HasSuffix(line, "Seq Scan on "+table)
				require.False(t, isScan, "%s reads all of %s:\n%s", name, table, plan)
			}
		}
		if strings.HasPrefix(name, "claimOne") {
			require.NotContains(t, plan, "Sort Key: r.place", "%s sorts a line:\n%s", name, plan)
		}
		if name == "allEdgesBelow" {
			// As an index scan without a condition would, for each level of a graph.
			require.Contains(t, plan, "Index Cond: (dependency = b.dependent)", "%s reads all edges for each level:\n%s", name, plan)
		}
	}
}

// manyJobs adds many jobs that are ready, that have leases and that are over, without a word to the
// planner.
const manyJobs = `
INSERT INTO longshore.lanes (channel, type) SELECT 'default', 'plan-' || n FROM generate_series(1, 10) AS n;
INSERT INTO longshore.jobs (place, id, lane, rank, args)
SELECT n, longshore.job_id(n, n), 1 + n % 10, 100, '1' FROM generate_series(1, 150000) AS n;
INSERT INTO longshore.ready (place, id, lane, state, rank, version, queued)
SELECT place, id, lane, 3, rank, 1, now() FROM longshore.jobs WHERE place <= 100000;
INSERT INTO longshore.leases (place, id, lane, state, rank, version, attempt, queued, started, secret, beat)
SELECT place, id, lane, 4, rank, 2, 1, '2026-01-01', '2026-01-02', id, '2026-01-03' FROM longshore.jobs WHERE place BETWEEN 100001 AND 120000;
INSERT INTO longshore.ended (place, id, lane, state, rank, version, attempt, queued, started, finished, secret, how, result)
SELECT place, id, lane, 5, rank, 3, 1, '2026-01-01', '2026-01-02', '2026-01-03', id, 1, '1' FROM longshore.jobs WHERE place > 120000;
INSERT INTO longshore.count_differences (lane, pending, running, finished, bytes)
SELECT lane, count(*) FILTER (WHERE place <= 100000), count(*) FILTER (WHERE place BETWEEN 100001 AND 120000), count(*) FILTER (WHERE place > 120000),
  count(*) FILTER (WHERE place <= 120000)
FROM longshore.jobs GROUP BY lane`

// unattended keeps autovacuum from telling the planner.
func unattended(t *testing.T, dsn string) {
	t.Helper()
	for _, table := range []string{"ready", "leases", "waiting", "ended", "jobs", "edges", "calls", "changes"} {
		execute(t, dsn, `ALTER TABLE longshore.`+table+` SET (autovacuum_enabled = off)`)
	}
}

const (
	analyze = `ANALYZE longshore.ready, longshore.leases, longshore.waiting, longshore.ended, longshore.jobs, longshore.edges`
	// oneDependency has the planner believe that a job has all the dependents there are.
	oneDependency = `
INSERT INTO longshore.edges (dependent, ordinal, dependency, dependency_id, succeeded)
SELECT n, 0, 1, '01234567-89ab-7def-8123-456789abcdef', true FROM generate_series(2, 10000) AS n;
ANALYZE longshore.edges;
DELETE FROM longshore.edges`
	sequence = `SELECT setval('longshore.places', 200000)`
)

func TestHotStatementsUseIndexesOnEmptyTables(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	unattended(t, dsn)
	requireIndexes(t, dsn)
	execute(t, dsn, analyze)
	requireIndexes(t, dsn)
}

func TestHotStatementsUseIndexesWhateverTheStatisticsSay(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"none": "SELECT 1", "of empty tables": analyze, "of one dependency": oneDependency} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := migrated(t, pgtest.Database(t))
			unattended(t, dsn)
			execute(t, dsn, before)
			execute(t, dsn, manyJobs)
			requireIndexes(t, dsn)
			execute(t, dsn, `DELETE FROM longshore.ready WHERE place < 90000`)
			execute(t, dsn, analyze)
			requireIndexes(t, dsn)
			execute(t, dsn, `INSERT INTO longshore.ready (place, id, lane, state, rank, version, queued)
SELECT place, id, lane, 3, rank, 1, now() FROM longshore.jobs WHERE place < 90000`)
			requireIndexes(t, dsn)
		})
	}
}

// claimCost is how many pages one claim touches, which is not made.
func claimCost(t *testing.T, s *Store) int64 {
	t.Helper()
	ctx := t.Context()
	tx, err := s.pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var floor int64
	s.claims.mu.Lock()
	var lanes []int32
	for _, f := range s.claims.fronts.byLane {
		for _, l := range f.ranks {
			if !l.isEmpty() {
				lanes, floor = append(lanes, f.number), min(l.floor, l.fresh)
			}
		}
	}
	s.claims.mu.Unlock()
	require.Len(t, lanes, 1)
	var plan []struct {
		Plan map[string]any `json:"Plan"` //nolint:tagliatelle // PostgreSQL's
	}
	err = tx.QueryRow(ctx, `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+claimOne, lanes, []int16{rankOf(0)}, []int64{floor}, 1,
		[]uuid.UUID{uuid.New()}, []string{""}, []string{""}, []int32{1}, s.id, int16(0)).Scan(&plan)
	require.NoError(t, err)
	require.InDelta(t, 1, plan[0].Plan["Actual Rows"], 0, "how many jobs it has found")
	hit, isNumber := plan[0].Plan["Shared Hit Blocks"].(float64)
	require.True(t, isNumber)
	read, isNumber := plan[0].Plan["Shared Read Blocks"].(float64)
	require.True(t, isNumber)
	return int64(hit + read)
}

func backlog(n int) []queue.NewJob {
	return slices.Repeat([]queue.NewJob{{Type: "churn"}}, n)
}

// churn has as many jobs as there should be go through the queue, by the hundred.
func churn(t *testing.T, s *Store, n int) {
	t.Helper()
	for n > 0 {
		most := min(n, 100)
		request := queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"churn"}}, Max: most}
		if n >= 100 {
			add(t, s, backlog(most)...)
		}
		answer, err := s.DequeueBatch(over(), request)
		require.NoError(t, err)
		n -= len(answer.Leases)
		reports := make([]queue.Report, len(answer.Leases))
		for i := range reports {
			reports[i] = queue.Report{Token: answer.Leases[i].Token}
		}
		_, err = s.DequeueBatch(over(), queue.BatchRequest{DequeueRequest: request.DequeueRequest, Max: 1, Reports: reports, ReportOnly: true})
		require.NoError(t, err)
	}
}

func TestAClaimStaysCheapWhileNothingCanBeVacuumed(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	unattended(t, dsn)
	s := openServer(t, dsn, Options{})
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM longshore.ready`)
	require.NoError(t, err)
	costs := []int64{}
	for range 4 {
		churn(t, s, 5000)
		add(t, s, backlog(10)...)
		costs = append(costs, claimCost(t, s))
		churn(t, s, 10)
	}
	t.Logf("pages that one claim touches, after each 5000 jobs: %v", costs)
	require.LessOrEqual(t, slices.Max(costs), 2*costs[0]+50)
}
