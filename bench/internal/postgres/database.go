package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// fileCopyVersion is the first version that copies a template through its log unless it is told
// to copy files, which is the only way of those before.
const fileCopyVersion = 15_00_00

// closeTimeout bounds the end of a connection.
const closeTimeout = 10 * time.Second

// administration is a connection to the cluster rather than to one of its databases.
type administration interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// administer does something on a connection of its own.
func (c *Cluster) administer(ctx context.Context, do func(administration) error) (err error) {
	conn, err := c.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disconnect(ctx, conn)) }()
	return do(conn)
}

// Connect opens a connection to a database. The caller closes it.
func (c *Cluster) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, c.URL(database))
	if err != nil {
		return nil, fmt.Errorf("connect to the database %s: %w", database, err)
	}
	return conn, nil
}

func disconnect(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return conn.Close(ctx)
}

// URL is where a database is, as everybody's client understands it.
func (c *Cluster) URL(database string) string { return c.cluster.DSN(database) }

// Create makes an empty database.
func (c *Cluster) Create(ctx context.Context, database string) error {
	return c.administer(ctx, func(a administration) error {
		if _, err := a.Exec(ctx, "CREATE DATABASE "+quote(database)); err != nil {
			return fmt.Errorf("create a database: %w", err)
		}
		return nil
	})
}

// Copy makes a database with all that another one has, which nobody may be connected to. All of
// it is on disk when it returns, so that no writing of it is left to disturb what is measured.
func (c *Cluster) Copy(ctx context.Context, database, from string) error {
	return c.administer(ctx, func(a administration) error {
		var version int
		if err := a.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return fmt.Errorf("ask for the version: %w", err)
		}
		statement := "CREATE DATABASE " + quote(database) + " TEMPLATE " + quote(from)
		if version >= fileCopyVersion {
			statement += " STRATEGY file_copy"
		}
		if _, err := a.Exec(ctx, statement); err != nil {
			return fmt.Errorf("copy a database: %w", err)
		}
		return checkpoint(ctx, a)
	})
}

// Settle vacuums a database and gathers its statistics, as happens by itself within some time,
// and writes everything to disk.
func (c *Cluster) Settle(ctx context.Context, database string) (err error) {
	conn, err := c.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disconnect(ctx, conn)) }()
	if _, err := conn.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return checkpoint(ctx, conn)
}

func checkpoint(ctx context.Context, a administration) error {
	if _, err := a.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("write everything to disk: %w", err)
	}
	return nil
}

// Drop removes a database, whoever is connected to it.
func (c *Cluster) Drop(ctx context.Context, database string) error {
	return c.administer(ctx, func(a administration) error {
		if _, err := a.Exec(ctx, "DROP DATABASE "+quote(database)+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop a database: %w", err)
		}
		return nil
	})
}

// Size is how large a database is on disk, in bytes, its log not counted.
func (c *Cluster) Size(ctx context.Context, database string) (bytes int64, err error) {
	err = c.administer(ctx, func(a administration) error {
		return a.QueryRow(ctx, "SELECT pg_database_size($1)", database).Scan(&bytes)
	})
	return bytes, err
}

// Connections is how many connections there are to a database.
func (c *Cluster) Connections(ctx context.Context, database string) (n int, err error) {
	err = c.administer(ctx, func(a administration) error {
		return a.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'", database).Scan(&n)
	})
	return n, err
}

// Hold begins a transaction that sees the database as it is now for as long as it is open: nothing
// that others delete can be removed meanwhile. release ends it.
func (c *Cluster) Hold(ctx context.Context, database string) (release func() error, err error) {
	conn, err := c.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err == nil {
		// What it sees is settled by its first query.
		_, err = tx.Exec(ctx, "SELECT FROM pg_class LIMIT 1")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin a transaction: %w", err), disconnect(ctx, conn))
	}
	return func() error { return disconnect(ctx, conn) }, nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
