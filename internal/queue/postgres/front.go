package postgres

import (
	"math"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// none is above every place.
	none = math.MaxInt64
	// many is how many jobs there may be where nobody has counted.
	many = math.MaxInt32
)

// front is what this server knows of where the ready jobs of one lane begin.
type front struct {
	number int32
	ranks  map[int16]*lineFront
}

// lineFront is where the ready jobs of one lane and priority begin, and how many there are at most.
// None is below both places, but for those that somebody else has locked at the moment. What was
// consumed before them is never looked at again: in a table where jobs come and go, the front of a
// line is a field of dead rows, which nothing can sweep while an old transaction is open anywhere.
type lineFront struct {
	floor int64 // as the last claim left it
	most  int   // from there on, as the last claim left it
	fresh int64 // the lowest place that became ready since that claim began; none if there is none
	came  int   // how many became ready since
	claim int   // how many claims have begun
	// expected is how many become ready in the round that is about to be made, before its claim.
	expected int
}

// isEmpty reports whether there is no ready job for sure.
func (l *lineFront) isEmpty() bool { return l.most+l.came+l.expected == 0 }

// fronts are guarded by dispatcher.mu.
type fronts map[queue.Lane]*front

// notice takes notice of a job that is ready, and of how many there may be from there on.
func (f fronts) notice(lane queue.Lane, number int32, rank int16, place int64, most int) {
	l := f.line(lane, number, rank)
	l.fresh = min(l.fresh, place)
	l.came = min(l.came+most, many)
}

func (f fronts) line(lane queue.Lane, number int32, rank int16) *lineFront {
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
	return l
}

// searched is where one claim looks.
type searched struct {
	lanes  []int32
	ranks  []int16
	floors []int64
	lines  []*lineFront
	claims []int
	most   int // how many ready jobs there are at most
}

// expect prepares the next claim for jobs that the round which it is part of makes ready. Their
// places will be above all that there were.
func (f fronts) expect(lane queue.Lane, number int32, rank int16, highest int64) {
	l := f.line(lane, number, rank)
	l.floor = min(l.floor, highest+1)
	l.expected++
}

// search begins a claim: it returns the lines of the lanes that may have ready jobs.
func (f fronts) search(lanes []queue.Lane) (in searched) {
	for _, lane := range lanes {
		at := f[lane]
		if at == nil {
			continue
		}
		for rank, l := range at.ranks {
			if l.isEmpty() {
				continue
			}
			l.floor, l.fresh = min(l.floor, l.fresh), none
			l.most, l.came = min(l.most+l.came, many), 0
			in.lanes, in.ranks = append(in.lanes, at.number), append(in.ranks, rank)
			l.claim++
			in.floors, in.lines, in.claims = append(in.floors, l.floor), append(in.lines, l), append(in.claims, l.claim)
			in.most = min(in.most+l.most+l.expected, many)
			l.expected = 0
		}
	}
	return in
}

// claimed takes notice of what the claim has found in its lines.
func (in *searched) claimed(grants []grant) {
	for k, l := range in.lines {
		for i := range grants {
			if in.lanes[k] == grants[i].lane && in.ranks[k] == grants[i].rank {
				l.claimed(grants[i].place)
			}
		}
	}
}

// claimed takes notice that a job was claimed, which may have become ready in the same round.
func (l *lineFront) claimed(place int64) {
	l.floor = max(l.floor, place+1)
	switch {
	case place >= l.fresh && l.came < many:
		l.came--
		if l.came == 0 {
			l.fresh = none
		}
	case l.most < many:
		l.most = max(l.most-1, 0)
	}
}

// drained takes notice of what was found after a claim that got less than it wanted: the first
// ready job of each line, by lane and rank. It tells whether there is one, which somebody else had
// locked, or that came meanwhile.
func (in *searched) drained(firsts map[line]int64) (left bool) {
	for k, l := range in.lines {
		if l.claim != in.claims[k] {
			continue // another claim has begun since
		}
		if first, found := firsts[line{in.lanes[k], in.ranks[k]}]; found {
			l.floor, l.most, left = first, many, true
		} else {
			l.floor, l.most = none, 0
		}
	}
	return left
}

// undo forgets that there was a claim: nobody knows what it took.
func (in *searched) undo() {
	for k, l := range in.lines {
		l.fresh, l.came = min(l.fresh, in.floors[k]), many
	}
}

// line is what one lane has of one priority.
type line struct {
	lane int32
	rank int16
}
