package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// RetryJob begins a new generation of a job that failed or was canceled, and of those that
// failed or were canceled because of it. ErrNotExist, ErrNotFailed, ErrUniqueKeyTaken;
// ErrDependencyFailed if a dependency still decides against it.
//
// It goes in steps of bounded size, as settling does. What a crash interrupts is finished by
// the next start.
func (s *Store) RetryJob(_ context.Context, id uuid.UUID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var t *retry
	_, err := s.commit(func(c *change) (err error) {
		t, err = c.beginRetry(id)
		return err
	})
	if err != nil {
		return s.answer(err)
	}
	return s.finishRetry(t)
}

// beginRetry checks whether a job can be retried, and takes its unique key; or goes on with a
// retry that failed half-way.
func (c *change) beginRetry(id uuid.UUID) (*retry, error) {
	s := c.store
	r, err := c.readRecord(id)
	if err != nil {
		return nil, err
	}
	if t, begun := s.reviving[id]; begun {
		if !t.failed {
			return nil, queue.ErrNotFailed // any more, or not again yet
		}
		t.failed = false
		return t, nil
	}
	j, err := s.readJob(id, false)
	if err != nil {
		return nil, mustExist(err)
	}
	known, err := c.dependenciesOf(&j)
	if err != nil {
		return nil, err
	}
	next, err := j.Renew(r.Record, statesOf(known), c.now)
	if err != nil {
		return nil, err
	}
	if next.State.Over() {
		return nil, queue.ErrDependencyFailed
	}
	if taken, err := c.takeUniqueKey(&j, &r); err != nil || taken {
		return nil, errors.Join(err, queue.ErrUniqueKeyTaken)
	}
	root := reviving{root: id, id: id, generation: next.Generation}
	c.storeReviving(&root)
	t := newRetry(id)
	t.left = []reviving{root}
	c.then = append(c.then, func() { s.reviving[id] = t })
	return t, nil
}

// toldOf returns up to which place the dependents of a job that is over know of it.
func (s *Store) toldOf(id uuid.UUID, generation uint64) (uint64, error) {
	value, found, err := s.get(settlementKey(nil, id, generation))
	switch {
	case err != nil:
		return 0, err
	case !found:
		return everybody, nil
	case len(value) != 8:
		return 0, fmt.Errorf("the settlement of job %s: %w", id, queue.ErrDamaged)
	default:
		return binary.BigEndian.Uint64(value), nil
	}
}

// takeUniqueKey gives a job that comes back its unique key, unless another one has it.
func (c *change) takeUniqueKey(j *job, r *record) (taken bool, err error) {
	if !r.hasUniqueKey {
		return false, nil
	}
	key := uniqueKey(nil, j.Lane(), j.UniqueKey)
	// One that this very change has given the key is not seen here, so it must be remembered.
	if _, found := c.unique[string(key)]; found {
		return true, nil
	}
	_, found, err := c.store.get(key)
	if err != nil || found {
		return found, err
	}
	if c.unique == nil {
		c.unique = make(map[string]struct{})
	}
	c.unique[string(key)] = struct{}{}
	c.set(key, append(c.value[:0], j.ID[:]...))
	return false, nil
}

