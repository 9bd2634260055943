package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// claimSize is how many leases one claim grants at most.
	claimSize = queue.MaxBatch
	// claimsAtOnce is how many claims go together in one transaction.
	claimsAtOnce = 32
	// overlapsBorne is how often in a row the round of a group may overlap with another one, in which it may have
	// missed something, before it has one that does not.
	overlapsBorne = 8
	// mostPassed is how many jobs that others have locked a claim of several lines can pass.
	mostPassed = 10 * claimSize
)

// dispatcher hands ready jobs to the callers that ask for them, in the order in which they came.
// Callers that ask for the same lanes are a group, and share claims. Each round claims for all groups
// that may get something, the jobs included that it adds itself; who comes meanwhile goes with the
// next one.
//
// Every caller has a look that began after it came: a round that found nothing more in its lanes, or
// nothing for it once those before it in line were served, and that knew of all that was made ready
// until then, by other servers as well. After that it sleeps until one of its lanes has a ready job.
type dispatcher struct {
	store *Store

	mu      sync.Mutex // guards what follows, and all groups and waiters
	fronts  fronts
	highest int64 // the highest place that was seen of a job
	groups  map[string]*group
	dirty   []*group // where there may be something, or somebody has not looked yet; and some that are empty
	byLane  map[queue.Lane]map[*group]struct{}
	came    uint64     // how many waiters there were
	synced  uint64     // whoever came until then, what others had made ready by then is known here
	unsure  []*roundOf // after which somebody cannot sleep yet who got nothing
	looking bool       // lookAgain is under way
	apart   bool       // the next round is to overlap with no other one
}

func (d *dispatcher) init(s *Store) {
	d.store = s
	d.fronts = newFronts()
	d.groups = make(map[string]*group)
	d.byLane = make(map[queue.Lane]map[*group]struct{})
}

// ask blocks until at least one of the jobs that are wanted is claimed, or ctx or the store ends,
// but not before there was a look: then there are no grants. errCallKnown if the call has leases
// already, which another server has granted meanwhile.
func (d *dispatcher) ask(ctx context.Context, lanes []queue.Lane, want int, to queue.Holder, once queue.Once) ([]grant, error) {
	w := d.join(lanes, want, to, once)
	select {
	case g := <-w.given:
		return g.grants, g.err
	case <-w.looked:
	}
	select {
	case g := <-w.given:
		return g.grants, g.err
	case <-ctx.Done():
	case <-d.store.life.closing:
	}
	if d.leave(w) {
		if ctx.Err() == nil {
			return nil, queue.ErrUnavailable // the store is closing
		}
		return nil, nil
	}
	g := <-w.given
	return g.grants, g.err
}

