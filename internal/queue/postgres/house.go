package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// houseInterval is how often a server does what any server may do.
	houseInterval = time.Second
	// aliveFor is how long a server counts as alive that has not been heard of, in seconds.
	aliveFor = 10
	// foldLock is the advisory lock of the server that folds counts.
	foldLock = changeLock + 1
)

const (
	// freshBeats gives every lease a fresh beat if no server was alive lately: then nobody could
	// send one.
	freshBeats = `
UPDATE longshore.leases SET beat = longshore.now()
WHERE NOT EXISTS (SELECT 1 FROM longshore.servers WHERE seen > clock_timestamp() - $1::int * interval '1 second')`
	beAlive = `
INSERT INTO longshore.servers (id, seen) VALUES ($1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET seen = excluded.seen`
	forgetServers = `DELETE FROM longshore.servers WHERE seen < clock_timestamp() - interval '1 hour'`
	countServers  = `SELECT count(*) FROM longshore.servers WHERE id <> $1 AND seen > clock_timestamp() - $2::int * interval '1 second'`
	foldCounts    = `
WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($1) AS mine),
taken AS (
  DELETE FROM longshore.count_differences WHERE (SELECT mine FROM turn)
  RETURNING lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes
)
INSERT INTO longshore.counts AS c (lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes, folded)
SELECT lane, sum(scheduled), sum(blocked), sum(pending), sum(running), sum(finished), sum(failed), sum(canceled),
  CASE WHEN count(*) = count(bytes) THEN sum(bytes) END, pg_current_xact_id()::xid
FROM taken GROUP BY lane
ON CONFLICT (lane) DO UPDATE SET scheduled = c.scheduled + excluded.scheduled, blocked = c.blocked + excluded.blocked,
  pending = c.pending + excluded.pending, running = c.running + excluded.running, finished = c.finished + excluded.finished,
  failed = c.failed + excluded.failed, canceled = c.canceled + excluded.canceled,
  bytes = CASE WHEN c.folded = c.xmin THEN c.bytes + excluded.bytes END, folded = excluded.folded`
	forgetChanges = `DELETE FROM longshore.changes WHERE xact < $1::text::xid8`
	forgetFuture  = `DELETE FROM longshore.changes WHERE xact >= pg_snapshot_xmax(pg_current_snapshot())`
	forgetWorkers = `DELETE FROM longshore.workers WHERE last < longshore.now() - $1::bigint * interval '1 microsecond'`
)

// join makes this server one of those that are alive, and has the others know.
func (s *Store) join(ctx context.Context) error {
	// After a restore into a new database the numbers of transactions begin anew.
	for _, statement := range []struct {
		text string
		args []any
	}{{forgetFuture, nil}, {freshBeats, []any{s.limits.silence}}, {beAlive, []any{s.id}}} {
		err := s.database(ctx, func(ctx context.Context) error {
			_, err := s.pool.Exec(ctx, statement.text, statement.args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := s.notify(ctx); err != nil {
		s.log.Error(err, "other servers could not be told that there is one more; they find out by themselves")
	}
	return nil
}

// refreshAfterSilence gives every lease a fresh beat if no server was alive lately: while the
// database was away, or all servers were, nobody could send one.
func (s *Store) refreshAfterSilence(ctx context.Context) error {
	return s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, freshBeats, s.limits.silence)
		return err
	})
}

// part ends that, unless ctx ends first.
func (s *Store) part(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM longshore.workers WHERE server = $1`, s.id); err != nil {
		return translate(err)
	}
	_, err := s.pool.Exec(ctx, `DELETE FROM longshore.servers WHERE id = $1`, s.id)
	return translate(err)
}

// keepHouse does what any server may do, every now and then, until ctx ends.
func (s *Store) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(houseInterval)
	defer ticker.Stop()
	h := house{store: s}
	for {
		if err := h.keep(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrUnavailable) {
			s.log.Error(err, "housekeeping has failed; it is tried again")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// house is what housekeeping remembers.
type house struct {
	store *Store
	told  time.Time      // until when other servers know who asked here
	waits map[string]int // how many calls of whom wait, as they were told
	marks []mark         // the oldest first
	swept time.Time
}

// mark is how far transactions had come at a time.
type mark struct {
	at   time.Time
	next uint64
}

func (h *house) keep(ctx context.Context) error {
	s := h.store
	if err := s.refreshAfterSilence(ctx); err != nil {
		return err
	}
	if err := h.exec(ctx, beAlive, s.id); err != nil {
		return err
	}
	var others int
	heard := s.notifier.heard.Load()
	err := s.database(ctx, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, countServers, s.id, aliveFor).Scan(&others)
	})
	if err != nil {
		return err
	}
	s.notifier.counted(others, heard)
	if err := h.exec(ctx, foldCounts, int64(foldLock)); err != nil {
		return err
	}
	now := s.keeper.now()
	if others > 0 {
		if h.waits, err = s.tellWorkers(ctx, h.told, h.waits); err != nil {
			return err
		}
		h.told = now
	}
	return h.sweep(ctx)
}

func (h *house) exec(ctx context.Context, statement string, args ...any) error {
	return h.store.database(ctx, func(ctx context.Context) error {
		_, err := h.store.pool.Exec(ctx, statement, args...)
		return err
	})
}

// sweep takes away what is old, once a minute.
func (h *house) sweep(ctx context.Context) error {
	if time.Since(h.swept) < time.Minute {
		return nil
	}
	h.swept = time.Now()
	t := &h.store.tail
	t.mu.Lock()
	h.marks = append(h.marks, mark{at: t.read, next: t.seen.next})
	t.mu.Unlock()
	for len(h.marks) > 0 && time.Since(h.marks[0].at) > changesKept {
		if err := h.exec(ctx, forgetChanges, strconv.FormatUint(h.marks[0].next, 10)); err != nil {
			return err
		}
		h.marks = h.marks[1:]
	}
	s := h.store
	s.rates.forget(s.keeper.now())
	if err := h.exec(ctx, forgetWorkers, queue.WorkerMemory.Microseconds()); err != nil {
		return err
	}
	if err := h.exec(ctx, forgetServers); err != nil {
		return err
	}
	return s.claims.forgetLines(ctx)
}