// dependenciesOf returns what a job that comes back is to know of its dependencies.
func (c *change) dependenciesOf(j *job) (known []dependency, err error) {
	known = make([]dependency, len(j.Dependencies))
	for i := range j.Dependencies {
		if known[i], err = c.dependencyOf(j.Dependencies[i].ID, j.place); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// dependencyOf returns what the job with a place is to know of a dependency. One that is being
// retried counts as what it will be, one that was deleted as what it was.
func (c *change) dependencyOf(id uuid.UUID, place uint64) (dependency, error) {
	r, err := c.readKept(id)
	if errors.Is(err, queue.ErrNotExist) {
		var gone dependent
		if gone, err = c.store.readGone(id, place); err == nil {
			return dependency{state: gone.gone, generation: gone.generation, gone: true, goneType: gone.goneType}, nil
		}
	}
	if err != nil {
		return dependency{}, fmt.Errorf("read dependency %s: %w", id, mustExist(err))
	}
	if _, underWay := c.store.reviving[id]; underWay {
		return dependency{state: queue.Blocked, generation: r.Generation + 1}, nil
	}
	known := dependency{state: r.State, generation: r.Generation, gone: r.deleted}
	if r.deleted {
		known.goneType, err = c.store.typeOf(id)
	}
	return known, err
}

func statesOf(known []dependency) []queue.State {
	states := make([]queue.State, len(known))
	for i := range known {
		states[i] = known[i].state
	}
	return states
}

// retry is what memory knows of a retry that is under way.
type retry struct {
	root   uuid.UUID
	left   []reviving
	failed bool // guarded by Store.mu; nobody is at it, because a step could not be made
	// decided has, of jobs that were looked at and do not come back yet, the first dependency
	// that decides against it. It spares looking at the same ones again, of which a job may
	// have thousands, each time that one of them comes back.
	decided map[uuid.UUID]decision
}

type decision struct {
	index      int // in the job's Dependencies
	dependency uuid.UUID
	place      uint64 // of the job itself
}

func newRetry(root uuid.UUID) *retry {
	return &retry{root: root, decided: make(map[uuid.UUID]decision)}
}

// finishRetry brings back what is left to bring back, step by step, and then the root. If a step
// fails the caller is told, and a repetition of the call goes on with it, as does the next start.
func (s *Store) finishRetry(t *retry) error {
	for len(t.left) > 0 {
		if err := s.settle(func(c *change) error { return c.retryStep(t) }); err != nil {
			s.mu.Lock()
			t.failed = true
			s.mu.Unlock()
			return err
		}
	}
	return nil
}

// retryStep makes one step of a retry.
func (c *change) retryStep(t *retry) error {
	left, err := c.reviveSome(t)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		if err := c.reviveRoot(t.root); err != nil {
			return err
		}
	}
	c.then = append(c.then, func() {
		t.left = left
		if len(left) == 0 {
			delete(c.store.reviving, t.root)
		}
	})
	return nil
}

// reviveRoot begins the new generation of the job that is retried.
func (c *change) reviveRoot(id uuid.UUID) error {
	r, err := c.readRecord(id)
	if err != nil {
		return mustExist(err)
	}
	j, err := c.store.readJob(id, false)
	if err != nil {
		return mustExist(err)
	}
	known, err := c.dependenciesOf(&j)
	if err != nil {
		return err
	}
	next, err := j.Renew(r.Record, statesOf(known), c.now)
	if err != nil {
		return err
	}
	if !next.State.Over() {
		return c.renew(&j, r, next, known)
	}
	// A dependency has ended meanwhile and decides against it. Those that were prepared for
	// another run are told that there was one.
	if r.hasUniqueKey {
		c.delete(uniqueKey(c.key[:0], j.Lane(), j.UniqueKey))
	}
	r.Generation++
	r.Record = r.Note()
	c.setRecord(id, &r)
	c.settlements = append(c.settlements, settlement{id: id, state: r.State, generation: r.Generation})
	return nil
}

// resumeRevivals finishes what a crash interrupted.
func (s *Store) resumeRevivals() error {
	err := s.scan([]byte{prefixRevival}, []byte{prefixRevival + 1}, func(key, value []byte) (bool, error) {
		item, err := decodeReviving(key, value)
		if err != nil {
			s.log.Error(err, "an entry of a retry is damaged; the jobs that it stands for stay as they are")
			return true, nil
		}
		t := s.reviving[item.root]
		if t == nil {
			t = newRetry(item.root)
			s.reviving[item.root] = t
		}
		t.left = append(t.left, item)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, t := range maps.Clone(s.reviving) {
		if err := s.finishRetry(t); errors.Is(err, queue.ErrUnavailable) {
			return err
		} else if err != nil {
			s.log.Error(err, "a retry could not be finished", "job", t.root.String())
		}
	}
	return nil
}
