package postgres

import (
	"math"
	"slices"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// none is above every place.
	none = math.MaxInt64
	// many is how many jobs there may be where nobody has counted.
	many = math.MaxInt32
	// mostCounted is how many are counted of those that become ready between two claims.
	mostCounted = 4 * claimSize
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
	floor int64 // as claims left it
	most  int   // from there on, as claims left it
	// What became ready since the newest claim began, and was not claimed:
	fresh  int64              // below which there is nothing of it; none if there is nothing
	came   map[int64]struct{} // their places
	more   bool               // there may be others
	begun  int                // how many claims have begun
	claims []*lineClaim       // those under way
	held   int                // how many claims there are that are under way, or are asked after
	quiet  bool               // nothing has happened here since lines were last swept
	// expected is how many become ready in the round that is about to be made, before its claim.
	expected int
}

// isEmpty reports whether there is no ready job for sure.
func (l *lineFront) isEmpty() bool { return l.most+l.expected == 0 && l.fresh == none }

// lineClaim is a claim that looks in a line. What is committed while it is under way may stand before
// what it finds.
type lineClaim struct {
	line   *lineFront
	number int
	floor  int64 // where it looks from
	// unseen is below all that became known to be ready since, and that a later claim looks for.
	unseen int64
}

// begin begins a claim in the line.
func (l *lineFront) begin() *lineClaim {
	for _, c := range l.claims {
		c.unseen = min(c.unseen, l.fresh)
	}
	if l.most = min(l.most+len(l.came), many); l.more {
		l.most = many
	}
	l.floor, l.fresh, l.came, l.more = min(l.floor, l.fresh), none, nil, false
	l.begun++
	l.held++
	l.quiet = false
	c := &lineClaim{line: l, number: l.begun, floor: l.floor, unseen: none}
	l.claims = append(l.claims, c)
	return c
}

// isNewest reports whether no other claim in the line has begun since.
func (c *lineClaim) isNewest() bool { return c.line.begun == c.number }

// end ends a claim that has found jobs up to a place, the last one; 0 if it has found none. passed is the first
// place before that which somebody else had locked; 0 if there is none.
func (c *lineClaim) end(last, passed int64) {
	l := c.line
	l.claims = slices.DeleteFunc(l.claims, func(other *lineClaim) bool { return other == c })
	if last == 0 {
		return
	}
	upTo := min(last+1, c.unseen)
	if passed > 0 {
		upTo, l.most = min(upTo, passed), max(l.most, 1)
	}
	l.floor = max(l.floor, upTo)
}

// fronts are guarded by dispatcher.mu.
type fronts struct {
	byLane map[queue.Lane]*front
	lanes  map[int32]queue.Lane // by the number of the front
}

func newFronts() fronts {
	return fronts{byLane: make(map[queue.Lane]*front), lanes: make(map[int32]queue.Lane)}
}

// notice takes notice of a job that is ready; others tells that there may be more from there on.
func (f fronts) notice(lane queue.Lane, number int32, rank int16, place int64, others bool) {
	l := f.line(lane, number, rank)
	l.quiet = false
	l.fresh = min(l.fresh, place)
	if l.more = l.more || others || len(l.came) == mostCounted; l.more {
		l.came = nil
		return
	}
	if l.came == nil {
		l.came = make(map[int64]struct{})
	}
	l.came[place] = struct{}{}
}

func (f fronts) line(lane queue.Lane, number int32, rank int16) *lineFront {
	in := f.byLane[lane]
	if in == nil || in.number != number {
		// A database that has lost lanes gives them new numbers, and theirs to others.
		f.drop(lane)
		if other, is := f.lanes[number]; is {
			f.drop(other)
		}
		in = &front{number: number, ranks: make(map[int16]*lineFront)}
		f.byLane[lane], f.lanes[number] = in, lane
	}
	l := in.ranks[rank]
	if l == nil {
		l = &lineFront{floor: none, fresh: none}
		in.ranks[rank] = l
	}
	return l
}

func (f fronts) drop(lane queue.Lane) {
	if in := f.byLane[lane]; in != nil {
		delete(f.byLane, lane)
		delete(f.lanes, in.number)
	}
}

// searched is where one claim looks.
type searched struct {
	lanes  []int32
	ranks  []int16
	floors []int64
	claims []*lineClaim
	most   int // how many ready jobs there are at most
}

// isOfOne reports whether the claim looks in one line only.
func (in *searched) isOfOne() bool { return len(in.lanes) == 1 }

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
		at := f.byLane[lane]
		if at == nil {
			continue
		}
		for rank, l := range at.ranks {
			if l.isEmpty() {
				continue
			}
			c := l.begin()
			in.lanes, in.ranks = append(in.lanes, at.number), append(in.ranks, rank)
			in.floors, in.claims = append(in.floors, c.floor), append(in.claims, c)
			in.most = min(in.most+l.most+l.expected, many)
			l.expected = 0
		}
	}
	return in
}

// claimed takes notice of what the claim has found in its lines, and ends it.
func (in *searched) claimed(grants []grant) {
	for k, c := range in.claims {
		last, passed := int64(0), int64(0)
		for i := range grants {
			if g := &grants[i]; in.lanes[k] == g.lane && in.ranks[k] == g.rank {
				last, passed = max(last, g.place), g.passed
				c.line.claimed(g.place)
			}
		}
		c.end(last, passed)
	}
}

// claimed takes notice that a job was claimed, which may have become ready in the same round.
func (l *lineFront) claimed(place int64) {
	if _, is := l.came[place]; !is {
		if l.most < many {
			l.most = max(l.most-1, 0)
		}
		return
	}
	delete(l.came, place)
	if len(l.came) == 0 {
		l.fresh = none
	}
}

// addNewest adds the lines of another claim in which none has begun since: the others are for those to
// look after.
func (in *searched) addNewest(other *searched) {
	for k, c := range other.claims {
		if c.isNewest() {
			in.lanes, in.ranks = append(in.lanes, other.lanes[k]), append(in.ranks, other.ranks[k])
			in.floors = append(in.floors, other.floors[k])
		}
	}
}

// drained takes notice of what was found after a claim that got less than it wanted: the first
// ready job of each line, by lane and rank. It tells whether there is one, which somebody else had
// locked, or that came meanwhile; or may be, in a line in which another claim has begun since: that one's callers
// may have got what they wanted elsewhere, and look no more.
func (in *searched) drained(firsts map[line]int64) (left bool) {
	for k, c := range in.claims {
		l := c.line
		if !c.isNewest() {
			left = left || !l.isEmpty()
			continue
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
	for _, c := range in.claims {
		c.end(0, 0)
		c.line.fresh, c.line.came, c.line.more = min(c.line.fresh, c.floor), nil, true
	}
}

// letGo says that nobody asks after the claim any more.
func (in *searched) letGo() {
	for _, c := range in.claims {
		c.line.held--
	}
}

// line is what one lane has of one priority.
type line struct {
	lane int32
	rank int16
}
