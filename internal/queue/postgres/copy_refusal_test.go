package postgres

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// requireRefused requires that a database can neither be copied nor filled.
func requireRefused(t *testing.T, dsn string) {
	t.Helper()
	_, err := OpenCopySource(t.Context(), dsn)
	require.ErrorIs(t, err, ErrInUse)
	_, err = OpenCopyTarget(t.Context(), dsn)
	require.ErrorIs(t, err, ErrInUse)
}

func TestADatabaseThatAServerUsesIsNotCopied(t *testing.T) {
	t.Parallel()
	h := newHarness(t, smallLimits())
	requireRefused(t, h.dsn)
	_, err := h.store.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
	require.NoError(t, err) // a refusal leaves no lock

	// One that was killed a moment ago may still be at work, as far as anybody knows.
	require.NoError(t, h.store.Close())
	execute(t, h.dsn, `INSERT INTO longshore.servers VALUES (gen_random_uuid(), clock_timestamp() - interval '9 seconds')`)
	requireRefused(t, h.dsn)
	execute(t, h.dsn, `UPDATE longshore.servers SET seen = seen - interval '2 seconds'`)
	s, err := OpenCopySource(t.Context(), h.dsn)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	giveBack(t, h.dsn)
}

// While a copy is made no server begins, and no other copy; and nobody who was thought dead changes
// anything.
func TestNobodyUsesADatabaseThatIsBeingCopied(t *testing.T) {
	t.Parallel()
	for _, open := range []func(context.Context, string) (interface{ Close() error }, error){
		func(ctx context.Context, dsn string) (interface{ Close() error }, error) {
			return OpenCopySource(ctx, dsn)
		},
		func(ctx context.Context, dsn string) (interface{ Close() error }, error) {
			return OpenCopyTarget(ctx, dsn)
		},
	} {
		dsn := emptyOne(t)
		held, err := open(t.Context(), dsn)
		require.NoError(t, err)
		_, err = Open(t.Context(), dsn, Options{})
		require.ErrorIs(t, err, ErrInUse)
		require.NotErrorIs(t, err, queue.ErrUnavailable)
		conn, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		for _, statement := range []string{
			`INSERT INTO longshore.count_differences (lane) VALUES (1)`,
			`DELETE FROM longshore.ready`,
			`UPDATE longshore.leases SET beat = beat`,
		} {
			_, err = conn.Exec(t.Context(), `SET lock_timeout = '20ms'; `+statement)
			require.ErrorContains(t, err, codeLockTimeout, statement)
		}
		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, held.Close())

		s, err := Open(t.Context(), dsn, Options{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		giveBack(t, dsn)
	}
}

func TestTwoCopiesOfADatabaseDoNotMeet(t *testing.T) {
	t.Parallel()
	dsn := emptyOne(t)
	s, err := OpenCopySource(t.Context(), dsn)
	require.NoError(t, err)
	requireRefused(t, dsn)
	require.NoError(t, s.Close())
	giveBack(t, dsn)
}

func TestADatabaseWithAnythingInItIsNotFilled(t *testing.T) {
	t.Parallel()
	h := newHarness(t, smallLimits())
	_, err := h.store.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
	require.NoError(t, err)
	require.NoError(t, h.store.Close())
	_, err = OpenCopyTarget(t.Context(), h.dsn)
	require.ErrorIs(t, err, queue.ErrNotEmpty)
	giveBack(t, h.dsn)
}

// A copy that ends half-way, however, has left nothing: the database is empty, can be served, and
// can be filled.
func TestACopyThatIsKilledLeavesTheDatabaseEmpty(t *testing.T) {
	t.Parallel()
	directory, dsn := filepath.Join(t.TempDir(), "store"), emptyOne(t)
	from, err := embedded.Open(directory, embedded.Options{})
	require.NoError(t, err)
	jobs := make([]queue.NewJob, 6*copyPage) // so that some are written before the end
	for i := range jobs {
		jobs[i].Type = "a"
	}
	_, err = from.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.NoError(t, from.Close())

	s, err := embedded.OpenCopySource(directory)
	require.NoError(t, err)
	d, err := OpenCopyTarget(t.Context(), dsn)
	require.NoError(t, err)
	killer := &killing{CopyTarget: d, after: len(jobs) - 1, kill: func() {
		execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'longshore-copy' AND datname = current_database()`)
	}}
	_, err = queue.Copy(t.Context(), s, killer, time.Now())
	require.Error(t, err)
	require.NoError(t, s.Close())
	_ = d.Close() // it has no connection any more

	served, err := Open(t.Context(), dsn, Options{})
	require.NoError(t, err)
	page, err := served.ListJobs(t.Context(), queue.Listing{Limit: 1})
	require.NoError(t, err)
	require.Empty(t, page.Jobs)
	require.NoError(t, served.Close())
	copied := copyStore(t, directory, dsn, time.Now())
	require.EqualValues(t, len(jobs), copied.Jobs)
	giveBack(t, dsn)
}

// killing is a target whose connection is cut after some jobs.
type killing struct {
	*CopyTarget
	after int
	kill  func()
}

// AddJob implements queue.CopyTarget.
func (k *killing) AddJob(ctx context.Context, j *queue.CopiedJob) error {
	k.after--
	if k.after == 0 {
		k.kill()
	}
	return k.CopyTarget.AddJob(ctx, j)
}

func TestADatabaseWithoutItsSchemaIsNeitherCopiedNorFilled(t *testing.T) {
	t.Parallel()
	dsn := emptyOne(t)
	execute(t, dsn, `UPDATE longshore.goose_db_version SET is_applied = false`)
	_, err := OpenCopyTarget(t.Context(), dsn)
	require.ErrorIs(t, err, ErrSchema)
	_, err = OpenCopySource(t.Context(), dsn)
	require.ErrorIs(t, err, ErrSchema)
	execute(t, dsn, `UPDATE longshore.goose_db_version SET is_applied = true`)
	giveBack(t, dsn)
}
