package embedded

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// lease is what is kept in memory of a lease that is not over.
type lease struct {
	token  uuid.UUID
	jobID  uuid.UUID
	lane   queue.Lane
	place  uint64    // the job's place in line, to put it back there
	record record    // the job's; guarded by Store.mu
	beat   time.Time // guarded by leaseTable.mu
}

// leaseTable holds the leases that are not over. Leases are added and removed under Store.mu
// as well, so that a change that found its lease here is fenced by it.
type leaseTable struct {
	mu      sync.Mutex // guards what follows
	byToken map[uuid.UUID]*list.Element
	byBeat  list.List // of *lease, oldest beat first
}

func (t *leaseTable) add(l *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byToken == nil {
		t.byToken = make(map[uuid.UUID]*list.Element)
	}
	t.byToken[l.token] = t.byBeat.PushBack(l)
}

func (t *leaseTable) remove(token uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byToken[token]; e != nil {
		t.byBeat.Remove(e)
		delete(t.byToken, token)
	}
}

// get returns the lease, or nil.
func (t *leaseTable) get(token uuid.UUID) *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byToken[token]; e != nil {
		return e.Value.(*lease)
	}
	return nil
}

// refresh sets the lease's beat; false if there is no such lease.
func (t *leaseTable) refresh(token uuid.UUID, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byToken[token]
	if e == nil {
		return false
	}
	e.Value.(*lease).beat = now
	t.byBeat.MoveToBack(e)
	return true
}

// stale returns the tokens of the leases whose beat is not after limit, oldest first.
func (t *leaseTable) stale(limit time.Time) []uuid.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var tokens []uuid.UUID
	for e := t.byBeat.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lease)
		if l.beat.After(limit) {
			break
		}
		tokens = append(tokens, l.token)
	}
	return tokens
}

// loadLeases reads the leases that are not over, and gives each a fresh beat: while the store
// was closed nobody could send one.
func (s *Store) loadLeases() error {
	now := s.clock()
	var unreadable []*lease
	err := s.scan([]byte{prefixRunning}, []byte{prefixRunning + 1}, func(key, value []byte) (bool, error) {
		id, err := uuid.FromBytes(value)
		if err == nil && len(key) != len(runningKey(nil, 0)) {
			err = queue.ErrDamaged
		}
		var r record
		if err == nil {
			r, err = s.readRecord(id)
		}
		if err == nil && r.State != queue.Running {
			err = fmt.Errorf("it is %s: %w", r.State, queue.ErrDamaged)
		}
		if err != nil {
			s.log.Error(err, "a running job cannot be read; its lease is passed over", "job", id.String())
			return true, nil
		}
		l := &lease{token: r.Token, jobID: id, place: binary.BigEndian.Uint64(key[1:]), record: r, beat: now}
		if j, err := s.readJob(id, false); err == nil {
			l.lane = j.Lane()
		} else {
			s.log.Error(err, "a running job has failed: it cannot be read", "job", id.String())
			unreadable = append(unreadable, l)
		}
		s.leases.add(l)
		return true, nil
	})
	for _, l := range unreadable {
		if err == nil {
			_, err = s.requeueOrFinish(l.token, 0, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonDamaged}})
		}
	}
	return err
}

// IdFromToken implements queue.JobQueue.
func (s *Store) IdFromToken(_ context.Context, token uuid.UUID) (uuid.UUID, error) {
	if err := s.enter(); err != nil {
		return uuid.Nil, err
	}
	defer s.leave()
	if l := s.leases.get(token); l != nil {
		return l.jobID, nil
	}
	ended, err := s.readEndedLease(token)
	if err == nil && ended.End != queue.EndCanceled {
		err = queue.ErrNotExist
	}
	return ended.JobID, s.answer(err)
}

// Heartbeats implements queue.JobQueue.
func (s *Store) Heartbeats(_ context.Context, olderThan time.Duration) ([]uuid.UUID, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.leases.stale(s.clock().Add(-olderThan)), nil
}

// RefreshHeartbeat implements queue.JobQueue. It writes nothing: beats live in memory.
func (s *Store) RefreshHeartbeat(_ context.Context, token uuid.UUID) (canceled bool, err error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.leave()
	if s.leases.refresh(token, s.clock()) {
		return false, nil
	}
	ended, err := s.readEndedLease(token)
	if err == nil {
		canceled, err = ended.Beat()
	}
	return canceled, s.answer(err)
}

// Lease returns the lease and its job, without counting as a heartbeat. ErrNotExist if no
// lease ever had the token; ErrLeaseLost if it is over, unless that is because its job was
// canceled.
func (s *Store) Lease(_ context.Context, token uuid.UUID) (queue.Lease, error) {
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	l, err := s.lookAtLease(token)
	return l, s.answer(err)
}

func (s *Store) lookAtLease(token uuid.UUID) (queue.Lease, error) {
	if l := s.leases.get(token); l != nil {
		r, err := s.readRecord(l.jobID)
		if err != nil {
			return queue.Lease{}, err
		}
		if r.Token == token {
			return s.buildLease(grant{token: token, jobID: l.jobID, attempt: r.Attempt})
		}
		// It ended between the two looks, so it is among the ended ones.
	}
	ended, err := s.readEndedLease(token)
	if err != nil {
		return queue.Lease{}, err
	}
	canceled, err := ended.Beat()
	if err != nil {
		return queue.Lease{}, err
	}
	built, err := s.buildLease(grant{token: token, jobID: ended.JobID, attempt: ended.Attempt})
	built.Canceled = canceled
	return built, err
}

// buildLease reads what a lease's holder is told.
func (s *Store) buildLease(g grant) (queue.Lease, error) {
	j, err := s.readJob(g.jobID, true)
	if err != nil {
		return queue.Lease{}, fmt.Errorf("read leased job %s: %w", g.jobID, mustExist(err))
	}
	l := queue.Lease{
		Token:   g.token,
		JobID:   g.jobID,
		Type:    j.Type,
		Channel: j.Channel,
		Args:    j.Args,
		Attempt: g.attempt,
	}
	if len(j.Dependencies) > 0 {
		l.Dependencies = make([]queue.Dependency, len(j.Dependencies))
	}
	size := 0
	for i, id := range j.Dependencies {
		d, err := s.readDependency(id)
		if err != nil {
			return queue.Lease{}, fmt.Errorf("read dependency %s of leased job %s: %w", id, g.jobID, err)
		}
		size += len(d.Result)
		if d.Error != nil {
			size += len(d.Error.Reason) + len(d.Error.Details)
		}
		if size > queue.MaxDependencyBytes {
			return queue.Lease{}, errDependenciesTooLarge
		}
		l.Dependencies[i] = d
	}
	return l, nil
}

var errDependenciesTooLarge = fmt.Errorf("the results of its dependencies exceed %d bytes", queue.MaxDependencyBytes)

// mustExist makes damage of the absence of what a record says is there.
func mustExist(err error) error {
	if errors.Is(err, queue.ErrNotExist) {
		return fmt.Errorf("it is missing: %w", queue.ErrDamaged)
	}
	return err
}

func (s *Store) readDependency(id uuid.UUID) (queue.Dependency, error) {
	r, err := s.readRecord(id)
	if err != nil {
		return queue.Dependency{}, mustExist(err)
	}
	j, err := s.readJob(id, false)
	if err != nil {
		return queue.Dependency{}, mustExist(err)
	}
	o, err := s.readOutcome(id)
	if err != nil {
		return queue.Dependency{}, err
	}
	return queue.Dependency{ID: id, Type: j.Type, State: r.State, Result: o.Result, Error: o.Error}, nil
}
