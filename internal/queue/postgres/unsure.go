package postgres

import (
	"context"
	"time"
)

const (
	// lockedPause is how long to wait before looking again at jobs that others have locked, and
	// longestPause after many times.
	lockedPause  = time.Millisecond
	longestPause = 100 * time.Millisecond
)

// lookAgain finds out whether those who got nothing in rounds can sleep: whether their lines are empty,
// and nothing was made ready elsewhere since they came. That asks the database, for all at once who have
// gathered while it was asked for others: otherwise who came last of thousands would wait for as many
// questions.
func (d *dispatcher) lookAgain(parts []*roundOf) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unsure = append(d.unsure, parts...)
	if !d.looking {
		d.looking = true
		d.store.life.background(func(ctx context.Context) {
			for d.lookAgainOnce(ctx) {
			}
		})
	}
}

// lookAgainOnce is lookAgain for all who have gathered; false if there are none.
func (d *dispatcher) lookAgainOnce(ctx context.Context) bool {
	parts, at := d.takeUnsure()
	if len(parts) == 0 {
		return false
	}
	var firsts map[line]int64
	var err error
	if len(at.lanes) > 0 {
		firsts, err = d.store.lookAgain(ctx, at)
	}
	if err == nil {
		err = d.store.tail.sync(ctx)
	}
	if err != nil {
		d.store.tail.doubt(err) // what somebody else had locked may be there for those who sleep
		d.fail(parts, err)
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	left, narrow := make(map[*group]bool), make(map[*group]bool)
	for _, part := range parts {
		is := part.order.search.drained(firsts)
		left[part.group] = is || left[part.group]
		narrow[part.group] = is && part.order.isNarrow() || narrow[part.group]
		part.order.search.letGo()
		d.synced = max(d.synced, part.began)
	}
	for g, is := range left {
		switch {
		case !is:
			g.pause = 0
		case narrow[g]:
			g.pause = max(g.pause, lockedPause)
			d.mark(g) // what it has not looked at may not be locked
			d.store.rounds.kick()
		default:
			d.lookLater(g)
		}
	}
	for _, part := range parts {
		if !part.group.dirty { // else there is something that was not known, and they look once more
			part.group.tell(part.began)
		}
	}
	return true
}

// takeUnsure returns the rounds that have gathered, and where there may be something left of what they
// have looked for.
func (d *dispatcher) takeUnsure() (parts []*roundOf, at *searched) {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts, d.unsure = d.unsure, nil
	d.looking = len(parts) > 0
	at = new(searched)
	for _, part := range parts {
		at.addNewest(&part.order.search)
	}
	return parts, at
}

// lookLater has a group look again at jobs that others have locked, which may give them back. mu is
// held.
func (d *dispatcher) lookLater(g *group) {
	if g.later {
		return
	}
	g.later = true
	g.pause = min(max(2*g.pause, lockedPause), longestPause)
	time.AfterFunc(g.pause, func() {
		d.mu.Lock()
		g.later = false
		d.mark(g)
		d.mu.Unlock()
		d.store.rounds.kick()
	})
}
