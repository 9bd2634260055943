package embedded

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

// change is one atomic change of the store: what goes to disk, and what memory must be told
// of it once it has been committed. Until then an error leaves no trace of it.
type change struct {
	store *Store
	batch *pebble.Batch
	now   time.Time

	sequence uint64 // Store.sequence as it will be
	ceiling  uint64 // Store.ceiling as it will be

	// records holds what this change has made of records that it may meet again; nil where
	// it cannot.
	records map[uuid.UUID]record
	// settlements are the jobs whose dependents are still to be told.
	settlements []settlement

	waiting  []waitingJob // jobs that are ready for whoever is first in line
	unready  []waitingJob // jobs that were in line and are not any more
	granted  []*lease     // leases that begin
	ended    []uuid.UUID  // tokens of leases that end
	over     []uuid.UUID  // jobs that are over
	handover []handover   // those of them that go to callers in line
}

// waitingJob is a job that is, or was, in line.
type waitingJob struct {
	id     uuid.UUID
	lane   queue.Lane
	place  uint64
	record record // pending
}

// handover is a lease for a caller that was waiting in line.
type handover struct {
	waiter *wait.Waiter[claimant, grant]
	grant  grant
}

// grant is a lease as its claim made it: enough to build the lease from.
type grant struct {
	token   uuid.UUID
	jobID   uuid.UUID
	attempt uint64
	group   *syncGroup // makes the claim durable
}

// change makes one change: it calls build, and if that returns nil, commits what it built. The
// change is visible to all when change returns, and durable when the group is.
func (s *Store) change(build func(*change) error) (*syncGroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure.failed() {
		return nil, queue.ErrUnavailable
	}
	c := &change{store: s, batch: s.db.NewBatch(), now: s.now(), sequence: s.sequence, ceiling: s.ceiling}
	if err := build(c); err != nil {
		return nil, closeBatch(c.batch, err)
	}
	c.serveLine()
	if c.batch.Empty() {
		return nil, closeBatch(c.batch, nil)
	}
	if err := s.apply(c.batch); err != nil {
		c.handOver(&syncGroup{}) // which no sync will ever end: they learn of the failure
		return nil, err
	}
	c.remember()
	group := s.syncer.join()
	c.handOver(group)
	return group, closeBatch(c.batch, nil)
}

func closeBatch(batch *pebble.Batch, err error) error {
	if closeErr := batch.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close a batch: %w", closeErr)
	}
	return err
}

// apply commits a batch without waiting for the disk. Pebble panics where it cannot go on, as
// when it cannot make the next file of its log: then the store has failed, and Pebble must not
// be called again.
func (s *Store) apply(batch *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.failure.fail(fmt.Errorf("commit: %v", r))
			err = queue.ErrUnavailable
		}
	}()
	if err := s.db.Apply(batch, pebble.NoSync); err != nil {
		s.failure.fail(fmt.Errorf("commit: %w", err))
		return queue.ErrUnavailable
	}
	s.syncer.committed.Add(1)
	return nil
}

// remember tells memory of a change that was committed.
func (c *change) remember() {
	s := c.store
	s.sequence, s.ceiling = c.sequence, c.ceiling
	for _, j := range c.unready {
		s.removeReady(j.lane, j.place)
	}
	for _, j := range c.waiting {
		s.addReady(j.lane, readyJob{place: j.place, id: j.id})
	}
	for _, token := range c.ended {
		s.leases.remove(token)
	}
	for _, l := range c.granted {
		s.leases.add(l)
	}
	for _, id := range c.over {
		s.over.Notify(id)
	}
}

// set and delete build the batch. A batch that is not indexed cannot fail.
func (c *change) set(key, value []byte) {
	if err := c.batch.Set(key, value, nil); err != nil {
		panic(err)
	}
}

func (c *change) delete(key []byte) {
	if err := c.batch.Delete(key, nil); err != nil {
		panic(err)
	}
}

func (c *change) setRecord(id uuid.UUID, r record) {
	c.set(idKey(prefixRecord, id), r.encode())
	if c.records != nil {
		c.records[id] = r
	}
}

// readRecord returns the record with what this change has made of it.
func (c *change) readRecord(id uuid.UUID) (record, error) {
	if r, ok := c.records[id]; ok {
		return r, nil
	}
	return c.store.readRecord(id)
}

// nextPlace gives out the next place in line.
func (c *change) nextPlace() uint64 {
	c.sequence++
	if c.sequence > c.ceiling {
		c.ceiling += sequenceStride
		c.set(keySequence, binary.BigEndian.AppendUint64(nil, c.ceiling))
	}
	return c.sequence
}

// wait puts a pending job in line. Whether somebody stands there already is seen when the
// change is complete.
func (c *change) wait(j waitingJob) { c.waiting = append(c.waiting, j) }

// serveLine hands the jobs that this change made ready to the callers that wait for them, and
// puts the others into the ready index. The change cannot fail after that, except with the
// whole store. So one sync makes durable both what made the job ready and its claim.
func (c *change) serveLine() {
	left := c.waiting[:0]
	for _, j := range c.waiting {
		waiter, ok := c.store.line.Take(j.lane)
		if !ok {
			c.setRecord(j.id, j.record)
			c.set(readyKey(j.lane, j.place), j.id[:])
			left = append(left, j)
			continue
		}
		g, err := c.grant(j, waiter.Request)
		if err != nil {
			panic(err) // what waits in line is pending
		}
		c.handover = append(c.handover, handover{waiter: waiter, grant: g})
	}
	c.waiting = left
}

// claim takes a job out of the ready index and leases it. queue.ErrNotPending.
func (c *change) claim(j waitingJob, by claimant) (grant, error) {
	g, err := c.grant(j, by)
	if err != nil {
		return grant{}, err
	}
	c.leaveLine(j)
	return g, nil
}

// leaveLine takes a job out of the ready index.
func (c *change) leaveLine(j waitingJob) {
	c.delete(readyKey(j.lane, j.place))
	c.unready = append(c.unready, j)
}

func (c *change) grant(j waitingJob, by claimant) (grant, error) {
	token := uuid.New()
	next, err := j.record.Grant(token, by.worker, c.now)
	if err != nil {
		return grant{}, err
	}
	j.record.Record = next
	c.setRecord(j.id, j.record)
	c.set(idKey(prefixLease, token), j.id[:])
	// The beat carries monotonic time, which the stored time does not.
	c.granted = append(c.granted, &lease{token: token, jobID: j.id, lane: j.lane, place: j.place, beat: c.store.clock()})
	return grant{token: token, jobID: j.id, attempt: next.Attempt}, nil
}

// endLease ends the live lease of a job and remembers how.
func (c *change) endLease(token uuid.UUID, ended queue.EndedLease) {
	c.delete(idKey(prefixLease, token))
	c.set(idKey(prefixEndedLease, token), encodeEndedLease(ended))
	c.ended = append(c.ended, token)
}

// handOver wakes the callers whose lease this change granted.
func (c *change) handOver(group *syncGroup) {
	for _, h := range c.handover {
		h.grant.group = group
		h.waiter.Give(h.grant)
	}
}
