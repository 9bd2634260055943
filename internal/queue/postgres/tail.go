package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// changesKept is how long the table of changes remembers: a server that could not read it for
// longer has missed something.
const changesKept = 10 * time.Minute

// tail reads what other servers have changed. It keeps the last snapshot that it read in: what is
// visible now and was not then is new, in whatever order transactions have committed. (See "The
// snapshot functions" at https://www.postgresql.org/docs/current/functions-info.html.)
type tail struct {
	store    *Store
	interval time.Duration
	poked    chan struct{} // holds a token if there may be something

	mu   sync.Mutex // guards what follows; held while reading
	seen snapshot
	read time.Time // when that was

	doubts doubts
}

// snapshot tells which transactions had committed.
type snapshot struct {
	next    uint64   // those from here on had not
	pending []string // nor had these
}

func parseSnapshot(text string) (snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, fmt.Errorf("a snapshot reads %q", text)
	}
	next, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return snapshot{}, fmt.Errorf("a snapshot reads %q: %w", text, err)
	}
	s := snapshot{next: next, pending: []string{}}
	if parts[2] != "" {
		s.pending = strings.Split(parts[2], ",")
	}
	return s, nil
}

func (t *tail) init(s *Store, interval time.Duration) {
	t.store, t.interval = s, interval
	t.poked = make(chan struct{}, 1)
}

// poke has the tail read soon.
func (t *tail) poke() {
	select {
	case t.poked <- struct{}{}:
	default:
	}
}

// runUntil reads when it is poked, and every now and then, until ctx ends.
func (t *tail) runUntil(ctx context.Context) {
	for {
		jittered := time.Duration(float64(t.interval) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // not for secrets
		timer := time.NewTimer(jittered)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-t.poked:
		case <-timer.C:
		}
		timer.Stop()
		if err := t.sync(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrUnavailable) {
			t.store.log.Error(err, "what other servers did could not be read; it is tried again")
		}
	}
}

// reset begins anew: it finds out what there is, and has everybody look again.
func (t *tail) reset(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.resetLocked(ctx)
}

func (t *tail) resetLocked(ctx context.Context) (err error) {
	failed := t.doubts.look()
	defer func() {
		if err != nil {
			failed()
		}
	}()
	var text string
	err = t.store.database(ctx, func(ctx context.Context) error {
		return t.store.pool.QueryRow(ctx, `SELECT pg_current_snapshot()::text`).Scan(&text)
	})
	if err != nil {
		return err
	}
	seen, err := parseSnapshot(text)
	if err != nil {
		return err
	}
	if err := t.store.findFronts(ctx); err != nil {
		return err
	}
	if !t.read.IsZero() {
		t.store.log.Info("this server has lost sight of what was changed, and looks at everything again")
		t.store.events.Break(time.Now())
		t.store.changed.NotifyAll()
	}
	t.seen, t.read = seen, time.Now()
	return nil
}

const readChanges = `
SELECT s.snapshot, c.server IS NOT NULL, coalesce(c.server = $3, false), c.at, c.ids, c.places, c.lanes, c.ranks, c.was, c.states, c.attempts, c.versions, c.deleted
FROM (SELECT pg_current_snapshot()::text AS snapshot) s
LEFT JOIN LATERAL (
  SELECT * FROM longshore.changes WHERE xact >= $1::text::xid8
  UNION ALL
  SELECT * FROM longshore.changes WHERE xact = ANY($2::text[]::xid8[])
) c ON $4 OR c.server <> $3
ORDER BY c.xact, c.part`

// sync returns when this server knows of every change that was committed before the call.
func (t *tail) sync(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	doubts, fresh := t.doubts.ask()
	if fresh || time.Since(t.read) > changesKept/2 {
		return t.resetLocked(ctx)
	}
	type entry struct {
		at      time.Time
		own     bool
		changes []changed
	}
	var entries []entry
	var seen snapshot
	err := t.store.database(ctx, func(ctx context.Context) error {
		rows, err := t.store.pool.Query(ctx, readChanges, strconv.FormatUint(t.seen.next, 10), t.seen.pending, t.store.id, doubts)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			var is, own bool
			var at *time.Time
			changes, err := scanChanges(rows, &text, &is, &own, &at)
			if err != nil {
				return err
			}
			if seen, err = parseSnapshot(text); err != nil {
				return err
			}
			if is {
				entries = append(entries, entry{timeOf(at), own, changes})
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.lost()
		return err
	}
	if seen.next < t.seen.next { // it is another database than it was
		t.lost()
		return t.resetLocked(ctx)
	}
	t.seen, t.read = seen, time.Now()
	for i := range entries {
		e := &entries[i]
		if e.own {
			e.changes = t.doubts.first(e.changes)
		}
		t.store.apply(ctx, e.at, e.changes)
		if e.own {
			t.store.observe(ctx, e.at, e.changes)
		}
	}
	return nil
}

// scanChanges reads a row of changes, if there is one.
func scanChanges(rows pgx.Rows, snapshot *string, is, own *bool, at **time.Time) ([]changed, error) {
	var (
		ids                [][16]byte // see columns
		places             []int64
		lanes              []int32
		ranks, was, states []int16
		attempts, versions []int64
		deleted            *bool
	)
	err := rows.Scan(snapshot, is, own, at, &ids, &places, &lanes, &ranks, &was, &states, &attempts, &versions, &deleted)
	if err != nil || !*is {
		return nil, err
	}
	changes := make([]changed, len(ids))
	for i := range ids {
		changes[i] = changed{
			id: ids[i], place: places[i], lane: lanes[i], rank: ranks[i], was: queue.State(was[i]), state: queue.State(states[i]), //nolint:gosec // the table's own
			attempt: uint64(attempts[i]), version: uint64(versions[i]), deleted: *deleted, //nolint:gosec // counts
		}
	}
	return changes, nil
}
