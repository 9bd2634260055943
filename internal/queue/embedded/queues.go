package embedded

import (
	"context"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// queuesAtOnce is how many lanes are looked at before somebody else may have the mutex.
const queuesAtOnce = 256

// Queues returns a page of the lanes that have jobs. It reads nothing but, of each lane of the
// page, which of its ready jobs was enqueued first.
func (s *Store) Queues(_ context.Context, listing queue.LaneListing) (queue.LanePage, error) {
	if err := listing.Validate(); err != nil {
		return queue.LanePage{}, err
	}
	if err := s.enter(); err != nil {
		return queue.LanePage{}, err
	}
	defer s.leave()
	page, fronts := s.queues(&listing)
	if err := s.findOldest(page.Queues, fronts); err != nil {
		return queue.LanePage{}, s.answer(err)
	}
	return page, s.answer(nil)
}

// findOldest fills in since when the oldest ready job of each lane is ready.
func (s *Store) findOldest(lanes []queue.LaneInfo, fronts []front) error {
	ready, err := s.openCursor([]byte{prefixReady}, []byte{prefixReady + 1})
	if err != nil {
		return err
	}
	for i := range lanes {
		if lanes[i].OldestReady, err = s.readySince(ready, &fronts[i]); err != nil {
			break
		}
	}
	return ready.close(err)
}

func (s *Store) queues(listing *queue.LaneListing) (page queue.LanePage, fronts []front) {
	filter := queue.Filter{Types: listing.Types, Channels: listing.Channels}
	now := s.clock()
	page.Now = storedTime(now)
	var last queue.Lane
	for more := true; more; {
		func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			// Lanes may have come and gone since.
			from, found := s.tallies.find(last)
			if found {
				from++
			}
			some := s.tallies.sorted[from:]
			if more = len(some) > queuesAtOnce; more {
				some = some[:queuesAtOnce]
			}
			for _, t := range some {
				last = t.lane
				if !filter.MatchesLane(t.lane) {
					continue
				}
				page.Total.Add(&t.counts)
				if compareLanes(t.lane, listing.After) <= 0 {
					continue
				}
				if len(page.Queues) == listing.Limit {
					page.More = true
					continue
				}
				info := queue.LaneInfo{Lane: t.lane, Counts: t.counts, Bytes: t.bytes}
				t.meters.Fill(&info, now)
				page.Queues = append(page.Queues, info)
				fronts = append(fronts, s.frontOf(t.lane))
			}
		}()
	}
	return page, fronts
}

// front is where the ready jobs of a lane begin: the first one of each priority, of those that
// are in memory, and where to look for the others.
type front struct {
	lane   queue.Lane
	firsts []readyJob
	next   position // look from there on, if more is set
	more   bool
}

// frontOf returns the front of a lane. s.mu is held.
func (s *Store) frontOf(name queue.Lane) front {
	f := front{lane: name}
	l := s.lanes[name]
	if l == nil {
		return f
	}
	for i := range l.window {
		if last := len(f.firsts) - 1; last < 0 || f.firsts[last].at.rank != l.window[i].at.rank {
			f.firsts = append(f.firsts, l.window[i])
		}
	}
	f.more = l.more
	f.next = position{rank: l.end.rank, place: l.end.place + 1}
	if last := len(f.firsts) - 1; last >= 0 && f.firsts[last].at.rank == l.end.rank {
		f.next = position{rank: l.end.rank + 1} // of that rank the first one is known
	}
	return f
}

// readySince returns since when the job has been ready that was enqueued first; zero if there is
// none. It leaps from priority to priority.
func (s *Store) readySince(ready cursor, f *front) (time.Time, error) {
	var (
		oldest readyJob
		found  bool
		queued time.Time // of the oldest, if its entry tells
	)
	consider := func(j readyJob, at time.Time) {
		if !found || j.at.place < oldest.at.place {
			oldest, queued, found = j, at, true
		}
	}
	for _, j := range f.firsts {
		consider(j, time.Time{})
	}
	for more := f.more; more; {
		more = false
		err := ready.scan(readyKey(nil, f.lane, f.next), after(laneKey(nil, prefixReady, f.lane)), func(key, value []byte) (bool, error) {
			_, at, ok := laneOfReadyKey(key)
			id, queued, err := decodeReady(value)
			if !ok || err != nil {
				return true, nil // the audit tells
			}
			consider(readyJob{at: at, id: id}, queued)
			f.next, more = position{rank: at.rank + 1}, at.rank < 2*queue.MaxPriority
			return false, nil
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	if !found || !queued.IsZero() {
		return queued, nil
	}
	r, err := s.readRecord(oldest.id)
	if isDamage(err) {
		return time.Time{}, nil // it is not ready any more, or nobody can run it
	}
	if r.RunAt.After(r.Queued) {
		return r.RunAt, err
	}
	return r.Queued, err
}
