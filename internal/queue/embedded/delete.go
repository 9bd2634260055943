package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// DeleteJob deletes a job that is over: it is not found, listed or counted any more, and nothing
// can depend on it from here on. Those that depend on it and are not over are handed its result
// all the same; those that are over know only what state it was in. ErrNotExist; ErrNotOver.
func (s *Store) DeleteJob(_ context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	group, err := s.commit(func(c *change) error {
		r, err := c.readRecord(id)
		if err != nil {
			return err
		}
		return c.deleteJob(id, &r, s.limits.settleStep)
	})
	if err != nil {
		return s.answer(err)
	}
	return s.durable(group)
}

// deleteJob purges a job that is over, or hides it while that cannot be done at once, because
// somebody needs it or it has more than so many dependents. queue.ErrNotOver.
func (c *change) deleteJob(id uuid.UUID, r *record, dependents int) error {
	if !c.isOver(id, r) {
		return queue.ErrNotOver
	}
	links, err := c.unlink(id, r, 0, dependents)
	if err != nil {
		return err
	}
	if links.needed || links.more {
		return c.hide(id, r, &links)
	}
	return c.purge(id, r, &links)
}

// isOver reports whether a job is over and will stay so.
func (c *change) isOver(id uuid.UUID, r *record) bool {
	_, comesBack := c.store.reviving[id]
	return r.State.Over() && !comesBack
}

// links are some of the d keys of a job that is to be deleted, as they are to be then: they take
// over what the dependents have to know of it.
type links struct {
	dependents []linked
	needed     bool   // somebody needs the job itself, so that it cannot be purged yet
	more       bool   // there are others
	next       uint64 // the place from where to go on
}

type linked struct {
	place uint64
	dependent
}

// unlink looks at a bounded number of the dependents of a job that is over, after a place. It
// changes nothing.
func (c *change) unlink(id uuid.UUID, r *record, place uint64, most int) (found links, err error) {
	s := c.store
	var jobType string
	found.next = place
	err = s.scan(dependentKey(nil, id, place+1), after(idKey(nil, prefixDependent, id)), func(key, value []byte) (bool, error) {
		if len(found.dependents) == most {
			found.more = true
			return false, nil
		}
		found.next = placeOfDependentKey(key)
		d, err := decodeDependent(id, value)
		if isDamage(err) || d.gone != 0 || c.isPurged(d.id) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		other, err := c.readKept(d.id)
		if err != nil && !isDamage(err) {
			return false, err
		}
		if err == nil && other.deleted {
			return true, nil // its edges are gone, perhaps by this very change
		}
		if err == nil && !c.isOver(d.id, &other) {
			found.needed = true
			return false, nil
		}
		if jobType == "" {
			if jobType, err = s.typeOf(id); err != nil {
				return false, err
			}
		}
		d.gone, d.goneType, d.settled = r.State, jobType, true
		found.dependents = append(found.dependents, linked{found.next, d})
		return true, nil
	})
	if err != nil || found.needed || !r.hasDependents {
		return found, err
	}
	// Those that are over by something else, or deleted, may still be to be told.
	prefix := idKey(nil, prefixSettlement, id)
	err = s.scan(prefix, after(prefix), func(_, _ []byte) (bool, error) {
		found.needed = true
		return false, nil
	})
	return found, err
}

// typeOf returns the type of a job; one that cannot be read has none.
func (s *Store) typeOf(id uuid.UUID) (string, error) {
	j, err := s.readJob(id, false)
	if err != nil && !isDamage(err) {
		return "", err
	}
	return j.Type, nil
}

func (c *change) writeLinks(id uuid.UUID, l *links) {
	for i := range l.dependents {
		c.writeDependent(dependentKey(c.key[:0], id, l.dependents[i].place), l.dependents[i].dependent)
	}
}

// hide makes a job one that nobody finds, and keeps what those that still need it are handed.
func (c *change) hide(id uuid.UUID, r *record, l *links) error {
	if !l.needed {
		c.writeLinks(id, l)
	}
	if err := c.forget(id, r); err != nil {
		return err
	}
	c.setRecord(id, r)
	c.set(idKey(c.key[:0], prefixHidden, id), nil)
	return nil
}

// purge takes everything out of the store that there is of a job which nobody needs any more,
// but for what its dependents know of it.
func (c *change) purge(id uuid.UUID, r *record, l *links) error {
	c.writeLinks(id, l)
	if r.deleted {
		c.delete(idKey(c.key[:0], prefixHidden, id))
	} else if err := c.forget(id, r); err != nil {
		return err
	}
	c.delete(idKey(c.key[:0], prefixJob, id))
	c.delete(idKey(c.key[:0], prefixRecord, id))
	if r.State != queue.Canceled {
		c.delete(idKey(c.key[:0], prefixOutcome, id))
	}
	c.count(id, r)
	if c.purged == nil {
		c.purged = make(map[uuid.UUID]struct{})
	}
	c.purged[id] = struct{}{}
	return nil
}

// forget has a job be deleted: no index, no count and no token leads to it any more.
func (c *change) forget(id uuid.UUID, r *record) error {
	j, err := c.store.readJob(id, false)
	if err != nil && !isDamage(err) {
		return err
	}
	for i := range j.Dependencies {
		c.delete(dependentKey(c.key[:0], j.Dependencies[i].ID, j.place))
	}
	if err := c.purgeAttempts(id, r); err != nil {
		return err
	}
	if r.hasReported {
		c.delete(idKey(c.key[:0], prefixReported, id))
		r.hasReported = false
	}
	if r.State != queue.Finished {
		c.delete(idKey(c.key[:0], prefixDead, id))
	}
	r.deleted = true
	r.endedToken = uuid.Nil
	c.forgotten = append(c.forgotten, forgottenJob{id: id, lane: c.laneOf(r), record: *r})
	return nil
}

// purgeAttempts has the tokens of a job's leases be forgotten.
func (c *change) purgeAttempts(id uuid.UUID, r *record) error {
	untold := r.Attempt
	if r.endedToken != uuid.Nil {
		c.delete(idKey(c.key[:0], prefixEndedLease, r.endedToken))
		untold--
	}
	if untold == 0 {
		return nil
	}
	prefix := idKey(nil, prefixAttempt, id)
	return c.store.scan(prefix, after(prefix), func(key, value []byte) (bool, error) {
		a, err := decodeAttempt(id, value)
		c.delete(append(c.key[:0], key...)) // a copy: key is the iterator's
		if err == nil {
			c.delete(idKey(c.key[:0], prefixEndedLease, a.token))
		}
		return true, nil
	})
}

func (c *change) isPurged(id uuid.UUID) bool {
	_, found := c.purged[id]
	return found
}

// readGone returns what a job knows of a dependency that is not there any more. ErrNotExist.
func (v reader) readGone(id uuid.UUID, place uint64) (d dependent, err error) {
	found, err := v.view(dependentKey(nil, id, place), func(value []byte) error {
		d, err = decodeDependent(id, value)
		return err
	})
	if err == nil && (!found || d.gone == 0) {
		err = fmt.Errorf("dependency %s: %w", id, queue.ErrNotExist)
	}
	return d, err
}

// hidden returns err, or that the job does not exist if it was deleted.
func hidden(r record, err error) (record, error) {
	if err == nil && r.deleted {
		return record{}, queue.ErrNotExist
	}
	return r, err
}

// deletedSince tells of a job that a call made and that is to be answered again.
func deletedSince(err error) error {
	if errors.Is(err, queue.ErrNotExist) {
		return queue.ErrDeleted
	}
	return err
}
