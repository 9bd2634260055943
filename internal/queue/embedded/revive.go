package embedded

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// reviving is a job that is to run once more, and whose dependents are being prepared for it:
// those that are over because of it come back, and those that wait for others only wait for it
// too. A retry begins with the job that is retried, the root, and goes on with those that come
// back. The root itself changes last: until then it stays over, so that no worker gets it, and it
// cannot end again before everybody waits for that. For all others, other retries and new jobs
// included, it counts as what it will be from the beginning: see Store.reviving.
//
// The list of them is kept on disk between the steps of a retry, like settlements.
type reviving struct {
	root       uuid.UUID
	id         uuid.UUID
	generation uint64 // that the job has now; the root, at last
	seen       uint64 // the dependents up to this place have been prepared
	stored     bool   // a v key stands for it
	all        bool   // all dependents that there were have been prepared
	edges      int    // how many edges were written when the job came back
}

// everybody is above every place.
const everybody = math.MaxUint64

// key has the root as well: a job that came back may end, and be retried, before the retry that
// brought it back is through.
func (v *reviving) key(buffer []byte) []byte {
	return append(idKey(buffer, prefixRevival, v.root), v.id[:]...)
}

func (v *reviving) encode(buffer []byte) []byte {
	buffer = binary.BigEndian.AppendUint64(buffer, v.generation)
	return binary.BigEndian.AppendUint64(buffer, v.seen)
}

func decodeReviving(key, value []byte) (reviving, error) {
	const size = len(uuid.UUID{})
	if len(key) != 1+2*size || len(value) != 2*8 {
		return reviving{}, queue.ErrDamaged
	}
	return reviving{
		root: uuid.UUID(key[1 : 1+size]), id: uuid.UUID(key[1+size:]), stored: true,
		generation: binary.BigEndian.Uint64(value),
		seen:       binary.BigEndian.Uint64(value[8:]),
	}, nil
}

