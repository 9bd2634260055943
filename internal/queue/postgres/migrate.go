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

// Version is the version of the schema that this program works with.
const Version = 1

const versionTable = "longshore.goose_db_version"

// ErrSchema is returned by Open if the database has no schema, or one of another version.
var ErrSchema = errors.New("the database's schema is not the one that this program works with")

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero if it has not been applied
}

// Migrate brings the schema of a database to Version, and returns the steps that it took. It may be
// called while servers are at work, and by several programs at once: they take turns. No statement
// waits for a lock for more than two seconds, so that it holds nobody up for longer; if it gives
// up, it can be called again.
func Migrate(ctx context.Context, dsn string) (applied []Migration, err error) {
	err = withProvider(ctx, dsn, true, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			applied = append(applied, Migration{Version: r.Source.Version, Name: nameOf(r.Source), Applied: time.Now()})
		}
		return err
	})
	if err != nil {
		return applied, fmt.Errorf("migrate the database: %w", err)
	}
	return applied, nil
}

// Migrations returns all steps of the schema, and when each was applied.
func Migrations(ctx context.Context, dsn string) (all []Migration, err error) {
	err = withProvider(ctx, dsn, false, func(p *goose.Provider) error {
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

func withProvider(ctx context.Context, dsn string, writes bool, use func(*goose.Provider) error) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("the address of the database: %w", err)
	}
	config.RuntimeParams["application_name"] = "longshore-migrate"
	config.RuntimeParams["lock_timeout"] = "2s"
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
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

// checkSchema returns ErrSchema if the schema is not of the version that this program works with.
func (s *Store) checkSchema(ctx context.Context) error {
	var version *int64
	err := s.database(ctx, func(ctx context.Context) (err error) {
		version, err = schemaVersion(ctx, s.pool)
		return err
	})
	return refuseSchema(version, err)
}

// schemaVersion returns the version of the schema; nil if there is a schema and nothing in it.
func schemaVersion(ctx context.Context, from reader) (version *int64, err error) {
	err = from.QueryRow(ctx, `SELECT max(version_id) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	return version, err
}

// refuseSchema says what is wrong with what schemaVersion returned, if anything is.
func refuseSchema(version *int64, err error) error {
	var failure *pgconn.PgError
	switch {
	case errors.As(err, &failure) && failure.Code == codeUnknownTable, err == nil && version == nil:
		return fmt.Errorf("%w: it has none; run `longshore-server migrate up`, or start with --migrate", ErrSchema)
	case err != nil:
		return fmt.Errorf("read the version of the database's schema: %w", err)
	case *version < Version:
		return fmt.Errorf("%w: it is of version %d, older than %d; run `longshore-server migrate up`, or start with --migrate", ErrSchema, *version, Version)
	case *version > Version:
		return fmt.Errorf("%w: it is of version %d, newer than %d; run a newer program", ErrSchema, *version, Version)
	default:
		return nil
	}
}
