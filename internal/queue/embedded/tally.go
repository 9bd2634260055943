package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// laneNumber stands for a lane in records, so that each knows its lane at the cost of a byte or
// two. 0 is none.
type laneNumber uint32

// tally is what is known of all the jobs of one lane. It is in memory, and a change of it is
// written to its c key with what it counts, so that it is exact after a crash without counting
// anything again. What jobs are running is known when the store is open, and which others are
// ready follows: a claim and what takes it back write no c key.
type tally struct {
	lane   queue.Lane
	number laneNumber
	counts queue.Counts // guarded by Store.mu
	// by is guarded by Store.mu: what the change that is being made adds to counts.
	by       queue.Counts
	bytes    int64          // guarded by Store.mu; of the args of the jobs that are not over
	byBytes  int64          // guarded by Store.mu; what the same change adds to bytes
	happened queue.Happened // guarded by Store.mu; by the same change
	touched  bool           // guarded by Store.mu; the change has by in its tallied
	meters   queue.Meters   // guarded by Store.mu; since the store was opened
}

func (t *tally) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.uint(uint64(t.number))
	e.uint(uint64(t.counts.Total()))
	for _, state := range storedCounts() {
		e.uint(uint64(t.counts[state]))
	}
	e.uint(uint64(t.bytes))
	return e
}

// storedCounts are the states of which a c key has the numbers, after that of all jobs.
func storedCounts() [5]queue.State {
	return [...]queue.State{queue.Scheduled, queue.Blocked, queue.Finished, queue.Failed, queue.Canceled}
}

// decodeTally returns the tally as if no job were running: those are Pending. A store of a format
// before formatWithBytes has no bytes.
func decodeTally(key, value []byte, format byte) (*tally, error) {
	d := decoder{left: value}
	t := &tally{number: laneNumber(d.uint())}
	t.counts[queue.Pending] = int64(d.uint())
	for _, state := range storedCounts() {
		t.counts[state] = int64(d.uint())
		t.counts[queue.Pending] -= t.counts[state]
	}
	if format >= formatWithBytes {
		t.bytes = int64(d.uint())
	}
	var ok bool
	if t.lane, ok = laneOfTallyKey(key); !ok || t.number == 0 {
		d.broken = true
	}
	return t, d.done("the counts of a lane", uuid.Nil)
}

// tallies has the tally of every lane that has jobs.
type tallies struct {
	byLane   map[queue.Lane]*tally
	byNumber map[laneNumber]*tally
	newest   laneNumber // no lane has a greater one
	sorted   []*tally   // by channel and then by type
}

func (t *tallies) add(lane *tally) {
	t.byLane[lane.lane] = lane
	at, _ := t.find(lane.lane)
	t.sorted = slices.Insert(t.sorted, at, lane)
	t.byNumber[lane.number] = lane
	t.newest = max(t.newest, lane.number)
}

func (t *tallies) remove(lane *tally) {
	delete(t.byLane, lane.lane)
	delete(t.byNumber, lane.number)
	if at, found := t.find(lane.lane); found {
		t.sorted = slices.Delete(t.sorted, at, at+1)
	}
}

// find returns where a lane is, or would be, among the sorted ones.
func (t *tallies) find(lane queue.Lane) (at int, found bool) {
	return slices.BinarySearchFunc(t.sorted, lane, func(t *tally, lane queue.Lane) int { return compareLanes(t.lane, lane) })
}

func compareLanes(a, b queue.Lane) int {
	return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Type, b.Type))
}

// loadTallies reads the counts of all lanes.
func (s *Store) loadTallies() error {
	s.tallies = tallies{byLane: make(map[queue.Lane]*tally), byNumber: make(map[laneNumber]*tally)}
	err := s.scan([]byte{prefixTally}, []byte{prefixTally + 1}, func(key, value []byte) (bool, error) {
		t, err := decodeTally(key, value, formatVersion)
		if err != nil {
			return false, err // nothing could be counted, nor said which lane a job is in
		}
		s.tallies.add(t)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read the counts of the lanes: %w", err)
	}
	return nil
}

// laneNumber returns the number of a lane, which the change gives it if it had no job.
func (c *change) laneNumber(lane queue.Lane) laneNumber {
	s := c.store
	t := s.tallies.byLane[lane]
	if t == nil {
		t = &tally{lane: lane, number: s.tallies.newest + 1}
		s.tallies.add(t)
		c.tally(t)
	}
	return t.number
}

// tally has the change take t to disk, if it comes to anything.
func (c *change) tally(t *tally) {
	if !t.touched {
		t.touched = true
		c.tallied = append(c.tallied, t)
	}
}

// count counts the job whose record is written as what it is, instead of what it was counted as.
// A deleted one is not counted.
func (c *change) count(id uuid.UUID, r *record) {
	state := r.State
	if r.deleted {
		state = 0
	}
	if r.counted == state {
		return
	}
	t := c.store.tallies.byNumber[r.lane]
	if t == nil {
		return // its lane could not be read; the audit tells
	}
	c.tally(t)
	t.happened.Note(r.counted, state)
	c.counted(t, r.counted, state)
	t.by[r.counted]--
	t.by[state]++
	t.by[0] = 0 // what is not counted
	switch was, is := isOpen(r.counted), isOpen(state); {
	case is && !was:
		t.byBytes += c.sizeOf(id, r)
	case was && !is:
		t.byBytes -= c.sizeOf(id, r)
	}
	r.counted = state
}

// isOpen reports whether a job is not over that is counted as something.
func isOpen(counted queue.State) bool { return counted != 0 && !counted.Over() }

// sizeOf returns how large a job's args are, in bytes; 0 of one that cannot be read, of which the
// audit tells.
func (c *change) sizeOf(id uuid.UUID, r *record) int64 {
	if r.size != 0 {
		return r.size
	}
	j, err := c.store.readJob(id, false)
	if err != nil && !isDamage(err) {
		c.unread = errors.Join(c.unread, fmt.Errorf("read how large job %s is: %w", id, err))
	}
	r.size = j.size
	return r.size
}

// writeTallies writes what the change has counted. The change cannot fail after that, except
// with the whole store.
func (c *change) writeTallies() {
	for _, t := range c.tallied {
		stored := t.by[queue.Pending]+t.by[queue.Running] != 0 || t.byBytes != 0 || t.counts == (queue.Counts{})
		for state, n := range t.by {
			t.counts[state] += n
			stored = stored || n != 0 && state != int(queue.Pending) && state != int(queue.Running)
		}
		if t.bytes += t.byBytes; t.counts.Open() == 0 {
			t.bytes = 0 // whatever was lost with jobs that could not be read
		}
		t.meters.Add(&t.happened, c.clock)
		t.by, t.byBytes, t.happened, t.touched = queue.Counts{}, 0, queue.Happened{}, false
		if !stored {
			continue
		}
		key := laneKey(c.key[:0], prefixTally, t.lane)
		if t.counts == (queue.Counts{}) {
			// Its number may be given to another lane, since no job has it any more.
			c.delete(key)
			c.store.tallies.remove(t)
			delete(c.store.lanes, t.lane) // it may have thought that there are more on disk
			continue
		}
		c.set(key, t.encode(c.value[:0]))
	}
	c.tallied = c.tallied[:0]
}

// forgetTallies undoes what a change has counted that is not made.
func (c *change) forgetTallies() {
	for _, t := range c.tallied {
		t.by, t.byBytes, t.happened, t.touched = queue.Counts{}, 0, queue.Happened{}, false
		if t.counts == (queue.Counts{}) {
			c.store.tallies.remove(t)
		}
	}
	c.tallied = c.tallied[:0]
}
