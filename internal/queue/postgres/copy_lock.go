package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrInUse is returned by Open while a copy from or to the database is made, and by copies while a
// server is at work on it as well.
var ErrInUse = errors.New("the database is in use")

// copyLock is the advisory lock that a copy from or to the database holds. Servers that start
// meanwhile are refused by it.
const copyLock = changeLock + 2

// A copy is one transaction, which has everybody else wait who wants to change anything: a server
// that has not been heard of for long, and others that are somewhere between the look at the
// advisory lock and their first entry. So a target is never seen half-filled, and one whose copy was
// cut short is as empty as it was. Rejected: a mark in the database that servers look for, under
// which jobs are added in many transactions, because somebody would have to clean up.
const (
	allTables = `longshore.jobs, longshore.ready, longshore.leases, longshore.waiting, longshore.ended, longshore.edges,
	longshore.attempts, longshore.reported, longshore.unique_keys, longshore.calls, longshore.lanes, longshore.counts,
	longshore.count_differences, longshore.changes, longshore.servers, longshore.api_keys`
	// patiently has the transaction take as long as it takes, but not wait for others; and it does not
	// take over what the role may have been set for the statements of servers.
	patiently = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '5s';
SET LOCAL enable_seqscan = on`
	lockToRead = `LOCK TABLE ` + allTables + ` IN SHARE MODE`
	lockToFill = `LOCK TABLE ` + allTables + ` IN EXCLUSIVE MODE`
	tryCopy    = `SELECT pg_try_advisory_xact_lock($1)`
	isCopied   = `SELECT NOT pg_try_advisory_xact_lock_shared($1)`
	anyAlive   = `SELECT EXISTS (SELECT FROM longshore.servers WHERE seen > clock_timestamp() - $1::int * interval '1 second')`
)

// exclusion is a transaction that keeps servers away from a database.
type exclusion struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

// exclude begins a transaction that has all tables to itself. ErrInUse; ErrSchema.
func exclude(ctx context.Context, dsn string, options pgx.TxOptions, lockTables string) (_ *exclusion, err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, badAddress(err)
	}
	config.RuntimeParams["application_name"] = "longshore-copy"
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // which a pool of connections allows
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	x := &exclusion{conn: conn}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.Close())
		}
	}()
	if err := refuseOtherSchema(schemaOf(ctx, conn)); err != nil {
		return nil, err
	}
	// Before the tables are locked, so that servers which are at work do not even wait.
	if err := refuseCopied(copying(ctx, conn)); err != nil {
		return nil, err
	}
	if err := refuseAlive(ctx, conn); err != nil {
		return nil, err
	}
	if x.tx, err = conn.BeginTx(ctx, options); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	if _, err := x.tx.Exec(ctx, patiently); err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	// First of all: what the transaction sees is what there is at its first look.
	if _, err := x.tx.Exec(ctx, lockTables); err != nil {
		if failure := (*pgconn.PgError)(nil); errors.As(err, &failure) && failure.Code == codeLockTimeout {
			return nil, fmt.Errorf("somebody else holds its tables: %w", ErrInUse)
		}
		return nil, fmt.Errorf("lock the tables: %w", err)
	}
	var mine bool
	if err := x.tx.QueryRow(ctx, tryCopy, int64(copyLock)).Scan(&mine); err != nil {
		return nil, fmt.Errorf("keep servers away: %w", err)
	}
	if !mine {
		return nil, refuseCopied(true, nil)
	}
	return x, refuseAlive(ctx, x.tx)
}

// refuseAlive returns ErrInUse if a server has been heard of lately.
func refuseAlive(ctx context.Context, from reader) error {
	var alive bool
	if err := from.QueryRow(ctx, anyAlive, aliveFor).Scan(&alive); err != nil {
		return fmt.Errorf("look for servers: %w", err)
	}
	if alive {
		return fmt.Errorf("a server was at work on it within the last %d seconds; stop every server, and wait so long: %w", aliveFor, ErrInUse)
	}
	return nil
}

// copying tells whether a copy is under way.
func copying(ctx context.Context, from reader) (is bool, err error) {
	err = from.QueryRow(ctx, isCopied, int64(copyLock)).Scan(&is)
	return is, err
}

// refuseCopied makes ErrInUse of what copying returned, if a copy is under way.
func refuseCopied(is bool, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("look for copies: %w", err)
	case is:
		return fmt.Errorf("it is being copied, or a copy is being made in it: %w", ErrInUse)
	default:
		return nil
	}
}

// refuseCopied returns ErrInUse while a copy is under way.
func (s *Store) refuseCopied(ctx context.Context) error {
	var is bool
	err := s.database(ctx, func(ctx context.Context) (err error) {
		is, err = copying(ctx, s.pool)
		return err
	})
	return refuseCopied(is, err)
}

// Close undoes what was not committed.
func (x *exclusion) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if x.tx != nil {
		// Whoever closes a connection does not wait until its locks are gone.
		_ = x.tx.Rollback(ctx) // which a transaction that was committed refuses, and one that is broken
	}
	return x.conn.Close(ctx)
}

// namesOf are the names in a list of columns.
func namesOf(columns string) []string {
	return strings.FieldsFunc(columns, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
}
