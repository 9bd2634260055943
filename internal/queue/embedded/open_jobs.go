package embedded

import (
	"context"

	"github.com/longshore-queue/longshore/internal/queue"
)

// OpenJobs returns how much each of the channels has of jobs that are not over. It adds up the lanes
// of the channels, and reads nothing.
func (s *Store) OpenJobs(_ context.Context, channels []string) (map[string]queue.Amount, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	open := make(map[string]queue.Amount, len(channels))
	for _, channel := range channels {
		if n := s.openJobs(channel); n.Jobs > 0 {
			open[channel] = n
		}
	}
	return open, s.answer(nil)
}

func (s *Store) openJobs(channel string) (open queue.Amount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, _ := s.tallies.find(queue.Lane{Channel: channel}) // no lane has an empty type
	for _, t := range s.tallies.sorted[from:] {
		if t.lane.Channel != channel {
			break
		}
		open.Jobs += t.counts.Open()
		open.Bytes += t.bytes
	}
	return open
}
