package embedded

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// onceEntry is what an i key holds: what a call with an idempotency key was answered.
type onceEntry struct {
	digest   [sha256.Size]byte
	until    time.Time   // when it is forgotten
	tokens   []uuid.UUID // of the leases that were granted
	enqueued []onceJob   // the jobs that were added
}

// onceJob is one job as it was answered.
type onceJob struct {
	id       uuid.UUID
	existing bool
	record   []byte // encoded
	outcome  []byte // encoded; empty if there was none
}

func (o *onceEntry) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.rest(o.digest[:])
	e.time(o.until)
	e.uint(uint64(len(o.tokens)))
	for _, token := range o.tokens {
		e.id(token)
	}
	e.uint(uint64(len(o.enqueued)))
	for i := range o.enqueued {
		j := &o.enqueued[i]
		e.id(j.id)
		e.bool(j.existing)
		e.string(string(j.record))
		e.string(string(j.outcome))
	}
	return e
}

func decodeOnce(value []byte) (onceEntry, error) {
	d := decoder{left: value}
	var o onceEntry
	copy(o.digest[:], d.take(sha256.Size))
	o.until = d.time()
	o.tokens = make([]uuid.UUID, d.count(len(uuid.UUID{})))
	for i := range o.tokens {
		o.tokens[i] = d.id()
	}
	o.enqueued = make([]onceJob, d.count(len(uuid.UUID{})+3))
	for i := range o.enqueued {
		o.enqueued[i] = onceJob{id: d.id(), existing: d.bool(), record: []byte(d.string()), outcome: []byte(d.string())}
	}
	return o, d.done("idempotent call", uuid.Nil)
}

// onceHash is what stands for an idempotency key in the store: keys are as long as their
// callers like.
func onceHash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// readOnce returns what was answered to an idempotency key; false if nothing was, or it should
// have been forgotten by now. queue.ErrKeyReused if the key was used for something else.
func (s *Store) readOnce(once queue.Once) (entry onceEntry, found bool, err error) {
	if !once.Given() {
		return onceEntry{}, false, nil
	}
	hash := onceHash(once.Key)
	found, err = s.view(append([]byte{prefixOnce}, hash[:]...), func(value []byte) error {
		entry, err = decodeOnce(value)
		return err
	})
	switch {
	case err != nil || !found:
		return onceEntry{}, false, err
	case !entry.until.After(s.now()):
		return onceEntry{}, false, nil
	case entry.digest != once.Digest:
		return onceEntry{}, false, queue.ErrKeyReused
	}
	return entry, true, nil
}

// setOnce remembers a call until the time to forget it.
func (c *change) setOnce(once queue.Once, entry *onceEntry) {
	hash := onceHash(once.Key)
	entry.digest = once.Digest
	entry.until = c.now.Add(c.store.onceTTL)
	c.set(append(append(c.key[:0], prefixOnce), hash[:]...), entry.encode(c.value[:0]))
	c.setDue(entry.until, dueToForget, hash[:])
}

// forgetCall forgets a call if its time has come: another one may have taken its place since.
func (c *change) forgetCall(hash []byte) error {
	key := append([]byte{prefixOnce}, hash...)
	var until time.Time
	found, err := c.store.view(key, func(value []byte) error {
		entry, err := decodeOnce(value)
		until = entry.until
		return err
	})
	if err != nil && !isDamage(err) {
		return err
	}
	if found && !until.After(c.now) {
		c.delete(key)
	}
	return nil
}

// forgetGrant has a dequeue not be answered again with a lease that it could not be given.
func (s *Store) forgetGrant(once queue.Once) error {
	if !once.Given() {
		return nil
	}
	if err := s.enterToDeliver(); err != nil {
		return err
	}
	defer s.leave()
	_, err := s.commit(func(c *change) error {
		hash := onceHash(once.Key)
		c.delete(append(append(c.key[:0], prefixOnce), hash[:]...))
		return nil
	})
	return err
}

