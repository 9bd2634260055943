package client

import (
	"sync"
	"time"
)

// Bounds of what goes together in one request. What is larger than maxShare goes alone: it
// gains little from company, and would keep small ones waiting. All of it stays well below the
// smallest body that a server, or a proxy, can be expected to take.
const (
	gatherTime = 2 * time.Millisecond
	maxShare   = 32 << 10
	maxGather  = 256 << 10
	maxMany    = 500 // half of what the contract allows
)

// gathering brings together what several goroutines want to send at about the same time. It
// never holds anything back for longer than gatherTime, and not at all when everybody who may
// want to send something does so already.
//
// Gathering until the request before has been answered would make larger ones under load, but
// a report would wait for as long as that request hangs.
type gathering[T any] struct {
	mu      sync.Mutex // guards the rest, and what is in an open batch
	open    *batch[T]  // nil if there is none
	awaited int        // those who have entered and not joined
}

// batch is what goes together. It is open until complete is closed.
type batch[T any] struct {
	items    []T
	bytes    int
	complete chan struct{}
	taken    bool // by the one who sends it
}

// enter announces n who may join soon, and are waited for.
func (g *gathering[T]) enter(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaited += n
}

// leave is called by one who has entered and will not join.
func (g *gathering[T]) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaited--
	g.closeIfAllCame()
}

// join is called by one who has entered. It blocks, at most for gatherTime, until the item is
// to be sent, and returns all that are to be sent with it to one of those who joined; nil to
// the others, who need not do anything.
func (g *gathering[T]) join(item T, size int) []T {
	b := g.add(item, size)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.complete:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.close(b)
	if b.taken {
		return nil
	}
	b.taken = true
	return b.items
}

func (g *gathering[T]) add(item T, size int) *batch[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.open; b != nil && (len(b.items) >= maxMany || b.bytes+size > maxGather) {
		g.close(b)
	}
	if g.open == nil {
		g.open = &batch[T]{complete: make(chan struct{})}
	}
	b := g.open
	b.items = append(b.items, item)
	b.bytes += size
	g.awaited--
	g.closeIfAllCame()
	return b
}

func (g *gathering[T]) closeIfAllCame() {
	if g.open != nil && g.awaited <= 0 {
		g.close(g.open)
	}
}

// close lets nobody else join the batch.
func (g *gathering[T]) close(b *batch[T]) {
	if g.open == b {
		g.open = nil
		close(b.complete)
	}
}
