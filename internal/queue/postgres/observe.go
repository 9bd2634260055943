package postgres

import (
	"context"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Observer is told what this server does, not what others on the same database do. Its methods do not
// block: everybody's round waits for them.
type Observer interface {
	// Moved is told what one change has made of jobs, once it is committed. The slice is not used any
	// more after that.
	Moved(moves []queue.Move)
	// Claimed is told of a lease how long the round took that granted it; of one that was asked for by its job's id,
	// how long it took from the choice of the job until that was committed.
	Claimed(took time.Duration)
	// Round is told of a round how long it took, how many callers it was for, and whether it has failed.
	Round(took time.Duration, callers int, failed bool)
}

// observe tells what this server has changed.
func (s *Store) observe(ctx context.Context, at time.Time, changes []changed) {
	if s.observer == nil {
		return
	}
	moves := make([]queue.Move, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		m := queue.Move{From: c.was, To: c.state, End: c.end, Took: -1}
		switch {
		case c.deleted:
			m.From, m.To = c.state, 0
		case c.was == c.state:
			continue
		case !c.since.IsZero():
			m.Took = max(0, at.Sub(c.since))
		}
		lane, err := s.laneOf(ctx, c.lane)
		if err != nil {
			continue // the database has gone since, and this server never knew the lane
		}
		m.Lane = lane
		moves = append(moves, m)
	}
	if len(moves) > 0 {
		s.observer.Moved(moves)
	}
}

// observeRound tells of a round that has come back from the database.
func (s *Store) observeRound(parts []part, took time.Duration, err error) {
	callers := 0
	for _, p := range parts {
		callers += p.calls()
		claims, is := p.(*claimPart)
		if !is || err != nil {
			continue
		}
		for _, g := range claims.groups {
			for range g.order.grants {
				s.observer.Claimed(took)
			}
		}
	}
	s.observer.Round(took, callers, err != nil)
}

// Stats are figures of a server's connections, as they are now.
type Stats struct {
	Connections, Busy, Most int32 // open, in use, allowed
	Acquired, Waited        int64 // how often one was taken, and how often somebody had to wait for it
	WaitTime                time.Duration
	// Deaf tells that the connection that hears of other servers is missing.
	Deaf bool
}

// Stats returns figures of the store.
func (s *Store) Stats() Stats {
	p := s.pool.Stat()
	return Stats{
		Connections: p.TotalConns(), Busy: p.AcquiredConns(), Most: p.MaxConns(),
		Acquired: p.AcquireCount(), Waited: p.EmptyAcquireCount(), WaitTime: p.EmptyAcquireWaitTime(),
		Deaf: !s.noListen && !s.notifier.listens.Load(),
	}
}
