package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Version is the version of the schema that this program was made for. It works with later ones too,
// unless they say otherwise.
const Version = 5

// firstWithCompatibility is the version since which a schema says which programs can work with it.
const firstWithCompatibility = 2

const (
	// lockPatience is how long a statement of a migration waits for a lock. While it does, others
	// wait behind it, and it may wait for several.
	lockPatience = 500 * time.Millisecond
	// lockTries is how often a migration is tried that does not get a lock, with lockPause in
	// between.
	lockTries = 60
	lockPause = time.Second
)

const versionTable = "longshore.goose_db_version"

// ErrSchema is returned by Open if the database has no schema, or one that the program cannot work
// with.
var ErrSchema = errors.New("the database's schema is not the one that this program works with")

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero if it has not been applied
}

// Migrate brings the schema of a database to Version, and returns the steps that it took. It may be
// called while servers are at work, and by several programs at once: they take turns. No statement
// waits for a lock for longer than lockPatience, so that nobody waits long behind it; a step that does
// not get its locks is undone, and tried again, for a minute or so.
func Migrate(ctx context.Context, dsn string) (applied []Migration, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return migrate(ctx, dsn, files)
}

func migrate(ctx context.Context, dsn string, files fs.FS) (applied []Migration, err error) {
	err = withProvider(ctx, dsn, files, true, func(p *goose.Provider) error {
		for try := 1; ; try++ {
			results, err := p.Up(ctx)
			var partial *goose.PartialError
			if errors.As(err, &partial) {
				results = partial.Applied
			}
			for _, r := range results {
				applied = append(applied, Migration{Version: r.Source.Version, Name: nameOf(r.Source), Applied: time.Now()})
			}
			var failure *pgconn.PgError
			if !errors.As(err, &failure) || failure.Code != codeLockTimeout || try == lockTries {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(lockPause):
			}
		}
	})
	if err != nil {
		return applied, fmt.Errorf("migrate the database: %w", err)
	}
	return applied, nil
}

// Migrations returns all steps of the schema, and when each was applied.
func Migrations(ctx context.Context, dsn string) (all []Migration, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	err = withProvider(ctx, dsn, files, false, func(p *goose.Provider) error {
		status, err := p.Status(ctx)
		var failure *pgconn.PgError
		if errors.As(err, &failure) && failure.Code == codeUnknownSchema {
			for _, source := range p.ListSources() {
				all = append(all, Migration{Version: source.Version, Name: nameOf(source)})
			}
			return nil
		}
		for _, s := range status {
			all = append(all, Migration{Version: s.Source.Version, Name: nameOf(s.Source), Applied: s.AppliedAt})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state of the database's schema: %w", err)
	}
	return all, nil
}

func nameOf(source *goose.Source) string { return source.Path }

func withProvider(ctx context.Context, dsn string, files fs.FS, writes bool, use func(*goose.Provider) error) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return badAddress(err)
	}
	config.RuntimeParams["application_name"] = "longshore-migrate"
	config.RuntimeParams["lock_timeout"] = fmt.Sprint(lockPatience.Milliseconds())
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	if writes {
		if err := makeSchema(ctx, db); err != nil {
			return err
		}
	}
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider("", db, files, goose.WithStore(store), goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	return use(provider)
}

// makeSchema makes what the first step needs. Two programs that do so at once may fail each other.
func makeSchema(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS longshore`)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && (failure.Code == "23505" || failure.Code == "42P06") {
		return nil
	}
	return err
}

// schema is what a database has of the schema.
type schema struct {
	version int64 // 0 if it has none
	least   int64 // programs that were made for an earlier version cannot work with it
}

// schemaOf finds out which schema a database has.
func schemaOf(ctx context.Context, from reader) (schema, error) {
	var found schema
	err := from.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&found.version)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && (failure.Code == codeUnknownTable || failure.Code == codeUnknownSchema) {
		return schema{}, nil
	}
	if err == nil && found.version >= firstWithCompatibility {
		err = from.QueryRow(ctx, `SELECT max(least) FROM longshore.compatibility`).Scan(&found.least)
	}
	return found, err
}

// checkSchema returns ErrSchema if the schema is one that this program cannot work with.
func (s *Store) checkSchema(ctx context.Context) error {
	var found schema
	err := s.database(ctx, func(ctx context.Context) (err error) {
		found, err = schemaOf(ctx, s.pool)
		return err
	})
	return refuseSchema(found, err, s.limits.schema)
}

// refuseSchema says why a server that was made for a version cannot work with what schemaOf has
// found, if it cannot. A newer schema is as good, unless that says otherwise: so servers are
// replaced one by one, after the schema.
func refuseSchema(found schema, err error, version int64) error {
	switch {
	case err != nil:
		return fmt.Errorf("read the version of the database's schema: %w", err)
	case found.version == 0:
		return fmt.Errorf("%w: it has none; run `longshore-server migrate up`, or start with --migrate", ErrSchema)
	case found.version < version:
		return fmt.Errorf("%w: it is of version %d, older than %d; run `longshore-server migrate up`, or start with --migrate", ErrSchema, found.version, version)
	case found.least > version:
		return fmt.Errorf("%w: it is of version %d, for programs of version %d or later, and this one is of version %d; run a newer program",
			ErrSchema, found.version, found.least, version)
	default:
		return nil
	}
}

// refuseOtherSchema is refuseSchema for those who must know everything that there is: a copy by an
// older program would leave out what is new.
func refuseOtherSchema(found schema, err error) error {
	if err == nil && found.version > Version {
		return fmt.Errorf("%w: it is of version %d, newer than %d; run a newer program", ErrSchema, found.version, Version)
	}
	return refuseSchema(found, err, Version)
}