// reviveSome looks at a bounded number of dependents, and returns the list of what is left; it
// is empty when the root's turn has come. First come first: then most of what a job depends on
// is back when it is looked at. If it fails, t is as it was.
func (c *change) reviveSome(t *retry) (left []reviving, err error) {
	c.meetAgain()
	if c.edges == nil {
		c.edges = make(map[string]dependent)
	}
	edges, err := c.store.openCursor([]byte{prefixDependent}, []byte{prefixDependent + 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = edges.close(err) }()
	left = t.left
	// Appended to in place, as by settleSome.
	for budget := c.store.limits.settleStep; len(left) > 0 && budget > 0; {
		item := left[0]
		found, spent, err := c.reviveDependents(edges, t, &item, budget)
		if err != nil {
			return nil, err
		}
		left = append(left, found...)
		if !item.all {
			// That was all for this step, and nothing can fail any more.
			left[0] = item
			c.storeReviving(&left[0])
			break
		}
		budget -= max(spent, 1) // a chain costs its budget too
		left = left[1:]
		switch {
		case item.id != t.root:
			c.delete(item.key(c.key[:0]))
		case len(left) > 0:
			// It is looked at again at last, for the sake of jobs that were added meanwhile.
			item.stored = false
			left = append(left, item)
		default:
			c.delete(item.key(c.key[:0]))
		}
	}
	// Those that are not stored are the last ones.
	for i := len(left) - 1; i >= 0 && !left[i].stored; i-- {
		c.storeReviving(&left[i])
	}
	return left, nil
}

// storeReviving has an item survive a crash.
func (c *change) storeReviving(item *reviving) {
	c.set(item.key(c.key[:0]), item.encode(c.value[:0]))
	item.stored = true
}

// reviveDependents prepares the dependents of a job that comes back, until it has spent the limit:
// one for each of them, and for each edge that is written. It returns those that come back too.
func (c *change) reviveDependents(edges cursor, t *retry, of *reviving, limit int) (found []reviving, spent int, err error) {
	of.all = true
	if stale, err := c.isStale(t, of); err != nil || stale {
		return nil, 0, err
	}
	// The end of the generation before may be being told at this moment, so it is asked each time.
	told, err := c.store.toldOf(of.id, of.generation-1)
	switch {
	case isDamage(err):
		told = everybody
	case err != nil:
		return nil, 0, err
	}
	err = edges.scan(dependentKey(nil, of.id, of.seen+1), after(idKey(nil, prefixDependent, of.id)), func(key, value []byte) (bool, error) {
		if spent >= limit {
			of.all = false
			return false, nil
		}
		spent++
		place := placeOfDependentKey(key)
		of.seen = place
		d, err := decodeDependent(of.id, value)
		if changed, found := c.edges[string(key)]; found {
			d = changed
		}
		if err == nil {
			var comesBack *reviving
			if comesBack, err = c.revive(t, of, d, place, told); comesBack != nil {
				found = append(found, *comesBack)
				spent += comesBack.edges
			}
		}
		if isDamage(err) {
			c.store.log.Error(err, "a dependent cannot be read; it does not come back", "job", of.id.String(), "dependent", d.id.String())
			err = nil
		}
		return true, err
	})
	return found, spent, err
}

// isStale tells whether a job that came back is over again. Then those of its dependents that do
// not know that it had come back have nothing to wait for, and those that do are told.
func (c *change) isStale(t *retry, of *reviving) (bool, error) {
	if of.id == t.root {
		return false, nil
	}
	r, err := c.readRecord(of.id)
	if errors.Is(err, queue.ErrNotExist) {
		return true, nil // it was deleted
	}
	if isDamage(err) {
		return false, nil
	}
	return err == nil && (r.State.Over() || r.Generation != of.generation), err
}

// revive prepares a dependent for another run of the job that it depends on. It returns what is
// to be prepared for the dependent itself, if that comes back.
func (c *change) revive(t *retry, of *reviving, d dependent, place, told uint64) (*reviving, error) {
	r, err := c.readKept(d.id)
	if err != nil {
		return nil, err
	}
	switch {
	case r.deleted:
		return nil, nil
	case !r.State.Over():
		return nil, c.reopen(of, d, place, told, r)
	case !r.ByDependency:
		return nil, nil // it does not come back
	}
	if _, underWay := c.store.reviving[d.id]; underWay {
		return nil, nil // by a retry of its own
	}
	if decided, err := c.isDecided(t, d.id); err != nil || decided {
		return nil, err
	}
	j, err := c.store.readJob(d.id, false)
	if err != nil {
		return nil, err
	}
	if decided, err := c.decide(t, &j); err != nil || decided {
		return nil, err
	}
	known, err := c.dependenciesOf(&j)
	if err != nil {
		return nil, err
	}
	next, err := j.Renew(r.Record, statesOf(known), c.now)
	if err != nil || next.State.Over() {
		return nil, err
	}
	if taken, err := c.takeUniqueKey(&j, &r); err != nil || taken {
		return nil, err
	}
	if err := c.renew(&j, r, next, known); err != nil {
		return nil, err
	}
	return &reviving{root: t.root, id: d.id, generation: next.Generation, edges: len(known)}, nil
}

// reopen has a dependent that is not over wait for the next end of the job as well, or, if it is
// running, do so when it comes back; unless it knows of that already: it was enqueued, or came
// back, since.
func (c *change) reopen(of *reviving, d dependent, place, told uint64, r record) error {
	if d.generation == of.generation {
		return nil
	}
	if d.generation+1 != of.generation {
		// It knows nothing of the generation in between, which ended before its turn came.
		var err error
		if told, err = c.store.toldOf(of.id, d.generation); err != nil {
			return err
		}
	}
	if closed := d.settled || place <= told; closed {
		if r.State == queue.Pending || r.State == queue.Scheduled {
			j, err := c.store.readJob(d.id, false)
			if err != nil {
				return err
			}
			c.leave(waitingJob{id: d.id, lane: j.Lane(), place: j.place, record: r})
		}
		r.Record = r.Reopen()
		c.setRecord(d.id, &r)
	}
	d.generation, d.settled = of.generation, false
	c.writeDependent(dependentKey(c.key[:0], of.id, place), d)
	return nil
}

// isDecided tells whether the dependency that decided against a job, when it was looked at
// last, still does.
func (c *change) isDecided(t *retry, id uuid.UUID) (bool, error) {
	against := t.decided[id]
	if against.dependency == uuid.Nil {
		return false, nil
	}
	known, err := c.dependencyOf(against.dependency, against.place)
	return known.state.Over(), err
}

// decide tells whether a dependency decides against a job, and remembers the first that does.
func (c *change) decide(t *retry, j *job) (bool, error) {
	for i := t.decided[j.ID].index; i < len(j.Dependencies); i++ {
		edge := &j.Dependencies[i]
		known, err := c.dependencyOf(edge.ID, j.place)
		if err != nil {
			return false, err
		}
		if edge.If.DecidesAgainst(known.state) {
			t.decided[j.ID] = decision{index: i, dependency: edge.ID, place: j.place}
			return true, nil
		}
	}
	return false, nil
}

// renew replaces the record of a job that was over by the one of its new generation. known is
// what it knows of its dependencies.
func (c *change) renew(j *job, r record, next queue.Record, known []dependency) error {
	for i := range j.Dependencies {
		c.setDependent(&j.Dependencies[i], j, known[i])
	}
	last, leased, err := c.store.lastAttempt(j.ID, &r)
	if err != nil && !isDamage(err) {
		return err
	}
	if err == nil && leased {
		c.setAttempt(j.ID, &last)
	}
	c.delete(idKey(c.key[:0], prefixOutcome, j.ID))
	c.delete(idKey(c.key[:0], prefixDead, j.ID))
	r.Record = next
	r.endedToken, r.size = uuid.Nil, j.size
	r.hasDependents = true // those that were added when it was over have not been counted
	c.standWhereItShould(waitingJob{id: j.ID, lane: j.Lane(), place: j.place, record: r})
	return nil
}