// leasesOf returns the leases that were granted to a dequeue with the same idempotency key, apart
// from those that were released. If there are none, new ones are to be granted.
// queue.ErrLeaseLost if all of them are over, other than by a cancel.
func (s *Store) leasesOf(once queue.Once) (granted []queue.Lease, err error) {
	if !once.Given() {
		return nil, nil
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	entry, found, err := s.readOnce(once)
	if err != nil {
		return nil, s.answer(err)
	}
	if !found {
		return nil, nil
	}
	var lost error
	for _, token := range entry.tokens {
		if s.leases.get(token) == nil {
			ended, err := s.readEndedLease(token)
			if err == nil && ended.End == queue.EndReleased {
				continue
			}
		}
		l, err := s.lookAtLease(token, queue.MaxLeaseResults)
		switch {
		case err == nil:
			granted = append(granted, l)
		case errors.Is(err, queue.ErrLeaseLost), errors.Is(err, queue.ErrNotExist): // its job was deleted
			lost = queue.ErrLeaseLost
		default:
			return nil, s.answer(err)
		}
	}
	if len(granted) == 0 && lost != nil {
		return nil, s.answer(lost)
	}
	if len(granted) == 0 {
		return nil, s.vacateCall(once, entry.tokens)
	}
	return granted, s.answer(nil)
}

// vacateCall has a dequeue be granted other leases in place of those, which were released: also when
// their jobs are deleted by then. Its key stays known.
func (s *Store) vacateCall(once queue.Once, released []uuid.UUID) error {
	if len(released) == 0 {
		return nil
	}
	_, err := s.commit(func(c *change) error {
		entry, found, err := s.readOnce(once)
		if err != nil || !found || !slices.Equal(entry.tokens, released) { // the same call has come in between
			return err
		}
		entry.tokens = nil
		hash := onceHash(once.Key)
		c.set(append(append(c.key[:0], prefixOnce), hash[:]...), entry.encode(c.value[:0]))
		return nil
	})
	return err
}

// enqueuedOf returns what an Enqueue was answered.
func (s *Store) enqueuedOf(entry *onceEntry) ([]queue.Enqueued, error) {
	enqueued := make([]queue.Enqueued, len(entry.enqueued))
	for i := range entry.enqueued {
		answered := &entry.enqueued[i]
		_, err := s.readRecord(answered.id)
		var j job
		if err == nil {
			j, err = s.readJob(answered.id, false)
		}
		if err != nil {
			return nil, fmt.Errorf("read job %s: %w", answered.id, deletedSince(err))
		}
		r, err := decodeRecord(answered.id, answered.record)
		if err != nil {
			return nil, err
		}
		var outcome queue.Outcome
		if len(answered.outcome) > 0 {
			if outcome, err = decodeOutcome(answered.id, answered.outcome); err != nil {
				return nil, err
			}
		}
		enqueued[i] = queue.Enqueued{Status: queue.StatusOf(&j.Job, &r.Record, outcome), Existing: answered.existing, Repeated: true}
	}
	return enqueued, nil
}

// EnqueueOnce is Enqueue, but once: again with the same key and digest it answers what it did
// the first time and adds nothing. What is remembered of it is as durable as the jobs are.
// ErrKeyReused, ErrKeyInUse.
func (s *Store) EnqueueOnce(_ context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	end, err := s.underWay.Begin(once)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.enqueue(jobs, once)
}

// EnqueuedOnce returns what EnqueueOnce has answered to the same once; nil if it is not known, and
// nothing was added then. ErrKeyReused, ErrKeyInUse.
func (s *Store) EnqueuedOnce(_ context.Context, once queue.Once) (answer []queue.Enqueued, err error) {
	end, err := s.underWay.Begin(once)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	// It changes nothing; but a job that is claimed meanwhile would be found in no place.
	_, err = s.commit(func(*change) error {
		entry, found, err := s.readOnce(once)
		if err != nil || !found {
			return err
		}
		answer, err = s.enqueuedOf(&entry)
		return err
	})
	return answer, s.answer(err)
}
