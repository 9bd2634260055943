package wait

import (
	"context"
	"sync"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Line holds the callers that wait for a job, of type Request, each in the lines of all its
// lanes at once. A job is handed over, not announced: Take removes one waiter from all its
// lines, and Give hands it a Grant. So no job wakes two callers, none wakes in vain, and a
// waiter that is gone cannot be chosen.
//
// Rejected: waking a waiter to let it look for itself. It costs a second change of the store,
// and a waiter of several lanes that was woken for one job may take another, so that somebody
// must be woken again for the first.
//
// The zero Line is ready to use. All methods are safe for concurrent use.
type Line[Request, Grant any] struct {
	mu    sync.Mutex // guards lanes, and the links and inLine of every waiter
	lanes map[queue.Lane]*lane[Request, Grant]
}

// lane is the line of one lane: a doubly linked list, first come first.
type lane[Request, Grant any] struct {
	first, last *place[Request, Grant]
}

// place is one waiter's place in one lane.
type place[Request, Grant any] struct {
	waiter         *Waiter[Request, Grant]
	lane           queue.Lane
	previous, next *place[Request, Grant]
}

// Waiter is one caller in line.
type Waiter[Request, Grant any] struct {
	Request Request // as given to Join

	line   *Line[Request, Grant]
	places []place[Request, Grant]
	inLine bool
	given  chan Grant // holds the one grant that a waiter can get
}

// Join puts a caller at the end of the line of each lane. It must call Wait next.
func (l *Line[Request, Grant]) Join(lanes []queue.Lane, request Request) *Waiter[Request, Grant] {
	w := &Waiter[Request, Grant]{
		Request: request,
		line:    l,
		places:  make([]place[Request, Grant], len(lanes)),
		inLine:  true,
		given:   make(chan Grant, 1),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		l.lanes = make(map[queue.Lane]*lane[Request, Grant])
	}
	for i, name := range lanes {
		p := &w.places[i]
		p.waiter, p.lane = w, name
		in := l.lanes[name]
		if in == nil {
			in = new(lane[Request, Grant])
			l.lanes[name] = in
		}
		p.previous = in.last
		if in.last == nil {
			in.first = p
		} else {
			in.last.next = p
		}
		in.last = p
	}
	return w
}

// Take removes the waiter that is first in the lane's line, from all its lines; false if
// nobody waits there. The waiter must be given a grant: until then its Wait does not return.
func (l *Line[Request, Grant]) Take(name queue.Lane) (*Waiter[Request, Grant], bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.lanes[name]
	if in == nil {
		return nil, false
	}
	w := in.first.waiter
	l.remove(w)
	return w, true
}

// remove takes w out of all its lines. l.mu is held.
func (l *Line[Request, Grant]) remove(w *Waiter[Request, Grant]) {
	w.inLine = false
	for i := range w.places {
		p := &w.places[i]
		in := l.lanes[p.lane]
		if p.previous == nil {
			in.first = p.next
		} else {
			p.previous.next = p.next
		}
		if p.next == nil {
			in.last = p.previous
		} else {
			p.next.previous = p.previous
		}
		if in.first == nil {
			delete(l.lanes, p.lane)
		}
	}
	w.places = nil
}

// Give hands a waiter that was taken its grant. It does not block.
func (w *Waiter[Request, Grant]) Give(grant Grant) { w.given <- grant }

// Wait blocks until the waiter is given a grant, or ctx or closing ends: then false, and the
// waiter is out of all its lines. A waiter that was taken by then gets its grant all the same.
func (w *Waiter[Request, Grant]) Wait(ctx context.Context, closing <-chan struct{}) (Grant, bool) {
	select {
	case grant := <-w.given:
		return grant, true
	case <-ctx.Done():
	case <-closing:
	}
	if w.leave() {
		var none Grant
		return none, false
	}
	return <-w.given, true
}

// leave takes the waiter out of line; false if it was taken already.
func (w *Waiter[Request, Grant]) leave() bool {
	w.line.mu.Lock()
	defer w.line.mu.Unlock()
	if !w.inLine {
		return false
	}
	w.line.remove(w)
	return true
}
