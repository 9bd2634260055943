package embedded

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// onceEntry is what an i key holds: what a call with an idempotency key was answered.
type onceEntry struct {
	digest [sha256.Size]byte
	until  time.Time // when it is forgotten
	// token is of the lease that was granted; zero if jobs were added.
	token    uuid.UUID
	enqueued []onceJob
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
	e.id(o.token)
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
	o.token = d.id()
	o.enqueued = make([]onceJob, d.count(len(uuid.UUID{})+3))
	for i := range o.enqueued {
		o.enqueued[i] = onceJob{id: d.id(), existing: d.bool(), record: []byte(d.string()), outcome: []byte(d.string())}
	}
	return o, d.done("idempotent call", uuid.Nil)
}

// onceHash is what stands for an idempotency key in the store: keys are as long as their
// callers like.
func onceHash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// callsUnderWay holds the idempotency keys of calls that have not been answered.
type callsUnderWay struct {
	mu   sync.Mutex // guards keys
	keys map[string]struct{}
}

// begin is called before a call looks for what was answered to its key: queue.ErrKeyInUse if
// another one is at it. The caller must call end.
func (u *callsUnderWay) begin(once queue.Once) (end func(), err error) {
	if !once.Given() {
		return func() {}, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, found := u.keys[once.Key]; found {
		return nil, queue.ErrKeyInUse
	}
	if u.keys == nil {
		u.keys = make(map[string]struct{})
	}
	u.keys[once.Key] = struct{}{}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.keys, once.Key)
	}, nil
}

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

// forget forgets a call if its time has come: another one may have taken its place since.
func (c *change) forget(hash []byte) error {
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

// leaseOf returns the lease that was granted to a dequeue with the same idempotency key. It is
// nil if there was none, or it was released: then a new one is to be granted.
func (s *Store) leaseOf(once queue.Once) (*queue.Lease, error) {
	if !once.Given() {
		return nil, nil //nolint:nilnil // see above
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
		return nil, nil //nolint:nilnil // see above
	}
	if s.leases.get(entry.token) == nil {
		ended, err := s.readEndedLease(entry.token)
		if err == nil && ended.End == queue.EndReleased {
			return nil, nil //nolint:nilnil // see above
		}
	}
	l, err := s.lookAtLease(entry.token)
	return &l, s.answer(err)
}

// enqueuedOf returns what an Enqueue was answered.
func (s *Store) enqueuedOf(entry *onceEntry) ([]queue.Enqueued, error) {
	enqueued := make([]queue.Enqueued, len(entry.enqueued))
	for i := range entry.enqueued {
		answered := &entry.enqueued[i]
		j, err := s.readJob(answered.id, false)
		if err != nil {
			return nil, fmt.Errorf("read job %s: %w", answered.id, mustExist(err))
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
		enqueued[i] = queue.Enqueued{Status: statusOf(&j.Job, &r, outcome), Existing: answered.existing}
	}
	return enqueued, nil
}

// EnqueueOnce is Enqueue, but once: again with the same key and digest it answers what it did
// the first time and adds nothing. What is remembered of it is as durable as the jobs are.
// ErrKeyReused, ErrKeyInUse.
func (s *Store) EnqueueOnce(_ context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	end, err := s.underWay.begin(once)
	if err != nil {
		return nil, err
	}
	defer end()
	return s.enqueue(jobs, once)
}
