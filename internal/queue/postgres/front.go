package postgres

import (
	"math"

	"github.com/longshore-queue/longshore/internal/queue"
)

// none is above every place.
const none = math.MaxInt64

// front is what this server knows of where the ready jobs of one lane begin.
type front struct {
	number int32
	ranks  map[int16]*lineFront
}

// lineFront is where the ready jobs of one lane and priority begin: none is below both places,
// but for those that somebody else has locked at the moment. What was consumed before them is
// never looked at again: in a table where jobs come and go, the front of a line is a field of dead
// rows, which nothing can sweep while an old transaction is open anywhere.
type lineFront struct {
	floor int64 // as the last claim left it
	fresh int64 // the lowest place that became ready since that claim began; none if there is none
}

func (l *lineFront) first() int64 { return min(l.floor, l.fresh) }

// fronts are guarded by dispatcher.mu.
type fronts map[queue.Lane]*front

// notice takes notice of a job that is ready.
func (f fronts) notice(lane queue.Lane, number int32, rank int16, place int64) {
	in := f[lane]
	if in == nil {
		in = &front{number: number, ranks: make(map[int16]*lineFront)}
		f[lane] = in
	}
	l := in.ranks[rank]
	if l == nil {
		l = &lineFront{floor: none, fresh: none}
		in.ranks[rank] = l
	}
	l.fresh = min(l.fresh, place)
}

// searched is where one claim looks.
type searched struct {
	lanes  []int32
	ranks  []int16
	floors []int64
	names  []queue.Lane
	lines  []*lineFront
}

// search begins a claim: it returns the lines of the lanes that may have ready jobs.
func (f fronts) search(lanes []queue.Lane) (in searched) {
	for _, lane := range lanes {
		at := f[lane]
		if at == nil {
			continue
		}
		for rank, l := range at.ranks {
			if l.first() == none {
				continue
			}
			l.floor, l.fresh = l.first(), none
			in.lanes, in.ranks = append(in.lanes, at.number), append(in.ranks, rank)
			in.floors = append(in.floors, l.floor)
			in.names, in.lines = append(in.names, lane), append(in.lines, l)
		}
	}
	return in
}

// claimed takes notice of what the claim has found in its lines.
func (in *searched) claimed(grants []grant) {
	for i := range grants {
		for k := range in.lanes {
			if in.lanes[k] == grants[i].lane && in.ranks[k] == grants[i].rank {
				in.lines[k].floor = max(in.lines[k].floor, grants[i].place+1)
			}
		}
	}
}

// drained takes notice of what was found after a claim that got less than it wanted: the first
// ready job of each line, by lane and rank. It tells whether there is one, which somebody else had
// locked, or that came meanwhile.
func (in *searched) drained(firsts map[line]int64) (left bool) {
	for k, l := range in.lines {
		first, found := firsts[line{in.lanes[k], in.ranks[k]}]
		if !found {
			first = none
		}
		l.floor = first
		left = left || found
	}
	return left
}

// line is what one lane has of one priority.
type line struct {
	lane int32
	rank int16
}
