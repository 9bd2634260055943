package client

import (
	"context"
	"sync"
)

// slots are how many more jobs a worker may take up.
//
// A report that is sent together with the request for the next jobs gives its slot to that
// request before it is acknowledged: its handler has returned. If it turns out that the report
// has to be repeated, it owes the slot until it is made, so that a server which hands out jobs
// but takes no reports is soon asked for no more.
type slots struct {
	mu    sync.Mutex    // guards free, freed
	free  int           // less than 0 if more are owed than are free
	freed chan struct{} // closed and replaced when some become free
}

func newSlots(n int) *slots { return &slots{free: n, freed: make(chan struct{})} }

// take takes one slot at least, and most at most, and blocks until it can; 0 if ctx ends first.
func (s *slots) take(ctx context.Context, most int) int {
	for ctx.Err() == nil {
		n, freed := s.tryTake(most)
		if n > 0 {
			return n
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return 0
}

// tryTake does not block. If there is no slot it returns a channel that is closed when some
// become free.
func (s *slots) tryTake(most int) (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(0, min(s.free, most))
	s.free -= n
	return n, s.freed
}

// swap gives n slots and takes as many as it can get, at most most; if it cannot get any, it
// gives none either. It does not block.
func (s *slots) swap(n, most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := min(s.free+n, most)
	if taken <= 0 {
		return 0
	}
	s.add(n - taken)
	return taken
}

// put gives n slots back; less than 0 owes them.
func (s *slots) put(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(n)
}

// add needs the mutex.
func (s *slots) add(n int) {
	s.free += n
	if n > 0 && s.free > 0 {
		close(s.freed)
		s.freed = make(chan struct{})
	}
}

// slot is the one that a run holds.
type slot struct {
	joined bool // its report is with others, or was
	given  bool // it is the next run's already
}
