package embedded

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// ChannelsOf returns the channel of each job, "" of one that does not exist. One that was deleted
// a moment ago may have its channel yet.
func (s *Store) ChannelsOf(_ context.Context, ids []uuid.UUID) ([]string, error) {
	return s.channels(ids, func(id uuid.UUID) (uuid.UUID, error) { return id, nil })
}

// LeaseChannels returns the channel of each lease's job, live or over; "" if no lease ever had the
// token.
func (s *Store) LeaseChannels(_ context.Context, tokens []uuid.UUID) ([]string, error) {
	return s.channels(tokens, func(token uuid.UUID) (uuid.UUID, error) {
		if l := s.leases.get(token); l != nil {
			return l.jobID, nil
		}
		ended, err := s.readEndedLease(token)
		return ended.JobID, err
	})
}

// channels returns the channels of the jobs that things are about.
func (s *Store) channels(things []uuid.UUID, jobOf func(uuid.UUID) (uuid.UUID, error)) ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	channels := make([]string, len(things))
	for i, thing := range things {
		id, err := jobOf(thing)
		var j job
		if err == nil {
			j, err = s.readJob(id, false)
		}
		if err != nil && !errors.Is(err, queue.ErrNotExist) {
			return nil, err
		}
		channels[i] = j.Channel
	}
	return channels, nil
}
