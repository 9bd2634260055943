package embedded

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// pruneLook is how many jobs one step of pruning looks at, at most.
	pruneLook = 2048
	// pruneStep is how many of them it deletes, so that nobody waits long for the mutex.
	pruneStep = 64
)

// pruning is how far a round through all old jobs has come.
type pruning struct {
	mu   sync.Mutex // held for a step
	next []byte     // guarded by mu; the s key to go on with, nil to begin a round
}

// Prune deletes some of the jobs that were over before a time and that nobody who waits depends
// on, and purges what was deleted earlier, once it can be. It tells whether the round through
// all of them is at its end: if not, it should be called again soon.
//
// There is no index of jobs by when they ended, which would cost every job a write for the sake
// of days later. A round looks at every job that was enqueued before the time and that something
// has happened to: nearly all of them are over, and are deleted. It reads outside of the mutex.
func (s *Store) Prune(ctx context.Context, before time.Time) (done bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	s.pruning.mu.Lock()
	defer s.pruning.mu.Unlock()
	if s.pruning.next == nil {
		if err := s.purgeHidden(ctx); err != nil {
			return false, s.answer(err)
		}
		s.pruning.next = []byte{prefixRecord}
	}
	found, next, err := s.findOld(s.pruning.next, before)
	if err != nil {
		return false, s.answer(err)
	}
	if len(found) > 0 {
		group, err := s.commit(func(c *change) error { return c.pruneAll(found, before) })
		if err == nil {
			err = s.durable(group)
		}
		if err != nil {
			return false, s.answer(err)
		}
	}
	s.pruning.next = next
	return next == nil, nil
}

// findOld returns jobs that were over before a time, and the key to go on with; nil if there are
// no others.
func (s *Store) findOld(from []byte, before time.Time) (found []uuid.UUID, next []byte, err error) {
	looked := 0
	upper := idKey(nil, prefixRecord, queue.FirstID(before))
	if bytes.Compare(from, upper) >= 0 {
		return nil, nil, nil
	}
	err = s.scan(from, upper, func(key, value []byte) (bool, error) {
		if len(found) == pruneStep || looked == pruneLook {
			next = bytes.Clone(key)
			return false, nil
		}
		looked++
		id, err := uuid.FromBytes(key[1:])
		if err != nil {
			return true, nil // the audit tells
		}
		if r, err := decodeRecord(id, value); err != nil || !isOld(&r, before) {
			return true, nil
		}
		needed, err := s.isNeeded(id)
		if err == nil && !needed {
			found = append(found, id)
		}
		return true, err
	})
	return found, next, err
}

// isNeeded reports whether a job that is not over depends on one that is.
func (s *Store) isNeeded(id uuid.UUID) (needed bool, err error) {
	prefix := idKey(nil, prefixDependent, id)
	err = s.scan(prefix, after(prefix), func(_, value []byte) (bool, error) {
		d, err := decodeDependent(id, value)
		if err != nil || d.gone != 0 {
			return true, nil
		}
		r, err := s.readKept(d.id)
		if isDamage(err) {
			return true, nil
		}
		needed = err == nil && !r.State.Over()
		return !needed, err
	})
	return needed, err
}

func isOld(r *record, before time.Time) bool {
	return r.State.Over() && !r.deleted && r.Finished.Before(before)
}

// pruneAll deletes the jobs of a list that are still as they were found, and needed by nobody.
func (c *change) pruneAll(found []uuid.UUID, before time.Time) error {
	c.meetAgain() // one of the jobs may depend on another
	for _, id := range found {
		r, err := c.readKept(id)
		if isDamage(err) || err == nil && (!isOld(&r, before) || !c.isOver(id, &r)) {
			continue
		}
		if err != nil {
			return err
		}
		links, err := c.unlink(id, &r, 0, c.store.limits.unlinkStep)
		switch {
		case err != nil:
			return err
		case links.needed: // the next round looks again
		case links.more:
			err = c.hide(id, &r, &links)
		default:
			err = c.purge(id, &r, &links)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// purgeHidden purges the jobs that were deleted while somebody needed them, if nobody does now.
func (s *Store) purgeHidden(ctx context.Context) error {
	var ids []uuid.UUID
	err := s.scan([]byte{prefixHidden}, []byte{prefixHidden + 1}, func(key, _ []byte) (bool, error) {
		if id, err := uuid.FromBytes(key[1:]); err == nil {
			ids = append(ids, id)
		}
		return true, nil
	})
	for _, id := range ids {
		if err == nil && ctx.Err() == nil {
			err = s.purgeOne(id)
		}
	}
	return err
}

func (s *Store) purgeOne(id uuid.UUID) error {
	more, place := true, uint64(0)
	for more {
		group, err := s.commit(func(c *change) error {
			more = false
			r, err := c.readKept(id)
			if isDamage(err) {
				return nil // the audit tells
			}
			if err != nil {
				return err
			}
			links, err := c.unlink(id, &r, place, s.limits.settleStep)
			switch {
			case err != nil || links.needed:
				return err
			case links.more:
				c.writeLinks(id, &links)
				more, place = true, links.next
				return nil
			default:
				return c.purge(id, &r, &links)
			}
		})
		if err == nil {
			err = s.durable(group)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
