package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// changed is what one transaction has made of one job.
type changed struct {
	id      uuid.UUID
	place   int64
	lane    int32
	rank    int16
	was     queue.State // 0 if the job is new
	state   queue.State
	attempt uint64
	version uint64
	deleted bool // then state is what it was
	// What only the server knows that has made the change, for its observer: how a lease has ended, and
	// since when it has lasted, or since when the job has waited for its first one; zero if it does not.
	end   queue.End
	since time.Time
}

// apply has this server know what was changed in the database, by itself or by another one: it
// wakes those who wait for it, counts it, and tells those who read events.
func (s *Store) apply(ctx context.Context, at time.Time, changes []changed) {
	if len(changes) == 0 {
		return
	}
	s.claims.noticeAll(changes)
	happened := make(map[int32]*queue.Happened)
	for i := range changes {
		c := &changes[i]
		lane, err := s.laneOf(ctx, c.lane)
		if err != nil {
			lane = queue.Lane{} // the database is gone; who reads events is told of the job at least
		}
		s.events.Append(queue.Event{
			JobID: c.id, Lane: lane, State: c.state, Attempt: c.attempt, Version: c.version, At: at, Deleted: c.deleted,
		})
		s.changed.Notify(c.id)
		if c.state == queue.Scheduled {
			s.keeper.kick()
		}
		if c.deleted || c.was == c.state {
			continue
		}
		if happened[c.lane] == nil {
			happened[c.lane] = new(queue.Happened)
		}
		happened[c.lane].Note(c.was, c.state)
	}
	s.rates.add(happened, at)
}

// applyOwn is apply for what this server has changed; the others are told that there is something.
func (s *Store) applyOwn(ctx context.Context, at time.Time, changes []changed) {
	if len(changes) == 0 {
		return
	}
	first := s.tail.doubts.first(changes)
	s.apply(ctx, at, first)
	s.observe(ctx, at, first)
	s.notifier.poke()
}
