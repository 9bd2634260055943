package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// dueKind is what falls due. At the same time the lower kind goes first: a job that expires
// when it may run does not run.
type dueKind byte

const (
	dueToExpire dueKind = iota + 1 // a job that nobody has begun
	dueToRun                       // a job that was scheduled
	dueToForget                    // what is remembered of a call with an idempotency key
)

// never is later than any time there is, in microseconds since the epoch.
const never = math.MaxInt64

// dueIndex is what memory knows of the t keys. What falls due late costs nothing until then,
// however much of it there is.
type dueIndex struct {
	dueBounds               // guarded by Store.mu
	earlier   chan struct{} // holds a token when something falls due earlier than was known
	stepping  sync.Mutex    // held while what is due is done, so that it is done in order
}

// dueBounds say where the t keys begin. Their slices are never written to.
type dueBounds struct {
	from []byte // no t key is before it, only a field of tombstones
	next int64  // the time of the first t key, or an earlier one; never if there is none. Microseconds since the epoch
}

// take takes over what a change has made of the bounds. Store.mu is held.
func (d *dueIndex) take(bounds dueBounds) {
	earlier := bounds.next < d.next
	d.dueBounds = bounds
	if earlier {
		d.noticeEarlier()
	}
}

// noticeEarlier has the timekeeper look again. It does not block.
func (d *dueIndex) noticeEarlier() {
	select {
	case d.earlier <- struct{}{}:
	default: // it is about to
	}
}

func dueKey(buffer []byte, at int64, kind dueKind, what []byte) []byte {
	buffer = binary.BigEndian.AppendUint64(append(buffer, prefixDue), uint64(at))
	return append(append(buffer, byte(kind)), what...)
}

// dueEntry is what a t key says.
type dueEntry struct {
	at   int64 // in microseconds since the epoch
	kind dueKind
	what []byte // the id of a job, or the hash of an idempotency key
}

// splitDueKey is the inverse of dueKey. What it returns is part of the key.
func splitDueKey(key []byte) (e dueEntry, ok bool) {
	const fixed = 1 + 8 + 1
	if len(key) <= fixed {
		return dueEntry{}, false
	}
	e = dueEntry{at: int64(binary.BigEndian.Uint64(key[1:])), kind: dueKind(key[fixed-1]), what: key[fixed:]}
	return e, e.at >= 0
}

// loadDue finds the first of what falls due.
func (s *Store) loadDue() error {
	err := s.scan([]byte{prefixDue}, []byte{prefixDue + 1}, func(key, _ []byte) (bool, error) {
		if e, ok := splitDueKey(key); ok {
			s.due.next = e.at
			return false, nil
		}
		return true, nil // doDueKeys tells of it
	})
	if err != nil {
		return fmt.Errorf("find what falls due: %w", err)
	}
	return nil
}

func (c *change) setDue(at time.Time, kind dueKind, what []byte) {
	micros := at.UnixMicro()
	c.set(dueKey(c.key[:0], micros, kind, what), nil)
	c.due.next = min(c.due.next, micros)
	if bytes.Compare(c.key, c.due.from) < 0 { // a clock was set back
		c.due.from = bytes.Clone(c.key)
	}
}

func (c *change) deleteDue(at time.Time, kind dueKind, what []byte) {
	c.delete(dueKey(c.key[:0], at.UnixMicro(), kind, what))
}

// doDue does what is due by now, in the order of time, and as much of it as one change may
// hold. It tells whether there may be more.
func (s *Store) doDue() (more bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	s.due.stepping.Lock()
	defer s.due.stepping.Unlock()
	err = s.settle(func(c *change) error {
		left, err := c.doDueKeys(s.limits.settleStep)
		if err == nil && left > 0 && len(c.settlements) == 0 {
			left, err = c.endLongRuns(left)
		}
		more = left == 0 || len(c.settlements) > 0
		return err
	})
	return more, err
}

// CatchUp does all that is due by now. The timekeeper does so as well, but by timers that the Clock of
// Options does not move.
func (s *Store) CatchUp() error {
	for more := true; more; {
		var err error
		if more, err = s.doDue(); err != nil {
			return err
		}
	}
	return nil
}

