package embedded

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Demand returns how many ready jobs a worker could take now.
func (s *Store) Demand(_ context.Context, demand queue.Demand) (queue.DemandAnswer, error) {
	if err := demand.Validate(); err != nil {
		return queue.DemandAnswer{}, err
	}
	if err := s.enter(); err != nil {
		return queue.DemandAnswer{}, err
	}
	defer s.leave()
	lanes := queue.DequeueRequest{Types: demand.Types, Channels: demand.Channels}.Lanes()
	answer := queue.DemandAnswer{Exact: true}
	if len(demand.Labels) == 0 {
		s.mu.Lock()
		for _, lane := range lanes {
			if t := s.tallies.byLane[lane]; t != nil {
				answer.Ready += t.counts[queue.Pending]
			}
		}
		s.mu.Unlock()
		return answer, s.answer(nil)
	}
	filter := queue.Filter{Labels: demand.Labels}
	looked := 0
	for _, lane := range lanes {
		err := s.scanReady(lane, func(_ position, id uuid.UUID) (bool, error) {
			looked++
			if looked > queue.MaxDemand {
				answer.Exact = false
				return false, nil
			}
			j, err := s.readJob(id, false)
			if isDamage(err) {
				return true, nil
			}
			if err == nil && filter.MatchesLabels(j.Labels) {
				answer.Ready++
			}
			return true, err
		})
		if err != nil {
			return queue.DemandAnswer{}, s.answer(err)
		}
	}
	return answer, s.answer(nil)
}

// scanReady calls use with the ready jobs of a lane, in their order, until it returns false or an
// error. It begins where memory knows the first one to be, and not at the front on disk, which is
// a field of tombstones.
func (s *Store) scanReady(lane queue.Lane, use func(at position, id uuid.UUID) (bool, error)) error {
	s.mu.Lock()
	f := s.frontOf(lane)
	s.mu.Unlock()
	switch {
	case len(f.firsts) > 0:
		f.next = f.firsts[0].at
	case !f.more:
		return nil
	}
	return s.scan(readyKey(nil, lane, f.next), after(laneKey(nil, prefixReady, lane)), func(key, value []byte) (bool, error) {
		_, at, ok := laneOfReadyKey(key)
		id, _, err := decodeReady(value)
		if !ok || err != nil {
			return true, nil // the audit tells
		}
		return use(at, id)
	})
}
