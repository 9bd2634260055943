package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// setting is a parameter of the database that a server's connections have.
type setting struct{ name, value string }

// settings are what every statement runs under. Statements are made for an index each; statistics that
// lie must not talk the planner out of it, and it need not think about it again each time.
func settings() []setting {
	most := fmt.Sprint(patience.Milliseconds())
	return []setting{
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_seqscan", "off"},
		{"jit", "off"},
		{"statement_timeout", most},
		{"idle_in_transaction_session_timeout", most},
	}
}

// pool is the connections to the database. Where none can be kept from one transaction to the next, the
// settings go with each transaction, and on the same way: nobody else ever sees them. They do so by the
// methods below, and by no other of pgxpool.Pool that runs statements.
type pool struct {
	*pgxpool.Pool

	ahead string        // the statement that sets them, before all others; "" where connections keep them
	begin pgx.TxOptions // which set them as well
}

// newPool connects when it is first used.
func newPool(ctx context.Context, config *pgxpool.Config, keepsNothing bool) (*pool, error) {
	connections, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	p := &pool{Pool: connections}
	if keepsNothing {
		var calls, commands []string
		for _, s := range settings() {
			calls = append(calls, fmt.Sprintf("set_config('%s', '%s', true)", s.name, s.value))
			commands = append(commands, fmt.Sprintf("SET LOCAL %s = %s", s.name, s.value))
		}
		p.ahead = "SELECT " + strings.Join(calls, ", ")
		p.begin.BeginQuery = "BEGIN; " + strings.Join(commands, "; ")
	}
	return p, nil
}

// SendBatch is that of pgxpool.Pool, but the results of statements are had by their callbacks only: the first
// one is not the caller's.
func (p *pool) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	if p.ahead == "" {
		return p.Pool.SendBatch(ctx, batch)
	}
	return p.Pool.SendBatch(ctx, &pgx.Batch{QueuedQueries: append([]*pgx.QueuedQuery{{SQL: p.ahead}}, batch.QueuedQueries...)})
}

// Begin is that of pgxpool.Pool.
func (p *pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, p.begin) }

// Exec is that of pgxpool.Pool.
func (p *pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if p.ahead == "" {
		return p.Pool.Exec(ctx, sql, args...)
	}
	results := p.sendOne(ctx, sql, args)
	tag, err := results.Exec()
	if closed := results.Close(); err == nil {
		err = closed
	}
	return tag, err
}

// Query is that of pgxpool.Pool.
func (p *pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if p.ahead == "" {
		return p.Pool.Query(ctx, sql, args...)
	}
	results := p.sendOne(ctx, sql, args)
	rows, err := results.Query()
	r := &rowsBehind{Rows: rows, results: results}
	if err != nil {
		r.Close()
	}
	return r, err
}

// QueryRow is that of pgxpool.Pool.
func (p *pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if p.ahead == "" {
		return p.Pool.QueryRow(ctx, sql, args...)
	}
	rows, _ := p.Query(ctx, sql, args...)
	return onlyRow{rows}
}

// sendOne sends a statement behind the settings, whose result it takes off.
func (p *pool) sendOne(ctx context.Context, sql string, args []any) pgx.BatchResults {
	results := p.SendBatch(ctx, &pgx.Batch{QueuedQueries: []*pgx.QueuedQuery{{SQL: sql, Arguments: args}}})
	_, _ = results.Exec() // what is wrong here is told by all that follows
	return results
}

// rowsBehind are the rows of a statement that was sent behind the settings. They hold a connection until
// they are closed.
type rowsBehind struct {
	pgx.Rows

	results pgx.BatchResults
	closed  bool
	err     error // of closing them
}

// Next closes the rows after the last, as pgx.Rows does.
func (r *rowsBehind) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close may be called again, when the connection is somebody else's.
func (r *rowsBehind) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.Rows.Close()
	r.err = r.results.Close()
}

func (r *rowsBehind) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// onlyRow is the first of some rows.
type onlyRow struct{ rows pgx.Rows }

// Scan is that of pgx.Row: pgx.ErrNoRows if there is none.
func (r onlyRow) Scan(to ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(to...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