// doDueKeys does what the t keys say, of at most limit keys, and returns what is left of that.
// It stops at a job that ends and has dependents: they are told before anything later is done.
func (c *change) doDueKeys(limit int) (left int, err error) {
	s := c.store
	now := c.now.UnixMicro()
	c.meetAgain()
	c.due.next = never
	var last []byte
	defer func() {
		if err == nil && last != nil {
			c.due.from = last
		}
	}()
	err = s.scan(s.due.from, []byte{prefixDue + 1}, func(key, _ []byte) (bool, error) {
		e, ok := splitDueKey(key)
		switch {
		case !ok:
			s.log.Error(queue.ErrDamaged, "an entry of what falls due is damaged; it is passed over")
			return true, nil
		case e.at > now, limit == 0, len(c.settlements) > 0:
			c.due.next = e.at
			return false, nil
		}
		limit--
		last = append(last[:0], key...)
		c.delete(append(c.key[:0], key...)) // a copy: key is the iterator's
		return true, c.doDueKey(e.kind, e.what)
	})
	return limit, err
}

func (c *change) doDueKey(kind dueKind, what []byte) error {
	if kind == dueToForget {
		return c.forgetCall(what)
	}
	id, err := uuid.FromBytes(what)
	if err != nil {
		return nil // the audit finds it; there is no job that it could be about
	}
	r, err := c.readRecord(id)
	var j job
	switch {
	case err != nil:
	case kind == dueToExpire:
		err = c.expire(id, r)
	default:
		j, err = c.store.readJob(id, false)
	}
	if isDamage(err) {
		c.store.log.Error(err, "a job that falls due cannot be read; it is passed over", "job", id.String())
		return nil
	}
	if err != nil || kind == dueToExpire {
		return err
	}
	// One that is to expire as well, by now, is handed to nobody: see serveLine.
	if due := r.Due(c.now); due.State == queue.Pending && r.State == queue.Scheduled {
		r.Record = due
		c.standWhereItShould(waitingJob{id: id, lane: j.Lane(), place: j.place, record: r})
	}
	return nil
}

// expire fails a job that nobody has begun in time.
func (c *change) expire(id uuid.UUID, r record) error {
	if !r.Expired(c.now) {
		return nil
	}
	before := r
	r.Record = r.Expire(c.now)
	outcome := queue.ExpiredOutcome()
	return c.finish(id, &before, r, &outcome)
}

// endLongRuns ends the runs that have taken too long, at most limit of them, and returns what
// is left of that. It stops where doDueKeys does.
func (c *change) endLongRuns(limit int) (left int, err error) {
	for _, l := range c.store.leases.overdue(c.clock, limit) {
		if len(c.settlements) > 0 {
			return 0, nil
		}
		limit--
		j, err := c.store.readJob(l.jobID, false)
		if err != nil && !isDamage(err) {
			return limit, err
		}
		if err != nil {
			c.store.log.Error(err, "a job whose run took too long cannot be read; it fails", "job", l.jobID.String())
		}
		r := l.record
		next, err := r.TimeOut(j.MaxTimeouts, j.Retry, rand.Float64(), c.now) //nolint:gosec // not for secrets
		if err != nil {
			return limit, err
		}
		r.Record = next
		outcome := queue.TimeoutOutcome()
		if err := c.settleLease(l, r, queue.EndedLease{End: queue.EndTimedOut}, &outcome); err != nil {
			return limit, err
		}
	}
	return limit, nil
}

// runTimekeeper does what falls due, when it does, until the store is closed or has failed.
func (s *Store) runTimekeeper() {
	// The least time between two looks, since what is due by the clock of the day may not be by
	// the monotonic one; the time after a failure; and the most, since a clock may be set ahead,
	// or the machine sleep, and no timer notices.
	const leastPause, failurePause, mostPause = time.Millisecond, time.Second, 10 * time.Second
	defer close(s.timekeeperDone)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-s.due.earlier:
		case <-timer.C:
		}
		pause := leastPause
		for more := s.untilDue() <= 0; more; {
			var err error
			if more, err = s.doDue(); err == nil {
				continue
			}
			if errors.Is(err, queue.ErrUnavailable) {
				return // it is being closed, or has failed
			}
			s.log.Error(err, "what is due could not be done; it is tried again in a second")
			pause, more = failurePause, false
		}
		timer.Reset(max(min(s.untilDue(), mostPause), pause))
	}
}

// untilDue is how long it is until something falls due.
func (s *Store) untilDue() time.Duration {
	s.mu.Lock()
	next := s.due.next
	s.mu.Unlock()
	until := time.Duration(math.MaxInt64)
	now := s.clock()
	if next != never {
		until = time.UnixMicro(next).Sub(now)
	}
	if deadline, ok := s.leases.firstDeadline(); ok {
		until = min(until, deadline.Sub(now))
	}
	return until
}
