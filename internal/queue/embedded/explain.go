package embedded

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Explain says why a job is not running, or what else it does. ErrNotExist.
func (s *Store) Explain(_ context.Context, id uuid.UUID) (queue.Explanation, error) {
	if err := s.enter(); err != nil {
		return queue.Explanation{}, err
	}
	defer s.leave()
	e, err := s.explain(id)
	return e, s.answer(err)
}

// explain looks again if the job has changed meanwhile: what was read first would not go with the rest.
func (s *Store) explain(id uuid.UUID) (e queue.Explanation, err error) {
	for {
		if e, err = s.tryExplain(id); err != nil {
			return e, err
		}
		r, err := s.readRecord(id)
		if err != nil || r.State == e.Status.State && r.Version == e.Status.Version {
			return e, err
		}
	}
}

func (s *Store) tryExplain(id uuid.UUID) (e queue.Explanation, err error) {
	r, err := s.readRecord(id)
	if err != nil {
		return e, err
	}
	j, err := s.readJob(id, false)
	if err != nil {
		return e, err
	}
	e = queue.Explanation{Now: s.now(), Expires: r.ExpiresAt, Lane: j.Lane()}
	var outcome queue.Outcome
	if r.State.Over() {
		if outcome, err = s.readOutcome(id); err != nil {
			return e, err
		}
		outcome.Result = nil
	}
	e.Status = queue.StatusOf(&j.Job, &r.Record, outcome)
	attempts, err := s.readAttempts(id)
	if err != nil {
		return e, err
	}
	if len(attempts) > 0 {
		e.Last = &attempts[len(attempts)-1]
	}
	switch r.State {
	case queue.Blocked:
		err = s.explainOpen(&e)
	case queue.Pending:
		err = s.explainLine(&e, r.position(j.place))
	case queue.Running:
		e.Beat = storedTime(s.leases.lastBeat(r.Token))
	default:
	}
	return e, err
}

// explainOpen finds the dependencies that are not over.
func (s *Store) explainOpen(e *queue.Explanation) error {
	for _, dependency := range e.Status.Dependencies {
		r, err := s.readKept(dependency)
		switch {
		case isDamage(err):
			continue // one that was deleted is over
		case err != nil:
			return err
		case r.State.Over():
			continue
		}
		e.OpenAll++
		if len(e.Open) < queue.MaxOpen {
			e.Open = append(e.Open, dependency)
		}
	}
	return nil
}

// explainLine counts who stands before a job, and who asks for it.
func (s *Store) explainLine(e *queue.Explanation, own position) error {
	e.Askers = s.roster.Asking(e.Lane, s.now())
	return s.scanReady(e.Lane, func(at position, _ uuid.UUID) (bool, error) {
		if at.compare(own) >= 0 || e.Ahead == queue.MaxAhead {
			return false, nil
		}
		e.Ahead++
		return true, nil
	})
}
