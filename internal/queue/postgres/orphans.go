package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// orphanPause is the least time between two looks for the same orphans.
const orphanPause = 300 * time.Millisecond

// orphans are leases that nobody was told of: statements with an unknown outcome may have granted them, or
// their callers were gone when they were granted, and may come again. They are looked for until such a statement can no longer be under way, because one whose
// connection broke goes on at the server, and commits when nobody thinks of it any more.
type orphans struct {
	mu     sync.Mutex // guards what follows
	all    []orphan
	looked time.Time // zero if there are some that were not looked for
}

type orphan struct {
	secret uuid.UUID
	hash   []byte    // of the idempotency key of its caller, who may come again; nil if there is none
	until  time.Time // when nobody grants it any more
}

// releaseOrphans has leases given back, as soon as that can be, that a statement may have granted
// which failed, or has granted if failed is nil. hashes are those of their callers' idempotency keys; nil if they have none.
func (k *timekeeper) releaseOrphans(failed error, secrets [][16]byte, hashes [][]byte) {
	var connect *pgconn.ConnectError
	if errors.As(failed, &connect) || pgconn.SafeToRetry(failed) || isConflict(failed) {
		return // it was never sent, or has lost
	}
	o := &k.orphans
	o.mu.Lock()
	for i, secret := range secrets {
		orphan := orphan{secret: secret, until: time.Now().Add(patience)}
		if hashes != nil {
			orphan.hash = hashes[i]
		}
		o.all = append(o.all, orphan)
	}
	o.looked = time.Time{}
	o.mu.Unlock()
	k.kick()
}

// next returns those that should be looked for now.
func (o *orphans) next() []orphan {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.all) == 0 || time.Since(o.looked) < orphanPause {
		return nil
	}
	o.looked = time.Now()
	return slices.Clone(o.all)
}

// forget forgets those that were found, and those that nobody grants any more.
func (o *orphans) forget(found map[uuid.UUID]bool, before time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = slices.DeleteFunc(o.all, func(one orphan) bool { return found[one.secret] || one.until.Before(before) })
}

// takeBackOrphans gives back the leases that nobody was told of.
func (s *Store) takeBackOrphans(ctx context.Context) error {
	began := time.Now()
	orphans := s.keeper.orphans.next()
	if len(orphans) == 0 {
		return nil
	}
	var hashes [][]byte
	secrets := make([]uuid.UUID, len(orphans))
	found := make(map[uuid.UUID]bool, len(orphans))
	for i := range orphans {
		secrets[i] = orphans[i].secret
		found[secrets[i]] = false
		if orphans[i].hash != nil {
			hashes = append(hashes, orphans[i].hash)
		}
	}
	places, err := s.placesOf(ctx, `SELECT place FROM longshore.leases WHERE secret = ANY($1)`, secrets)
	if err == nil && len(places) > 0 {
		err = s.change(ctx, func(c *change) error { return c.takeBack(places, secrets, hashes, found) })
	}
	if err == nil {
		s.keeper.orphans.forget(found, began)
	}
	return err
}

// A call that comes again has its row in calls say so: see adoptLeases.
const (
	forgetOrphanedCalls = `DELETE FROM longshore.calls WHERE hash = ANY($1) AND secrets && $2 AND jobs IS NULL`
	adoptedLeases       = `SELECT unnest(secrets) FROM longshore.calls WHERE hash = ANY($1) AND secrets && $2`
)

// takeBack gives back those leases at places that are orphans, and notes which there are. What was
// handed out again to a caller who has come again, here or at another server, is no orphan.
func (c *change) takeBack(places []int64, secrets []uuid.UUID, hashes [][]byte, found map[uuid.UUID]bool) error {
	var adopted []uuid.UUID
	if len(hashes) > 0 {
		if _, err := c.tx.Exec(c.ctx, forgetOrphanedCalls, hashes, secrets); err != nil {
			return err
		}
		rows, err := c.tx.Query(c.ctx, adoptedLeases, hashes, secrets)
		if err != nil {
			return err
		}
		if adopted, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
			return err
		}
	}
	if err := c.readPlaces(places); err != nil {
		return err
	}
	back := release(0)
	for _, place := range places {
		r := c.rows[place]
		if r == nil {
			continue
		}
		if _, is := found[r.lease.secret]; !is {
			continue // the job has had another lease since it was found
		}
		found[r.lease.secret] = true
		if slices.Contains(adopted, r.lease.secret) {
			continue
		}
		if _, err := c.reportOne(r.Token, back); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}