func (d *dispatcher) join(lanes []queue.Lane, want int, to queue.Holder, once queue.Once) *waiter {
	key := keyOf(lanes)
	w := &waiter{want: want, holder: to, once: once, looked: make(chan struct{}), given: make(chan given, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[key]
	if g == nil {
		g = &group{key: key, lanes: lanes}
		d.groups[key] = g
		for _, lane := range lanes {
			if d.byLane[lane] == nil {
				d.byLane[lane] = make(map[*group]struct{})
			}
			d.byLane[lane][g] = struct{}{}
		}
	}
	d.came++
	w.came = d.came
	g.add(w)
	d.mark(g)
	d.store.rounds.kick()
	return w
}

// mark has a group take part in one of the next rounds. mu is held.
func (d *dispatcher) mark(g *group) {
	if g.dirty || g.isEmpty() {
		return
	}
	g.dirty = true
	d.dirty = append(d.dirty, g)
}

// leave takes a waiter out of line; false if it was given something, or is about to be.
func (d *dispatcher) leave(w *waiter) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.gone {
		return false
	}
	d.remove(w)
	return true
}

// remove takes a waiter out of its group, and forgets the group with its last one. mu is held.
func (d *dispatcher) remove(w *waiter) {
	g := w.group
	g.remove(w)
	if !g.isEmpty() {
		return
	}
	delete(d.groups, g.key)
	for _, lane := range g.lanes {
		delete(d.byLane[lane], g)
		if len(d.byLane[lane]) == 0 {
			delete(d.byLane, lane)
		}
	}
}

// noticeAll takes notice of jobs that are ready, and has those look who wait for them.
func (d *dispatcher) noticeAll(changes []changed) {
	ready := false
	for i := range changes {
		c := &changes[i]
		if c.state != queue.Pending || c.deleted {
			continue
		}
		lane, err := d.store.laneOf(d.store.life.ctx, c.lane)
		if err != nil {
			d.store.log.Error(err, "a lane is not known; its jobs are found a little later")
			d.store.tail.doubt(err) // what was read is not read again
			continue
		}
		ready = true
		d.notice(lane, c, false)
	}
	if ready {
		d.store.rounds.kick()
	}
}

// notice is noticeAll for one job, and the caller has a round be made; others tells that there may be more behind it.
func (d *dispatcher) notice(lane queue.Lane, c *changed, others bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fronts.notice(lane, c.lane, c.rank, c.place, others)
	d.highest = max(d.highest, c.place)
	for g := range d.byLane[lane] {
		d.mark(g)
	}
}

// roundOf is one group's part in a round.
type roundOf struct {
	group   *group
	began   uint64    // who came until then is part of it
	synced  uint64    // dispatcher.synced when it began
	waiters []*waiter // those for whom something is claimed: the callers of the order
	order   claimOrder
}

// claimPart is the part of a round that claims.
type claimPart struct {
	dispatcher *dispatcher
	round      *round
	groups     []*roundOf
}

// take returns the claims of a round that adds jobs as well; nil if there are none.
func (d *dispatcher) take(added *addJobsPart, in *round) *claimPart {
	groups := d.begin(added)
	if len(groups) == 0 {
		return nil
	}
	return &claimPart{dispatcher: d, round: in, groups: groups}
}

func (p *claimPart) queue(batch *pgx.Batch, number int16) {
	for _, g := range p.groups {
		if g.order.most > 0 {
			p.dispatcher.store.queueClaim(batch, &g.order, number)
			number++
		}
	}
}

func (p *claimPart) calls() (n int) {
	for _, g := range p.groups {
		n += len(g.waiters)
	}
	return n
}

func (p *claimPart) done(ctx context.Context, err error, alone bool) {
	d := p.dispatcher
	if err != nil && !isUnknown(err) && (!alone || len(p.groups) > 1) {
		for _, g := range p.groups {
			d.store.rounds.run(ctx, []part{&claimPart{dispatcher: d, round: p.round, groups: []*roundOf{g}}})
		}
		return
	}
	if err != nil {
		d.end(p.groups)
		if isUnknown(err) {
			for _, g := range p.groups {
				d.store.keeper.releaseOrphans(err, g.order.secrets, g.order.hashesOfLeases())
			}
		}
		d.fail(p.groups, err)
		return
	}
	var left []grant
	var unsure []*roundOf
	for _, g := range p.groups {
		for _, id := range g.order.lost {
			d.store.log.Error(queue.ErrDamaged, "a job was taken out of line that nobody can do: what was given for it is lost", "job", id.String())
		}
		d.store.applyGrants(ctx, g.order.grants)
		isUnsure, ofNobody := d.give(g, p.round.overlaps.Load())
		left = append(left, d.abandon(&g.order, ofNobody)...)
		if isUnsure {
			unsure = append(unsure, g)
		} else {
			d.letGo(g)
		}
	}
	// The next round need not wait for these.
	if len(left) > 0 {
		d.store.life.background(func(ctx context.Context) { d.store.releaseGrants(ctx, left, queue.Once{}) })
	}
	if len(unsure) > 0 {
		d.lookAgain(unsure)
	}
}

// abandon abandons those leases that were granted to callers with an idempotency key. It returns the others.
func (d *dispatcher) abandon(o *claimOrder, left []grant) []grant {
	var secrets [][16]byte
	var hashes [][]byte
	left = slices.DeleteFunc(left, func(g grant) bool {
		hash := o.hashes[g.caller-1]
		if hash == nil || g.known {
			return false
		}
		secrets, hashes = append(secrets, g.secret), append(hashes, hash)
		return true
	})
	if len(secrets) > 0 {
		d.store.abandon(secrets, hashes)
	}
	return left
}

// begin chooses who takes part in a round: of all groups that may get something those whose first
// waiters came first.
func (d *dispatcher) begin(added *addJobsPart) (parts []*roundOf) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if added != nil {
		d.expect(added)
	}
	for _, g := range d.chosen() {
		part := &roundOf{group: g, began: d.came, synced: d.synced}
		parts = append(parts, part)
		part.order.search = d.fronts.search(g.lanes)
		if g.pause > 0 {
			part.order.beyond = max(claimSize, int(mostPassed*g.pause/longestPause))
		}
		limit := min(part.order.search.most, claimSize)
		for w := range g.each(everybody) {
			if part.order.most >= limit {
				break
			}
			if w.claims { // another round does it
				continue
			}
			w.claims = true
			part.waiters = append(part.waiters, w)
			part.order.want(min(w.want, limit-part.order.most), w.holder, w.once)
		}
	}
	return parts
}

