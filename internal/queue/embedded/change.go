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
	keepRecords     = 1 << 12
)

// change is one atomic change of the store: what goes to disk, and what memory must be told
// of it once it has been committed. Until then an error leaves no trace of it.
type change struct {
	store *Store
	batch *pebble.Batch
	clock time.Time // when the change is made; carries monotonic time
	now   time.Time // the same as it is stored

	sequence uint64 // Store.sequence as it will be
	ceiling  uint64 // Store.ceiling as it will be

	key, value []byte // buffers that keys and values are made in

	tallied []*tally // whose counts change
	unread  error    // why the size of a job that is counted is not known: the change fails then

	// overlay holds what this change has made of records that it may meet again; nil where
	// it cannot.
	overlay map[uuid.UUID]record
	// settlements are the jobs whose dependents are still to be told.
	settlements []settlement
	unique      map[string]struct{}    // u keys that a retry has set
	purged      map[uuid.UUID]struct{} // jobs that are deleted
	forgotten   []forgottenJob         // jobs that nobody finds any more
	// lookups is where a change that reads many records reads them; nil for others.
	lookups *cursor
	// edges are d keys that a retry has set, which it may meet again; nil where none does.
	edges map[string]dependent

	records  []changedRecord
	waiting  []waitingJob // jobs that are ready for whoever is first in line
	unready  []waitingJob // jobs that were in line and are not any more
	taken    []waitingJob // those of them that memory was told of already
	due      dueBounds    // Store.due as it will be
	granted  []*lease     // leases that begin
	ended    []uuid.UUID  // tokens of leases that end
	handover []handover   // those of them that go to callers in line
	then     []func()     // what else memory is told of
	moves    []queue.Move // what the observer is told; nil if there is none
}

// changedRecord is a job's record as the change makes it.
type changedRecord struct {
	id     uuid.UUID
	record record
}

// forgottenJob is a job that the change deletes.
type forgottenJob struct {
	id     uuid.UUID
	lane   queue.Lane
	record record
}

// waitingJob is a job that is, or was, in line.
type waitingJob struct {
	id     uuid.UUID
	lane   queue.Lane
	place  uint64
	record record
	fresh  bool // it has no s key: the record is as it was enqueued, and not on disk yet
}

// at returns where the job stands in line.
func (j *waitingJob) at() position { return j.record.position(j.place) }

// handover is a lease for a caller that was waiting in line.
type handover struct {
	waiter *wait.Waiter[claimant, *grant]
	grant  *grant
}

// grant is a lease as its claim made it: enough to build the lease from.
type grant struct {
	token            uuid.UUID
	jobID            uuid.UUID
	attempt          uint64
	timeout          time.Duration
	heartbeatTimeout time.Duration
	group            *syncGroup // makes the claim durable
	chosen           time.Time  // by the store's clock; zero if it is not new
	lease            *lease     // that it began; nil if it is not new
}

// commit makes one change: it calls build, and if that returns nil, commits what it built. The
// change is visible to all when commit returns, and durable when the group is.
func (s *Store) commit(build func(*change) error) (*syncGroup, error) {
	group, moves, err := s.commitAlone(build)
	if len(moves) > 0 {
		s.observer.Moved(moves)
	}
	return group, err
}

// commitAlone is commit, and returns what the observer is to be told.
func (s *Store) commitAlone(build func(*change) error) (*syncGroup, []queue.Move, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure.failed() {
		return nil, nil, queue.ErrUnavailable
	}
	c := &s.current
	c.begin(s)
	err := build(c)
	if err == nil {
		err = c.unread
	}
	if err != nil {
		for i := range c.taken {
			s.addReady(c.taken[i].lane, readyJob{at: c.taken[i].at(), id: c.taken[i].id})
		}
		c.forgetTallies()
		return nil, nil, closeBatch(c.batch, err)
	}
	c.serveLine()
	c.writeTallies()
	if c.batch.Empty() {
		s.due.take(c.due) // it may have found that nothing is due
		return nil, nil, closeBatch(c.batch, nil)
	}
	if err := s.apply(c.batch); err != nil {
		c.handOver(&syncGroup{}) // which no sync will ever end: they learn of the failure
		return nil, nil, err
	}
	c.remember()
	group := s.syncer.join()
	c.handOver(group)
	return group, c.moves, closeBatch(c.batch, nil)
}

