package embedded

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// firstRefill is how many ready jobs of a lane are read from disk the first time; each further
// refill reads twice as many, up to limits.windowRefill. A worker that asks for hundreds of
// lanes has all of them read at once, and takes one job.
const firstRefill = 8

// readyJob is one entry of the ready index.
type readyJob struct {
	at position
	id uuid.UUID
}

// lane is the part of one lane's ready index that is in memory: a window over its front.
//
// What holds, under Store.mu: window has every ready job of the lane whose position is at most
// end, in order. If more is false the lane has no others; if it is true, there may be others
// on disk, all of them after end. So a refill begins after end and never walks over what was
// consumed: the front of a queue on disk is a field of tombstones.
type lane struct {
	name   queue.Lane
	window []readyJob
	end    position
	more   bool
	refill int // how many jobs were read at once last; 0 if none yet
}

// add takes notice of a job that has become ready and stands on disk. If the window gets
// larger than twice keep, it is cut down to keep. It tells whether the job is in the window.
func (l *lane) add(j readyJob, keep int) (inWindow bool) {
	if j.at.compare(l.end) > 0 {
		if l.more {
			return false // a refill will find it
		}
		l.end = j.at
	}
	index, found := l.find(j.at)
	if found {
		return true
	}
	l.window = slices.Insert(l.window, index, j)
	if len(l.window) > 2*keep {
		l.window = slices.Clone(l.window[:keep])
		l.end = l.window[keep-1].at
		l.more = true
	}
	return j.at.compare(l.end) <= 0
}

// remove takes notice of a job that is not ready any more.
func (l *lane) remove(at position) {
	index, found := l.find(at)
	switch {
	case !found: // beyond the window
	case len(l.window) == 1:
		l.window = nil // and what it was made in, since nobody may ask for what is beyond it
	case index == 0:
		l.window = l.window[1:]
	default:
		l.window = slices.Delete(l.window, index, index+1)
	}
}

func (l *lane) find(at position) (index int, found bool) {
	// The ends first: nearly all jobs are added at the back and removed at the front.
	switch n := len(l.window); {
	case n == 0 || at.compare(l.window[n-1].at) > 0:
		return n, false
	case at == l.window[0].at:
		return 0, true
	}
	return slices.BinarySearchFunc(l.window, at, func(j readyJob, at position) int { return j.at.compare(at) })
}

// empty reports whether the lane has no ready job, so that it need not be remembered.
func (l *lane) empty() bool { return len(l.window) == 0 && !l.more }

// addReady notices in memory that a job of the lane is ready, and tells whether it is in the
// lane's window. s.mu is held.
func (s *Store) addReady(name queue.Lane, j readyJob) bool {
	l := s.lanes[name]
	if l == nil {
		l = &lane{name: name}
		s.lanes[name] = l
	}
	return l.add(j, s.limits.windowRefill)
}

// removeReady notices in memory that a job of the lane is not ready any more. s.mu is held.
func (s *Store) removeReady(name queue.Lane, at position) {
	l := s.lanes[name]
	if l == nil {
		return
	}
	l.remove(at)
	if l.empty() {
		delete(s.lanes, name)
	}
}

// firstReady returns the job that stands first of all that are ready in the lanes,
// and its lane; nil if there is none. s.mu is held.
func (s *Store) firstReady(names []queue.Lane) (*lane, readyJob, error) {
	var first *lane
	for _, name := range names {
		l := s.lanes[name]
		if l == nil {
			continue
		}
		if err := s.refill(l); err != nil {
			return nil, readyJob{}, err
		}
		if len(l.window) > 0 && (first == nil || l.window[0].at.compare(first.window[0].at) < 0) {
			first = l
		}
	}
	if first == nil {
		return nil, readyJob{}, nil
	}
	return first, first.window[0], nil
}

// refill reads on from disk if the window is used up. s.mu is held.
func (s *Store) refill(l *lane) error {
	if len(l.window) > 0 || !l.more {
		return nil
	}
	l.refill = min(max(2*l.refill, firstRefill), s.limits.windowRefill)
	window := make([]readyJob, 0, l.refill)
	var number laneNumber
	if t := s.tallies.byLane[l.name]; t != nil {
		number = t.number
	}
	var stored []uuid.UUID // those that have an s key
	// The key after that of end.
	from := append(readyKey(nil, l.name, l.end), 0)
	err := s.scan(from, after(laneKey(nil, prefixReady, l.name)), func(key, value []byte) (bool, error) {
		_, at, ok := laneOfReadyKey(key)
		id, queued, err := decodeReady(value)
		if !ok || err != nil {
			// The job cannot be found by this entry; the others can.
			s.log.Error(queue.ErrDamaged, "an entry of the ready index is damaged; it is passed over",
				"channel", l.name.Channel, "type", l.name.Type)
			return true, nil
		}
		window = append(window, readyJob{at: at, id: id})
		if queued.IsZero() {
			stored = append(stored, id)
		} else {
			s.records.put(id, enqueuedRecord(number, queued, at.priority()))
		}
		return len(window) < l.refill, nil
	})
	if err != nil {
		return fmt.Errorf("read the ready jobs of channel %s, type %s: %w", l.name.Channel, l.name.Type, err)
	}
	l.window = window
	l.more = len(window) == l.refill
	if len(window) > 0 {
		l.end = window[len(window)-1].at
	}
	if l.empty() {
		delete(s.lanes, l.name)
	}
	return s.cacheRecords(stored)
}

// cacheRecords reads the records of a window's jobs ahead of their claims: together, because
// they are neighbours on disk, for a fraction of what as many single reads cost. s.mu is held.
func (s *Store) cacheRecords(ids []uuid.UUID) (err error) {
	if len(ids) == 0 {
		return nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixRecord}, UpperBound: []byte{prefixRecord + 1}})
	if err != nil {
		return readError(err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = readError(closeErr)
		}
	}()
	var key []byte
	for _, id := range ids {
		key = idKey(key[:0], prefixRecord, id)
		if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
			continue // the claim finds out why
		}
		value, err := it.ValueAndErr()
		if err != nil {
			continue
		}
		if r, err := decodeRecord(id, value); err == nil {
			s.records.put(id, r)
		}
	}
	return nil
}

// loadLanes finds out which lanes have ready jobs, by leaping from each to the next.
func (s *Store) loadLanes() (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixReady}, UpperBound: []byte{prefixReady + 1}})
	if err != nil {
		return readError(err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("find the lanes that have ready jobs: %w", readError(closeErr))
		}
	}()
	for valid := it.First(); valid; {
		name, _, ok := laneOfReadyKey(it.Key())
		if !ok {
			s.log.Error(queue.ErrDamaged, "an entry of the ready index is damaged; it is passed over")
			valid = it.Next()
			continue
		}
		s.lanes[name] = &lane{name: name, more: true}
		valid = it.SeekGE(after(laneKey(nil, prefixReady, name)))
	}
	return nil
}
