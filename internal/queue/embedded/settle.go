package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// settlement is a job that is over and whose dependents are being told. What a step could
// not finish is kept on disk, so that a crash in between is made good by the next start.
type settlement struct {
	id     uuid.UUID
	state  queue.State
	told   uint64 // the dependents up to this place have been told
	stored bool   // a w key, which holds told, stands for it
}

// settle makes a change, tells the dependents of every job that is over by it, and theirs,
// in steps of bounded size, and waits until all of it is durable. It is a list that is
// worked off, not a recursion: chains may be deep.
//
// If a step fails after the change itself was made, the caller is told, and what is left is
// tried again with each later call, of which a repetition of this one may be the first; it
// never fails a call that is about something else.
func (s *Store) settle(build func(*change) error) error {
	var pending, again []settlement
	group, err := s.commit(func(c *change) error {
		if err := build(c); err != nil {
			return err
		}
		if err := c.settleSome(nil, &pending); err != nil {
			return err
		}
		again, s.unsettled = s.unsettled, nil
		return nil
	})
	if err != nil {
		return s.answer(err)
	}
	last, err := s.finishSettling(pending)
	// One by one, so that one that fails again holds up no other.
	for i := range again {
		// Whoever made the change was told of the failure.
		if retried, retryErr := s.finishSettling(again[i : i+1]); retryErr == nil && retried != nil {
			last = retried
		}
	}
	if err != nil {
		return s.answer(err)
	}
	if last != nil {
		group = last // a later sync covers all that came before
	}
	if group == nil {
		return s.answer(nil)
	}
	return s.durable(group)
}

// finishSettling tells the dependents of pending, and theirs, step by step. It returns what
// makes the last step durable, nil if there was none. If a step fails, what is left is kept in
// s.unsettled.
func (s *Store) finishSettling(pending []settlement) (group *syncGroup, err error) {
	for len(pending) > 0 {
		group, err = s.commit(func(c *change) error {
			err := c.settleSome(pending, &pending)
			if err != nil {
				s.unsettled = append(s.unsettled, pending...)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return group, nil
}

// resumeSettlements finishes what a crash interrupted.
func (s *Store) resumeSettlements() error {
	var pending []settlement
	err := s.scan([]byte{prefixSettlement}, []byte{prefixSettlement + 1}, func(key, value []byte) (bool, error) {
		id, err := uuid.FromBytes(key[1:])
		if err == nil && len(value) != 8 {
			err = queue.ErrDamaged
		}
		var r record
		if err == nil {
			r, err = s.readRecord(id)
		}
		if err != nil {
			s.log.Error(err, "the settlement of a job cannot be read; its dependents may wait for ever", "job", id.String())
			return true, nil
		}
		pending = append(pending, settlement{
			id: id, state: r.State, told: binary.BigEndian.Uint64(value), stored: true,
		})
		return true, nil
	})
	if err != nil {
		return err
	}
	for i := range pending {
		group, err := s.finishSettling(pending[i : i+1])
		if errors.Is(err, queue.ErrUnavailable) {
			return err
		}
		if err != nil {
			s.log.Error(err, "the dependents of a job could not all be told yet", "job", pending[i].id.String())
		} else if err := s.durable(group); err != nil {
			return err
		}
	}
	return nil
}

// finish ends a job, with an outcome if it has one.
func (c *change) finish(id uuid.UUID, r record, outcome *queue.Outcome) {
	c.setRecord(id, r)
	if outcome != nil {
		c.setOutcome(id, *outcome)
	}
	c.over = append(c.over, id)
	if r.hasDependents {
		c.settlements = append(c.settlements, settlement{id: id, state: r.State})
	}
}

// settleSome tells a bounded number of dependents of the jobs in pending, and of those that
// are over by this change, and sets left to what is still to do. If it fails it leaves pending
// and left as they are.
func (c *change) settleSome(pending []settlement, left *[]settlement) error {
	c.settlements = slices.Concat(pending, c.settlements)
	if len(c.settlements) == 0 {
		return nil
	}
	c.meetAgain()
	for budget := c.store.limits.settleStep; len(c.settlements) > 0 && budget > 0; {
		first := c.settlements[0] // a copy: telling may append to the list, which moves it
		told, done, err := c.tellDependents(&first, budget)
		if err != nil {
			return err
		}
		c.settlements[0] = first
		budget -= told
		if !done {
			break
		}
		if c.settlements[0].stored {
			c.delete(idKey(c.key[:0], prefixSettlement, c.settlements[0].id))
		}
		c.settlements = c.settlements[1:]
	}
	for i := range c.settlements {
		if item := &c.settlements[i]; i == 0 || !item.stored {
			c.set(idKey(c.key[:0], prefixSettlement, item.id), binary.BigEndian.AppendUint64(c.value[:0], item.told))
			item.stored = true
		}
	}
	*left = c.settlements
	return nil
}

// tellDependents tells at most limit dependents of a job that is over, and whether those were
// the last. It counts a job without any as one, so that a chain costs its budget too.
func (c *change) tellDependents(of *settlement, limit int) (told int, done bool, err error) {
	s := c.store
	from := dependentKey(nil, of.id, of.told+1)
	err = s.scan(from, after(idKey(nil, prefixDependent, of.id)), func(key, value []byte) (bool, error) {
		if told == limit {
			return false, nil
		}
		told++
		place := placeOfDependentKey(key)
		of.told = place
		dependent, settled, err := decodeDependent(of.id, value)
		if err == nil && !settled {
			err = c.tell(dependent, of, place)
		}
		if errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotExist) {
			s.log.Error(err, "a dependent cannot be read; it will not run", "job", of.id.String(), "dependent", dependent.String())
			err = nil
		}
		return true, err
	})
	return max(told, 1), told < limit, err
}

// tell tells one dependent that one of its dependencies is over.
func (c *change) tell(id uuid.UUID, dependency *settlement, place uint64) error {
	r, err := c.readRecord(id)
	if err != nil || r.State != queue.Blocked {
		return err
	}
	j, err := c.store.readJob(id, false)
	if errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotExist) {
		// Nobody can run it, and those that depend on it must not wait for it for ever.
		c.store.log.Error(err, "a dependent cannot be read; it is canceled", "job", id.String())
		if r.Record, err = r.Cancel(c.now); err == nil {
			c.finish(id, r, nil)
		}
		return err
	}
	if err != nil {
		return err
	}
	if r.Open == 0 {
		return fmt.Errorf("job %s is blocked by nothing: %w", id, queue.ErrDamaged)
	}
	var outcome *queue.Outcome
	r.Record, outcome = r.Settle(j.RunIf, dependency.id, dependency.state, c.now)
	switch {
	case r.State.Over():
		c.finish(id, r, outcome)
	case r.State == queue.Pending:
		c.overlay[id] = r
		c.enqueueReady(waitingJob{id: id, lane: j.Lane(), place: place, record: r})
	default:
		c.setRecord(id, r)
	}
	return nil
}