// begin makes c a change that changes nothing yet. It keeps the buffers of the one before.
func (c *change) begin(s *Store) {
	clear(c.granted)
	clear(c.handover)
	clear(c.tallied)
	clock := s.clock()
	*c = change{
		store: s, batch: s.db.NewBatch(), clock: clock, now: storedTime(clock), sequence: s.sequence, ceiling: s.ceiling,
		key: c.key, value: c.value, tallied: c.tallied[:0],
		records: c.records[:0], waiting: c.waiting[:0], unready: c.unready[:0], taken: c.taken[:0],
		granted: c.granted[:0], ended: c.ended[:0], handover: c.handover[:0],
		due: s.due.dueBounds,
	}
	if cap(c.value) > keepValueBuffer {
		c.value = nil
	}
	if cap(c.records) > keepRecords {
		c.records, c.waiting, c.unready, c.taken = nil, nil, nil, nil
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
	for i := range c.unready {
		s.removeReady(c.unready[i].lane, c.unready[i].at())
	}
	for i := range c.waiting {
		j := &c.waiting[i]
		if s.addReady(j.lane, readyJob{at: j.at(), id: j.id}) {
			s.records.put(j.id, j.record) // it may be claimed soon
		} else {
			s.records.forget(j.id) // a refill reads it when its turn comes
		}
	}
	for _, token := range c.ended {
		s.leases.remove(token)
	}
	for _, l := range c.granted {
		if s.leases.add(l) {
			s.due.noticeEarlier()
		}
	}
	s.due.take(c.due)
	for id := range c.purged {
		s.records.forget(id)
		s.changed.Notify(id)
	}
	for i := range c.records {
		s.changed.Notify(c.records[i].id)
	}
	for i := range c.waiting {
		s.changed.Notify(c.waiting[i].id)
	}
	for _, tell := range c.then {
		tell()
	}
	c.tellEvents()
}

// The methods that follow build the batch, which copies its keys and values, so that all of
// them can be made in the same two buffers.

// setRecord writes a record, and counts the job as what it is then.
func (c *change) setRecord(id uuid.UUID, r *record) {
	c.writeRecord(id, r)
	c.records = append(c.records, changedRecord{id: id, record: *r})
	if c.overlay != nil {
		c.overlay[id] = *r
	}
}

// writeRecord is setRecord for a record that memory is told of in another way.
func (c *change) writeRecord(id uuid.UUID, r *record) {
	c.count(id, r)
	c.set(idKey(c.key[:0], prefixRecord, id), r.encode(c.value[:0]))
}

func (c *change) setJob(j *job) {
	c.set(idKey(c.key[:0], prefixJob, j.ID), j.encode(c.value[:0]))
}

func (c *change) setOutcome(id uuid.UUID, o queue.Outcome) {
	c.set(idKey(c.key[:0], prefixOutcome, id), encodeOutcome(c.value[:0], o))
}

// dependency is what a job is to know of one that it depends on.
type dependency struct {
	state      queue.State
	generation uint64
	gone       bool // it was deleted
	goneType   string
}

func (c *change) setDependent(edge *queue.Edge, j *job, known dependency) {
	t := dependent{id: j.ID, condition: edge.If, generation: known.generation, settled: known.state.Over()}
	if known.gone {
		t.gone, t.goneType = known.state, known.goneType
	}
	c.writeDependent(dependentKey(c.key[:0], edge.ID, j.place), t)
}

func (c *change) writeDependent(key []byte, t dependent) {
	c.set(key, t.encode(c.value[:0]))
	if c.edges != nil {
		c.edges[string(key)] = t
	}
}

// setReady puts a job into the ready index. queued is zero unless the job is as it was
// enqueued, and has no s key.
func (c *change) setReady(j *waitingJob, queued time.Time) {
	c.set(readyKey(c.key[:0], j.lane, j.at()), encodeReady(c.value[:0], j.id, queued))
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

// meetAgain prepares the change for meeting records that it has changed itself, or does from here on.
func (c *change) meetAgain() {
	if c.overlay != nil {
		return
	}
	c.overlay = make(map[uuid.UUID]record)
	for i := range c.records {
		c.overlay[c.records[i].id] = c.records[i].record
	}
}

// readRecord returns the record with what this change has made of it. ErrNotExist, also if the
// job was deleted.
func (c *change) readRecord(id uuid.UUID) (record, error) { return hidden(c.readKept(id)) }

// readKept is readRecord, but for a job that was deleted and that is still needed returns its
// record.
func (c *change) readKept(id uuid.UUID) (record, error) {
	if r, ok := c.overlay[id]; ok {
		return r, nil
	}
	if r, ok := c.store.records.get(id); ok {
		return r, nil
	}
	r, err := c.lookUp(id)
	if err == nil && r.State != queue.Running {
		c.store.records.put(id, r)
	}
	return r, err
}

// lookUp reads a record that memory does not have.
func (c *change) lookUp(id uuid.UUID) (record, error) {
	if c.lookups != nil {
		if r, found, err := c.lookups.record(id); err != nil || found {
			return r, err
		}
		// It may have none: see record.asEnqueued.
	}
	return c.store.readKept(id)
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
