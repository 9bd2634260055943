package embedded

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// loadLeases reads the leases that are not over, and gives each a fresh beat: while the store
// was closed nobody could send one. What is damaged costs no other lease anything; what cannot be
// read this time, but may be another time, is no damage, and keeps the store from opening.
func (s *Store) loadLeases() error {
	now := s.clock()
	var unreadable []*lease
	err := s.scan([]byte{prefixRunning}, []byte{prefixRunning + 1}, func(key, value []byte) (bool, error) {
		id, err := uuid.FromBytes(value)
		if err != nil || len(key) != len(runningKey(nil, 0)) {
			err = queue.ErrDamaged
		}
		var r record
		if err == nil {
			r, err = s.readRecord(id)
		}
		if err == nil && r.State != queue.Running {
			err = fmt.Errorf("it is %s: %w", r.State, queue.ErrDamaged)
		}
		if isDamage(err) {
			s.log.Error(err, "a running job cannot be read; its lease is passed over", "job", id.String())
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read running job %s: %w", id, err)
		}
		l := &lease{
			token: r.Token, jobID: id, place: binary.BigEndian.Uint64(key[1:]), record: r,
			holder: queue.Holder{Worker: r.Worker, Principal: r.Principal}, attempt: r.Attempt, started: r.Started,
			beat: now, heartbeatTimeout: r.heartbeatTimeout,
		}
		if r.timeout > 0 {
			l.deadline = r.Started.Add(r.timeout)
		}
		j, err := s.readJob(id, false)
		switch {
		case err == nil:
			l.lane, l.record.size = j.Lane(), j.size
		case isDamage(err):
			s.log.Error(err, "a running job has failed: it cannot be read", "job", id.String())
			unreadable = append(unreadable, l)
		default:
			return false, fmt.Errorf("read running job %s: %w", id, err)
		}
		s.leases.add(l)
		if t := s.tallies.byNumber[r.lane]; t != nil {
			t.counts[queue.Pending]--
			t.counts[queue.Running]++
		}
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
	return s.leases.stale(s.clock(), olderThan), nil
}

// Lease returns the lease and its job, without counting as a heartbeat. ErrNotExist if no
// lease ever had the token; ErrLeaseLost if it is over, unless that is because its job was
// canceled.
func (s *Store) Lease(_ context.Context, token uuid.UUID) (queue.Lease, error) {
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	l, err := s.lookAtLease(token, queue.MaxLeaseResults)
	return l, s.answer(err)
}

// WholeLease is Lease, and nothing of it is withheld.
func (s *Store) WholeLease(_ context.Context, token uuid.UUID) (queue.Lease, error) {
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	l, err := s.lookAtLease(token, queue.MaxDependencyBytes)
	return l, s.answer(err)
}

// lookAtLease is Lease, with up to so many bytes of results.
func (s *Store) lookAtLease(token uuid.UUID, most int64) (queue.Lease, error) {
	if l := s.leases.get(token); l != nil {
		r, err := s.readRecord(l.jobID)
		if err != nil {
			return queue.Lease{}, err
		}
		if r.Token == token {
			return s.buildSeenLease(&grant{
				token: token, jobID: l.jobID, attempt: r.Attempt,
				timeout: r.timeout, heartbeatTimeout: r.heartbeatTimeout,
			}, most)
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
	r, err := s.readRecord(ended.JobID)
	if err != nil {
		return queue.Lease{}, err
	}
	built, err := s.buildSeenLease(&grant{
		token: token, jobID: ended.JobID, attempt: ended.Attempt,
		timeout: r.timeout, heartbeatTimeout: r.heartbeatTimeout,
	}, most)
	built.Canceled = canceled
	return built, err
}

// buildSeenLease is buildLease for one whose job may be over by now, and deleted: ErrNotExist then.
func (s *Store) buildSeenLease(g *grant, most int64) (queue.Lease, error) {
	l, err := s.buildLease(g, most)
	if errors.Is(err, queue.ErrDamaged) {
		if _, again := s.readRecord(g.jobID); errors.Is(again, queue.ErrNotExist) {
			return queue.Lease{}, again
		}
	}
	return l, err
}

// buildLease reads what a lease's holder is told, with up to so many bytes of results.
func (s *Store) buildLease(g *grant, most int64) (queue.Lease, error) {
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

		Timeout:          g.timeout,
		HeartbeatTimeout: g.heartbeatTimeout,
		Labels:           j.Labels,
		TraceParent:      j.TraceParent,
	}
	if len(j.Dependencies) > 0 {
		l.Dependencies = make([]queue.Dependency, len(j.Dependencies))
	}
	var size int64
	for i, edge := range j.Dependencies {
		d, err := s.readDependency(edge.ID, j.place)
		if err != nil {
			return queue.Lease{}, fmt.Errorf("read dependency %s of leased job %s: %w", edge.ID, g.jobID, err)
		}
		d.Name = edge.Name
		switch size += int64(sizeOfOutcome(d.Result, d.Error)); {
		case size > queue.MaxDependencyBytes:
			return queue.Lease{}, errDependenciesTooLarge
		case size > most:
			l.Dependencies, l.Withheld = nil, size // those that follow are only weighed
		default:
			l.Dependencies[i] = d
		}
	}
	return l, nil
}

func sizeOfOutcome(result json.RawMessage, e *queue.JobError) int {
	if e == nil {
		return len(result)
	}
	return len(result) + len(e.Reason) + len(e.Details)
}

var errDependenciesTooLarge = fmt.Errorf("the results of its dependencies exceed %d bytes", queue.MaxDependencyBytes)

// isDamage reports whether an error concerns one record only.
func isDamage(err error) bool {
	return errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotExist)
}

// mustExist makes damage of the absence of what a record says is there.
func mustExist(err error) error {
	if errors.Is(err, queue.ErrNotExist) {
		return fmt.Errorf("it is missing: %w", queue.ErrDamaged)
	}
	return err
}

// readDependency returns what the job with a place is to know of one that it depends on.
func (s *Store) readDependency(id uuid.UUID, place uint64) (queue.Dependency, error) {
	r, err := s.readKept(id)
	if errors.Is(err, queue.ErrNotExist) {
		var gone dependent
		if gone, err = s.readGone(id, place); err == nil {
			return queue.Dependency{ID: id, Type: gone.goneType, State: gone.gone, Deleted: true}, nil
		}
	}
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
