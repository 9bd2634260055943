package postgres

import (
	"context"

	"github.com/longshore-queue/longshore/internal/queue"
)

// sweepSize is how many lines are asked after at most when lines are swept.
const sweepSize = 10_000

// quietLine is a line in which nothing happens, and may be ready jobs.
type quietLine struct {
	*lineFront
	lane queue.Lane
	rank int16
}

// sweep forgets lines that are empty, and returns those that other servers may have emptied. It minds only
// those in which nothing has happened since it was called before.
func (f fronts) sweep() (quiet []quietLine, at searched) {
	for lane, in := range f.byLane {
		for rank, l := range in.ranks {
			switch {
			case l.held > 0:
			case !l.quiet:
				l.quiet = true
			case l.isEmpty():
				f.forget(lane, rank)
			case len(quiet) < sweepSize:
				quiet = append(quiet, quietLine{l, lane, rank})
				at.lanes, at.ranks = append(at.lanes, in.number), append(at.ranks, rank)
				at.floors = append(at.floors, min(l.floor, l.fresh))
			}
		}
	}
	return quiet, at
}

// swept forgets those of the lines that were found to be empty, unless something has happened there since.
func (f fronts) swept(quiet []quietLine, firsts map[line]int64) {
	for _, q := range quiet {
		in := f.byLane[q.lane]
		if in == nil || q.held > 0 || !q.quiet || in.ranks[q.rank] != q.lineFront {
			continue
		}
		if _, found := firsts[line{in.number, q.rank}]; !found {
			f.forget(q.lane, q.rank)
			continue
		}
		q.came, q.more = nil, true // nobody has claimed them for long: which they are takes memory
	}
}

func (f fronts) forget(lane queue.Lane, rank int16) {
	in := f.byLane[lane]
	delete(in.ranks, rank)
	if len(in.ranks) == 0 {
		f.drop(lane)
	}
}

// forgetLines forgets lines in which nothing happens and is no ready job: a server would remember every lane that
// there ever was. What becomes ready in one is noticed as in one that is new.
func (d *dispatcher) forgetLines(ctx context.Context) error {
	d.mu.Lock()
	quiet, at := d.fronts.sweep()
	d.mu.Unlock()
	if len(quiet) == 0 {
		return nil
	}
	firsts, err := d.store.lookAgain(ctx, &at)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fronts.swept(quiet, firsts)
	return nil
}
