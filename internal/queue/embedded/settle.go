package embedded

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// settlement is a job that is over and whose dependents are being told. What a step could
// not finish is kept on disk, so that a crash in between is made good by the next start.
type settlement struct {
	id         uuid.UUID
	state      queue.State
	generation uint64 // of the job; dependents that know of another one are not told
	told       uint64 // the dependents up to this place have been told
	stored     bool   // a w key, which holds told, stands for it
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
		if retried, retryErr := s.finishSettling(again[i : i+1 : i+1]); retryErr == nil && retried != nil {
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
// makes the last step durable, nil if there was none. It takes over pending, and appends to it
// in place. If a step fails, what is left is kept in
// s.unsettled.
func (s *Store) finishSettling(pending []settlement) (group *syncGroup, err error) {
	for len(pending) > 0 {
		runtime.Gosched() // to those who wait for the mutex, and have been woken
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
		var id uuid.UUID
		err := queue.ErrDamaged
		if len(key) == len(settlementKey(nil, id, 0)) && len(value) == 8 {
			id, err = uuid.UUID(key[1:17]), nil
		}
		var r record
		if err == nil {
			r, err = s.readKept(id)
		}
		if isDamage(err) {
			s.log.Error(err, "the settlement of a job cannot be read; its dependents may wait for ever", "job", id.String())
			return true, nil
		}
		if err != nil { // it may be read another time
			return false, fmt.Errorf("read job %s, whose dependents are still to be told: %w", id, err)
		}
		pending = append(pending, settlement{
			id: id, state: r.State, generation: binary.BigEndian.Uint64(key[17:]),
			told: binary.BigEndian.Uint64(value), stored: true,
		})
		return true, nil
	})
	if err != nil {
		return err
	}
	for i := range pending {
		group, err := s.finishSettling(pending[i : i+1 : i+1])
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

// settleSome tells a bounded number of dependents of the jobs in pending, and of those that
// are over by this change, and sets left to what is still to do. If it fails it leaves pending
// and left as they are. left takes over what pending holds.
func (c *change) settleSome(pending []settlement, left *[]settlement) (err error) {
	// Appended in place: a wide graph makes a long list, which is not to be copied in each of
	// many steps. What pending has is not changed before nothing can fail any more.
	c.settlements = append(pending, c.settlements...)
	if len(c.settlements) == 0 {
		err := c.holdBackReady()
		return cmp.Or(c.unread, err)
	}
	c.meetAgain()
	edges, err := c.store.openCursor([]byte{prefixDependent}, []byte{prefixDependent + 1})
	if err != nil {
		return err
	}
	defer func() { err = edges.close(err) }()
	records, err := c.store.openCursor([]byte{prefixRecord}, []byte{prefixRecord + 1})
	if err != nil {
		return err
	}
	c.lookups = &records
	defer func() { c.lookups, err = nil, records.close(err) }()
	var unfinished settlement
	for budget := c.store.limits.settleStep; len(c.settlements) > 0 && budget > 0; {
		first := c.settlements[0]
		told, done, err := c.tellDependents(edges, &first, budget)
		if err != nil {
			return err
		}
		budget -= told
		if !done {
			unfinished = first
			break
		}
		if first.stored {
			c.delete(settlementKey(c.key[:0], first.id, first.generation))
		}
		c.settlements = c.settlements[1:]
	}
	if err := c.holdBackReady(); err != nil {
		return err
	}
	if c.unread != nil {
		return c.unread
	}
	if unfinished.told > 0 {
		c.settlements[0] = unfinished
		c.storeSettlement(&c.settlements[0])
	}
	// Those that are not stored are the last ones.
	for i := len(c.settlements) - 1; i >= 0 && !c.settlements[i].stored; i-- {
		c.storeSettlement(&c.settlements[i])
	}
	*left = c.settlements
	return nil
}

// storeSettlement has a settlement survive a crash.
func (c *change) storeSettlement(item *settlement) {
	c.set(settlementKey(c.key[:0], item.id, item.generation), binary.BigEndian.AppendUint64(c.value[:0], item.told))
	item.stored = true
}

// tellDependents tells at most limit dependents of a job that is over, and whether those were
// the last. It counts a job without any as one, so that a chain costs its budget too.
func (c *change) tellDependents(edges cursor, of *settlement, limit int) (told int, done bool, err error) {
	s := c.store
	from := dependentKey(nil, of.id, of.told+1)
	err = edges.scan(from, after(idKey(nil, prefixDependent, of.id)), func(key, value []byte) (bool, error) {
		if told == limit {
			return false, nil
		}
		told++
		place := placeOfDependentKey(key)
		of.told = place
		t, err := decodeDependent(of.id, value)
		if changed, found := c.edges[string(key)]; found { // by a retry that ends in this very change
			t = changed
		}
		if err == nil && !t.settled && t.generation == of.generation {
			err = c.tell(t, of, place)
		}
		if isDamage(err) {
			s.log.Error(err, "a dependent cannot be read; it will not run", "job", of.id.String(), "dependent", t.id.String())
			err = nil
		}
		return true, err
	})
	return max(told, 1), told < limit, err
}

// tell tells one dependent that one of its dependencies is over.
func (c *change) tell(t dependent, dependency *settlement, place uint64) error {
	before, err := c.readKept(t.id)
	if err != nil || before.State != queue.Blocked && before.Open == 0 {
		return err
	}
	if before.Open == 0 {
		return fmt.Errorf("job %s is blocked by nothing: %w", t.id, queue.ErrDamaged)
	}
	r := before
	var outcome *queue.Outcome
	r.Record, outcome = before.Settle(dependency.id, t.condition, dependency.state, c.now)
	switch {
	case r.State.Over():
		return c.finish(t.id, &before, r, outcome)
	case r.State == queue.Blocked, r.State == queue.Running:
		c.setRecord(t.id, &r)
		return nil
	}
	j, err := c.store.readJob(t.id, false)
	if isDamage(err) {
		// Nobody can run it, and those that depend on it must not wait for it for ever.
		c.store.log.Error(err, "a dependent cannot be read; it is canceled", "job", t.id.String())
		r = before
		if r.Record, err = before.Cancel(c.now); err == nil {
			err = c.finish(t.id, &before, r, nil)
		}
		return err
	}
	if err != nil {
		return err
	}
	c.standWhereItShould(waitingJob{id: t.id, lane: j.Lane(), place: place, record: r})
	return nil
}
