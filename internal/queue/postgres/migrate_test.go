package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// longestStall is for how long a migration may hold up anybody, on a machine that is busy with more than that.
const longestStall = 20 * lockPatience

// stepsUpTo returns the steps of the schema up to a version, and others.
func stepsUpTo(t *testing.T, version string, others fstest.MapFS) fs.FS {
	t.Helper()
	steps := maps.Clone(others)
	if steps == nil {
		steps = make(fstest.MapFS)
	}
	entries, err := migrations.ReadDir("migrations")
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name()[:len(version)] > version {
			continue
		}
		content, err := migrations.ReadFile("migrations/" + entry.Name())
		require.NoError(t, err)
		steps[entry.Name()] = &fstest.MapFile{Data: content}
	}
	return steps
}

func TestTheVersionIsThatOfTheLastStep(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	all, err := Migrations(t.Context(), dsn)
	require.NoError(t, err)
	require.EqualValues(t, Version, all[len(all)-1].Version)
	for _, step := range all {
		require.Zero(t, step.Applied)
	}
	applied, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	require.Len(t, applied, len(all))
	applied, err = Migrate(t.Context(), dsn)
	require.NoError(t, err)
	require.Empty(t, applied)
}

// A server works with the schema that it was made for, and with later ones unless they say that it
// cannot. Who has to know everything that there is does not.
func TestWhichSchemasAServerWorksWith(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	_, err := migrate(t.Context(), dsn, stepsUpTo(t, "00001", nil))
	require.NoError(t, err)
	openFor := func(version int64) error {
		limits := defaultLimits()
		limits.schema = version
		s, err := open(t.Context(), dsn, Options{Logger: newCalmLog(t)}, limits)
		if err == nil {
			require.NoError(t, s.Close())
		}
		return err
	}
	require.NoError(t, openFor(1))
	err = openFor(2)
	require.ErrorIs(t, err, ErrSchema)
	require.ErrorContains(t, err, "of version 1, older than 2; run `longshore-server migrate up`")
	_, err = Audit(t.Context(), dsn)
	require.ErrorIs(t, err, ErrSchema)

	_, err = Migrate(t.Context(), dsn)
	require.NoError(t, err)
	require.NoError(t, openFor(1), "the first program")
	require.NoError(t, openFor(Version-1), "the program before this one")
	require.NoError(t, openFor(Version))
	next := strconv.Itoa(Version + 1)
	execute(t, dsn, `INSERT INTO longshore.goose_db_version (version_id, is_applied) VALUES (`+next+`, true)`)
	require.NoError(t, openFor(2))
	_, err = Audit(t.Context(), dsn)
	require.ErrorContains(t, err, "of version "+next+", newer than "+strconv.Itoa(Version)+"; run a newer program")
	_, err = OpenCopySource(t.Context(), dsn)
	require.ErrorIs(t, err, ErrSchema)
	execute(t, dsn, `UPDATE longshore.compatibility SET least = 2`)
	require.NoError(t, openFor(2))
	err = openFor(1)
	require.ErrorIs(t, err, ErrSchema)
	require.ErrorContains(t, err, "of version "+next+", for programs of version 2 or later, and this one is of version 1; run a newer program")
}

// probe runs jobs one by one until ctx ends, and returns how long the longest call took.
func probe(ctx context.Context, t *testing.T, s *Store) (longest time.Duration) {
	t.Helper()
	measure := func(call func() error) {
		began := time.Now()
		if err := call(); err != nil {
			t.Errorf("a call failed while the schema was migrated: %v", err)
		}
		longest = max(longest, time.Since(began))
	}
	background := context.Background()
	for ctx.Err() == nil && !t.Failed() {
		measure(func() error {
			_, err := s.Enqueue(background, []queue.NewJob{{Type: "probe"}})
			return err
		})
		var l queue.Lease
		measure(func() (err error) {
			l, err = s.Dequeue(background, queue.DequeueRequest{Types: []string{"probe"}})
			return err
		})
		measure(func() error {
			_, err := s.RequeueOrFinishJob(background, l.Token, 0, queue.Outcome{Result: json.RawMessage(`1`)})
			return err
		})
	}
	return longest
}

// Servers are at work on the schema when it is migrated by a step that wants the hottest of all tables
// to itself, while a transaction that goes on for long keeps it from that.
func TestAMigrationUnderLoadStallsNobodyForLong(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	_, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	var servers []*Store
	for range 2 {
		s, err := Open(t.Context(), dsn, Options{Logger: newCalmLog(t)})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		servers = append(servers, s)
	}
	load := startTraffic(t, servers...)
	load.awaitMore(t, 20)
	ctx, stop := context.WithCancel(t.Context())
	stalled := make(chan time.Duration, len(servers))
	for _, s := range servers {
		go func() { stalled <- probe(ctx, t, s) }()
	}

	reader, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `BEGIN; SELECT FROM longshore.ready`)
	require.NoError(t, err)
	steps := stepsUpTo(t, fmt.Sprintf("%05d", Version), fstest.MapFS{fmt.Sprintf("%05d_greedy.sql", Version+1): &fstest.MapFile{
		Data: []byte("-- +goose Up\nALTER TABLE longshore.ready ADD COLUMN greedy integer;\nALTER TABLE longshore.leases ADD COLUMN greedy integer;\n"),
	}})
	migrated := make(chan error, 1)
	go func() {
		_, err := migrate(context.Background(), dsn, steps)
		migrated <- err
	}()
	awaitGivenUp(t, dsn)
	awaitGivenUp(t, dsn)
	require.Empty(t, migrated)
	require.NoError(t, reader.Close(t.Context()))
	require.NoError(t, <-migrated)
	load.awaitMore(t, 20)
	stop()
	for range servers {
		longest := <-stalled
		t.Logf("the longest call took %s", longest)
		require.Less(t, longest, longestStall)
	}
	load.end(t, servers[0])
}

// awaitGivenUp waits until a migration has waited for a lock, and given it up.
func awaitGivenUp(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	for _, waiting := range []bool{true, false} {
		require.Eventually(t, func() bool {
			var is bool
			err := conn.QueryRow(t.Context(), `
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'longshore-migrate' AND wait_event_type = 'Lock' AND datname = current_database())`).Scan(&is)
			return err == nil && is == waiting
		}, soon, tick, "a migration that waits for a lock: %v", waiting)
	}
}
