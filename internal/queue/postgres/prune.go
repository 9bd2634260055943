package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// pruneStep is how many jobs one step of pruning deletes at most: while it does nobody else makes
// a change.
const pruneStep = 256

// pruning is how far a round through all old jobs has come.
type pruning struct {
	mu   sync.Mutex // held for a step
	next int64      // guarded by mu; the round goes on after that place
	last int64      // guarded by mu; and ends with this one
}

const (
	lastOld = `SELECT place FROM longshore.jobs WHERE id < $1 ORDER BY id DESC LIMIT 1`
	findOld = `
SELECT place FROM longshore.ended WHERE place > $1 AND place <= $2 AND finished < $3 AND NOT hidden ORDER BY place LIMIT $4`
	findHidden = `SELECT place FROM longshore.ended WHERE hidden AND place > $1 ORDER BY place LIMIT $2`
)

// Prune deletes some of the jobs that were over before a time and that nobody who waits depends
// on, and purges what was deleted earlier, once it can be. It tells whether the round through
// all of them is at its end: if not, it should be called again soon.
//
// A round goes through the jobs that were enqueued before the time and are over by now, nearly all
// of which were over before it: an index by when they ended would cost each of them more.
func (s *Store) Prune(ctx context.Context, before time.Time) (done bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	p := &s.pruning
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == 0 {
		if err := s.purgeHidden(ctx); err != nil {
			return false, err
		}
		if p.last, err = s.lastEnqueued(ctx, before); err != nil {
			return false, err
		}
	}
	places, err := s.placesOf(ctx, findOld, p.next, p.last, before, pruneStep)
	if err != nil {
		return false, err
	}
	err = s.change(ctx, func(c *change) error {
		return c.forgetAll(places, func(r *tracked) bool {
			return r.State.Over() && !r.hidden && r.Finished.Before(before) && !c.isNeeded(r.place)
		})
	})
	if err != nil {
		return false, err
	}
	if p.next = 0; len(places) == pruneStep {
		p.next = places[len(places)-1]
	}
	return p.next == 0, nil
}

// lastEnqueued returns the place of the last job that was enqueued before a time; 0 if there is
// none.
func (s *Store) lastEnqueued(ctx context.Context, before time.Time) (place int64, err error) {
	err = s.database(ctx, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, lastOld, queue.FirstID(before)).Scan(&place)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return place, err
}

// purgeHidden purges the jobs that were deleted while somebody needed them, if nobody does now.
func (s *Store) purgeHidden(ctx context.Context) error {
	for next := int64(0); ; {
		places, err := s.placesOf(ctx, findHidden, next, pruneStep)
		if err != nil || len(places) == 0 {
			return err
		}
		next = places[len(places)-1]
		err = s.change(ctx, func(c *change) error {
			return c.forgetAll(places, func(r *tracked) bool { return r.hidden && !c.isNeeded(r.place) })
		})
		if err != nil {
			return err
		}
	}
}

// forgetAll deletes those of some jobs that are as they should be for that.
func (c *change) forgetAll(places []int64, is func(*tracked) bool) error {
	if len(places) == 0 {
		return nil
	}
	if err := c.readPlaces(places); err != nil {
		return err
	}
	if err := c.readBelow(places, 0); err != nil {
		return err
	}
	for _, place := range places {
		if r := c.rows[place]; r != nil && is(r) {
			if err := c.forget(r, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) placesOf(ctx context.Context, statement string, args ...any) (places []int64, err error) {
	err = s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		places, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return places, err
}
