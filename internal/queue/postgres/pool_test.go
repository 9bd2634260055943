package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// settingsHold fails, by a division, where a statement does not run under the settings.
const settingsHold = `
SELECT 1 / (current_setting('enable_seqscan') = 'off' AND current_setting('plan_cache_mode') = 'force_generic_plan'
  AND current_setting('jit') = 'off' AND current_setting('statement_timeout') = '30s'
  AND current_setting('idle_in_transaction_session_timeout') = '30s')::int + $1`

func poolOf(t *testing.T, options *Options) *pool {
	t.Helper()
	config, err := poolConfig(pgtest.Database(t), options)
	require.NoError(t, err)
	p, err := newPool(t.Context(), config, options.NoListen)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func TestEveryStatementRunsUnderTheSettings(t *testing.T) {
	t.Parallel()
	for name, noListen := range map[string]bool{"connections that keep them": false, "connections that keep nothing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			p := poolOf(t, &Options{Connections: 1, NoListen: noListen})
			for range 2 { // the second finds the connection as the first has left it
				tag, err := p.Exec(ctx, settingsHold, 1)
				require.NoError(t, err)
				require.Equal(t, int64(1), tag.RowsAffected())
				var n int
				require.NoError(t, p.QueryRow(ctx, settingsHold, 1).Scan(&n))
				require.Equal(t, 2, n)
				rows, err := p.Query(ctx, settingsHold+` FROM generate_series(1, 3)`, 2)
				require.NoError(t, err)
				all, err := pgx.CollectRows(rows, pgx.RowTo[int])
				require.NoError(t, err)
				require.Equal(t, []int{3, 3, 3}, all)
				var batch pgx.Batch
				batch.Queue(settingsHold, 3).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
				require.NoError(t, p.SendBatch(ctx, &batch).Close())
				require.Equal(t, 4, n)
				require.NoError(t, pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
					return tx.QueryRow(ctx, settingsHold, 4).Scan(&n)
				}))
				require.Equal(t, 5, n)
			}
		})
	}
}

func TestManyShareAPoolThatKeepsNothing(t *testing.T) {
	t.Parallel()
	p := poolOf(t, &Options{Connections: 4, NoListen: true})
	var askers errgroup.Group
	for n := range 16 {
		askers.Go(func() error {
			for range 20 {
				var answer int
				if err := p.QueryRow(t.Context(), `SELECT 1 / $1::int`, 0).Scan(&answer); err == nil {
					return errors.New("1 / 0 is known")
				}
				if err := p.QueryRow(t.Context(), settingsHold, n).Scan(&answer); err != nil || answer != n+1 {
					return fmt.Errorf("%d and 1 are %d, %w", n, answer, err)
				}
			}
			return nil
		})
	}
	require.NoError(t, askers.Wait())
}

func TestAPoolThatKeepsNothingLeavesNoSettingBehind(t *testing.T) {
	t.Parallel()
	p := poolOf(t, &Options{Connections: 1, NoListen: true})
	_, err := p.Exec(t.Context(), settingsHold, 1)
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), p, func(pgx.Tx) error { return nil }))
	var left string
	require.NoError(t, p.Pool.QueryRow(t.Context(), `SELECT current_setting('enable_seqscan')`).Scan(&left))
	require.Equal(t, "on", left)
}

func TestErrorsComeThroughAPoolThatKeepsNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := poolOf(t, &Options{Connections: 1, NoListen: true}) // one that is not given back would stop all that follows
	for range 2 {
		_, err := p.Exec(ctx, `SELECT 1 / ($1::int - 1)`, 1)
		require.ErrorContains(t, err, "division by zero")
		_, err = p.Exec(ctx, `SELECT nonsense`)
		require.ErrorContains(t, err, "nonsense")
		rows, err := p.Query(ctx, `SELECT 6 / (3 - n) FROM generate_series(1, $1) n`, 3)
		require.NoError(t, err)
		_, err = pgx.CollectRows(rows, pgx.RowTo[int])
		require.ErrorContains(t, err, "division by zero")
		rows, err = p.Query(ctx, `SELECT nonsense`)
		if err == nil {
			_, err = pgx.CollectRows(rows, pgx.RowTo[int])
		}
		require.ErrorContains(t, err, "nonsense")
		var n int
		require.ErrorContains(t, p.QueryRow(ctx, `SELECT 1 / ($1::int - 1)`, 1).Scan(&n), "division by zero")
		require.ErrorIs(t, p.QueryRow(ctx, `SELECT 1 WHERE $1`, false).Scan(&n), pgx.ErrNoRows)
		require.ErrorContains(t, p.QueryRow(ctx, `SELECT 'word'`).Scan(&n), "scan")
		require.ErrorContains(t, pgx.BeginFunc(ctx, p, func(pgx.Tx) error { return errors.New("no") }), "no")
		rows, err = p.Query(ctx, `SELECT n FROM generate_series(1, $1) n`, 100000)
		require.NoError(t, err)
		require.True(t, rows.Next())
		rows.Close() // before the last
		require.NoError(t, rows.Err())
	}
}