// chosen returns the groups that take part in a round, which are not dirty any more. mu is held.
func (d *dispatcher) chosen() []*group {
	d.dirty = slices.DeleteFunc(d.dirty, (*group).isEmpty)
	slices.SortFunc(d.dirty, func(a, b *group) int { return cmp.Compare(a.first(everybody).came, b.first(everybody).came) })
	n := min(len(d.dirty), claimsAtOnce)
	chosen := slices.Clone(d.dirty[:n])
	d.dirty = slices.Delete(d.dirty, 0, n)
	for _, g := range chosen {
		g.dirty = false
	}
	if len(d.dirty) > 0 {
		d.store.rounds.kick()
	}
	return chosen
}

// wantsApart reports whether the next round is to overlap with no other one.
func (d *dispatcher) wantsApart() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.apart
}

// takeApart is wantsApart for a round that begins, and is the one.
func (d *dispatcher) takeApart() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	apart := d.apart
	d.apart = false
	return apart
}

// expect has those look in this round whom its new jobs are for. mu is held.
func (d *dispatcher) expect(added *addJobsPart) {
	for i := range added.jobs {
		lane := added.jobs[i].Lane()
		groups := d.byLane[lane]
		for g := range groups {
			d.mark(g)
		}
		if len(groups) > 0 {
			d.fronts.expect(lane, added.lanes[i], added.ranks[i], d.highest)
		}
	}
}

// give hands out what was claimed; overlaps tells that another round was under way. It tells whether
// somebody has to look again who did not get anything, and returns what nobody is there for any more.
func (d *dispatcher) give(part *roundOf, overlaps bool) (unsure bool, left []grant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, grants := part.group, part.order.grants
	part.order.search.claimed(grants)
	short := len(grants) < part.order.most
	part.end()
	for i, w := range part.waiters {
		// Theirs come one after the other; there are fewer than were taken where a job is damaged.
		n := 0
		for n < len(grants) && grants[n].caller == int32(i+1) { //nolint:gosec // few
			n++
		}
		if n == 0 {
			continue
		}
		mine := grants[:n:n]
		grants = grants[n:]
		if w.gone {
			left = append(left, mine...)
			continue
		}
		d.remove(w)
		if mine[0].known {
			left = append(left, mine...)
			w.given <- given{err: errCallKnown}
			continue
		}
		w.given <- given{grants: mine}
	}
	if !short {
		g.pause = 0
		if part.order.most < part.order.search.most {
			d.mark(g) // there may be others
			return false, left
		}
	}
	if overlaps && (short || g.hasUnaware(part.began)) {
		d.mark(g) // for when that one is over: what was missed may be what it had locked, or added
		g.overlapped++
		if g.overlapped >= overlapsBorne {
			d.apart = true
		}
		d.store.rounds.kick()
		return false, left
	}
	g.overlapped = 0
	if !short && d.store.isAlone() {
		g.tell(part.began) // nobody else has made anything ready that is not known here
		return false, left
	}
	g.tell(part.synced)
	return short || g.hasUnaware(part.began), left
}

// end notes that a round is over.
func (d *dispatcher) end(parts []*roundOf) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, part := range parts {
		part.end()
	}
}

// letGo has a round need nothing any more of what is known of its lines.
func (d *dispatcher) letGo(part *roundOf) {
	d.mu.Lock()
	defer d.mu.Unlock()
	part.order.search.letGo()
}

// end is dispatcher.end for one group. dispatcher.mu is held.
func (r *roundOf) end() {
	for _, w := range r.waiters {
		w.claims = false
	}
}

// fail answers those with an error who came for a round that has failed.
func (d *dispatcher) fail(parts []*roundOf, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, part := range parts {
		part.order.search.undo()
		part.order.search.letGo()
		// Who is aware sleeps until the database is back (doubt.go); for others there is another look.
		for w := range part.group.each(unaware) {
			if w.came > part.began {
				break
			}
			if !w.claims {
				d.remove(w)
				w.given <- given{err: err}
			}
		}
		if !part.group.isEmpty() && !isUnknown(err) {
			d.lookLater(part.group)
		}
	}
}
