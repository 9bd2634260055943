package postgres

import (
	"iter"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// group are the callers that ask for the same lanes, in the order in which they came. Thousands may sleep
// in one: no method's cost depends on how many do, but on how many it is about.
//
// Rejected: a list of those who sleep and one of those who do not. Who is claimed for while others are told
// that there is nothing falls asleep after them, and would have to be put before them.
//
// dispatcher.mu guards groups and waiters.
type group struct {
	key   string
	lanes []queue.Lane
	ends  [lists]link // the first and the last of each list, as next and previous
	dirty bool        // it is among dispatcher.dirty
	later bool        // it is to look again after pause
	pause time.Duration
	// overlapped is how many of its rounds have overlapped with another one since somebody was last told that
	// there is nothing.
	overlapped int
}

// list is one of the lists of a group.
type list int

const (
	everybody list = iota
	unaware        // those who do not know yet that there is nothing for them
	lists
)

// link is a waiter's place in a list.
type link struct{ previous, next *waiter }

// waiter is a caller.
type waiter struct {
	group   *group
	came    uint64
	want    int
	holder  queue.Holder
	once    queue.Once
	links   [lists]link
	gone    bool // it is not in the group any more
	claims  bool // the round that is under way claims for it
	looked  chan struct{}
	isAware bool // looked is closed, and it is not among the unaware any more
	given   chan given
}

// given is what a waiter gets.
type given struct {
	grants []grant
	err    error
}

func keyOf(lanes []queue.Lane) string {
	var b strings.Builder
	for _, lane := range lanes {
		b.WriteString(lane.Channel)
		b.WriteByte(0)
		b.WriteString(lane.Type)
		b.WriteByte(0)
	}
	return b.String()
}

// add puts somebody last who has just come.
func (g *group) add(w *waiter) {
	w.group = g
	g.link(w, everybody)
	g.link(w, unaware)
}

// remove takes a waiter out.
func (g *group) remove(w *waiter) {
	w.gone = true
	g.unlink(w, everybody)
	if !w.isAware {
		g.unlink(w, unaware)
	}
}

func (g *group) link(w *waiter, in list) {
	last := g.ends[in].previous
	w.links[in].previous = last
	if last == nil {
		g.ends[in].next = w
	} else {
		last.links[in].next = w
	}
	g.ends[in].previous = w
}

func (g *group) unlink(w *waiter, in list) {
	at := w.links[in]
	if at.previous == nil {
		g.ends[in].next = at.next
	} else {
		at.previous.links[in].next = at.next
	}
	if at.next == nil {
		g.ends[in].previous = at.previous
	} else {
		at.next.links[in].previous = at.previous
	}
	w.links[in] = link{}
}

// first is who came first of a list; nil if there is nobody.
func (g *group) first(in list) *waiter { return g.ends[in].next }

// isEmpty reports whether nobody is left. Then nobody will join it any more: who comes makes another one.
func (g *group) isEmpty() bool { return g.first(everybody) == nil }

// each yields those in a list, first come first. The one that was yielded may be taken out.
func (g *group) each(in list) iter.Seq[*waiter] {
	return func(yield func(*waiter) bool) {
		for w := g.first(in); w != nil; {
			next := w.links[in].next
			if !yield(w) {
				return
			}
			w = next
		}
	}
}

// tell has those know who came until then that there is nothing for them, apart from those whom the
// round that is under way may have something for.
func (g *group) tell(until uint64) {
	for w := range g.each(unaware) {
		if w.came > until {
			break
		}
		if !w.claims {
			w.isAware = true
			g.unlink(w, unaware)
			close(w.looked)
		}
	}
}

// hasUnaware reports whether somebody who came until then does not know yet that there is nothing.
func (g *group) hasUnaware(until uint64) bool {
	w := g.first(unaware)
	return w != nil && w.came <= until
}
