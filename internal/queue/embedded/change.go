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

// What is larger than that is not kept for the next change: a value, in bytes, and a list of
// records.
const (
	keepValueBuffer = 64 << 10
	keepRecords     = 1 << 10
)

// change is one atomic change of the store: what goes to disk, and what memory must be told
// of it once it has been committed. Until then an error leaves no trace of it.
type change struct {
	store *Store
	batch *pebble.Batch
	now   time.Time

	sequence uint64 // Store.sequence as it will be
	ceiling  uint64 // Store.ceiling as it will be

	key, value []byte // buffers that keys and values are made in

	// overlay holds what this change has made of records that it may meet again; nil where
	// it cannot.
	overlay map[uuid.UUID]record
	// settlements are the jobs whose dependents are still to be told.
	settlements []settlement

	records  []changedRecord
	waiting  []waitingJob // jobs that are ready for whoever is first in line
	unready  []waitingJob // jobs that were in line and are not any more
	granted  []*lease     // leases that begin
	ended    []uuid.UUID  // tokens of leases that end
	handover []handover   // those of them that go to callers in line
	over     []uuid.UUID  // jobs that are over
}

// changedRecord is a job's record as the change makes it.
type changedRecord struct {
	id     uuid.UUID
	record record
}

// waitingJob is a job that is, or was, in line.
type waitingJob struct {
	id     uuid.UUID
	lane   queue.Lane
	place  uint64
	record record // pending
	fresh  bool   // it has no s key: the record is as it was enqueued, and not on disk yet
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

// commit makes one change: it calls build, and if that returns nil, commits what it built. The
// change is visible to all when commit returns, and durable when the group is.
func (s *Store) commit(build func(*change) error) (*syncGroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure.failed() {
		return nil, queue.ErrUnavailable
	}
	c := &s.current
	c.begin(s)
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

// begin makes c a change that changes nothing yet. It keeps the buffers of the one before.
func (c *change) begin(s *Store) {
	clear(c.granted)
	clear(c.handover)
	*c = change{
		store: s, batch: s.db.NewBatch(), now: s.now(), sequence: s.sequence, ceiling: s.ceiling,
		key: c.key, value: c.value,
		records: c.records[:0], waiting: c.waiting[:0], unready: c.unready[:0],
		granted: c.granted[:0], ended: c.ended[:0], over: c.over[:0], handover: c.handover[:0],
	}
	if cap(c.value) > keepValueBuffer {
		c.value = nil
	}
	if cap(c.records) > keepRecords {
		c.records, c.waiting, c.unready, c.over = nil, nil, nil, nil
	}
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
	s.syncer.begun.Add(1)
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
	for i := range c.records {
		s.keepRecord(c.records[i].id, c.records[i].record)
	}
	for _, j := range c.unready {
		s.removeReady(j.lane, j.place)
	}
	for i := range c.waiting {
		j := &c.waiting[i]
		if s.addReady(j.lane, readyJob{place: j.place, id: j.id}) {
			s.records.put(j.id, j.record) // it may be claimed soon
		} else {
			s.records.forget(j.id) // a refill reads it when its turn comes
		}
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

// The methods that follow build the batch, which copies its keys and values, so that all of
// them can be made in the same two buffers.

func (c *change) setRecord(id uuid.UUID, r record) {
	c.writeRecord(id, r)
	c.records = append(c.records, changedRecord{id: id, record: r})
	if c.overlay != nil {
		c.overlay[id] = r
	}
}

// writeRecord is setRecord for a record that memory is told of in another way.
func (c *change) writeRecord(id uuid.UUID, r record) {
	c.set(idKey(c.key[:0], prefixRecord, id), r.encode(c.value[:0]))
}

func (c *change) setJob(j *job) {
	c.set(idKey(c.key[:0], prefixJob, j.ID), j.encode(c.value[:0]))
}

func (c *change) setOutcome(id uuid.UUID, o queue.Outcome) {
	c.set(idKey(c.key[:0], prefixOutcome, id), encodeOutcome(c.value[:0], o))
}

func (c *change) setDependent(dependency uuid.UUID, j *job, settled bool) {
	c.set(dependentKey(c.key[:0], dependency, j.place), encodeDependent(c.value[:0], j.ID, settled))
}

// setReady puts a job into the ready index. queued is zero unless the job is as it was
// enqueued, and has no s key.
func (c *change) setReady(lane queue.Lane, place uint64, id uuid.UUID, queued time.Time) {
	c.set(readyKey(c.key[:0], lane, place), encodeReady(c.value[:0], id, queued))
}

func (c *change) setRunning(place uint64, id uuid.UUID) {
	c.set(runningKey(c.key[:0], place), append(c.value[:0], id[:]...))
}

func (c *change) set(key, value []byte) {
	c.key, c.value = key, value
	if err := c.batch.Set(key, value, nil); err != nil {
		panic(err) // a batch without an index cannot fail
	}
}

func (c *change) delete(key []byte) {
	c.key = key
	if err := c.batch.Delete(key, nil); err != nil {
		panic(err)
	}
}

// meetAgain prepares the change for meeting records that it has changed itself.
func (c *change) meetAgain() {
	if c.overlay == nil {
		c.overlay = make(map[uuid.UUID]record)
	}
}

// readRecord returns the record with what this change has made of it.
func (c *change) readRecord(id uuid.UUID) (record, error) {
	if r, ok := c.overlay[id]; ok {
		return r, nil
	}
	if r, ok := c.store.records.get(id); ok {
		return r, nil
	}
	r, err := c.store.readRecord(id)
	if err == nil && r.State != queue.Running {
		c.store.records.put(id, r)
	}
	return r, err
}

// nextPlace gives out the next place in line.
func (c *change) nextPlace() uint64 {
	c.sequence++
	if c.sequence > c.ceiling {
		c.ceiling += sequenceStride
		c.set(append(c.key[:0], keySequence...), binary.BigEndian.AppendUint64(c.value[:0], c.ceiling))
	}
	return c.sequence
}

// enqueueReady puts a pending job in line. Whether somebody stands there already is seen when the
// change is complete.
func (c *change) enqueueReady(j waitingJob) { c.waiting = append(c.waiting, j) }

// serveLine hands the jobs that this change made ready to the callers that wait for them, and
// puts the others into the ready index. The change cannot fail after that, except with the
// whole store. So one sync makes durable both what made the job ready and its claim.
func (c *change) serveLine() {
	left := c.waiting[:0]
	for _, j := range c.waiting {
		waiter, ok := c.store.line.Take(j.lane)
		if !ok {
			var queued time.Time
			if j.fresh {
				queued = j.record.Queued
			} else {
				c.writeRecord(j.id, j.record)
			}
			c.setReady(j.lane, j.place, j.id, queued)
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
	c.delete(readyKey(c.key[:0], j.lane, j.place))
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
	c.setRunning(j.place, j.id)
	// The beat carries monotonic time, which the stored time does not.
	c.granted = append(c.granted, &lease{
		token: token, jobID: j.id, lane: j.lane, place: j.place, record: j.record, beat: c.store.clock(),
	})
	return grant{token: token, jobID: j.id, attempt: next.Attempt}, nil
}

// endLease ends a lease and remembers how.
func (c *change) endLease(l *lease, ended queue.EndedLease) {
	c.delete(runningKey(c.key[:0], l.place))
	c.set(idKey(c.key[:0], prefixEndedLease, l.token), encodeEndedLease(c.value[:0], ended))
	c.ended = append(c.ended, l.token)
}

// keepRecord keeps a record that is on disk: with its lease, which every report will ask for,
// or in the cache. s.mu is held.
func (s *Store) keepRecord(id uuid.UUID, r record) {
	if r.State != queue.Running {
		s.records.put(id, r)
		return
	}
	s.records.forget(id)
	if l := s.leases.get(r.Token); l != nil {
		l.record = r
	}
}

// handOver wakes the callers whose lease this change granted.
func (c *change) handOver(group *syncGroup) {
	for _, h := range c.handover {
		h.grant.group = group
		h.waiter.Give(h.grant)
	}
}
