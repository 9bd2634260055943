package embedded

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Job implements queue.JobQueue.
func (s *Store) Job(_ context.Context, id uuid.UUID) (queue.Job, error) {
	if err := s.enter(); err != nil {
		return queue.Job{}, err
	}
	defer s.leave()
	_, err := s.readRecord(id)
	var j job
	if err == nil {
		j, err = s.readJob(id, true)
	}
	return j.Job, s.answer(err)
}

// JobStatus implements queue.JobQueue.
func (s *Store) JobStatus(_ context.Context, id uuid.UUID) (queue.Status, error) {
	if err := s.enter(); err != nil {
		return queue.Status{}, err
	}
	defer s.leave()
	status, err := s.readStatus(id)
	return status, s.answer(err)
}

// readStatus reads the record first: what it says is there is there, because a change is visible as a whole, and
// what is over does not change any more, unless it is retried or deleted in this very moment: then it looks again.
func (s *Store) readStatus(id uuid.UUID) (queue.Status, error) { return s.readParts(id, queue.Parts{}) }

// readParts is readStatus without some parts.
func (s *Store) readParts(id uuid.UUID, omit queue.Parts) (queue.Status, error) {
	for {
		status, err := s.tryStatus(id, omit)
		if err != nil || omit.Outcome || !lacksOutcome(&status) {
			return status, err
		}
		if again, err := s.readRecord(id); err != nil || again.State == status.State && again.Version == status.Version {
			return status, err
		}
	}
}

// lacksOutcome reports whether a job should have an outcome and has none.
func lacksOutcome(status *queue.Status) bool {
	return status.State == queue.Failed && status.Error == nil || status.State == queue.Finished && status.Result == nil
}

func (s *Store) tryStatus(id uuid.UUID, omit queue.Parts) (queue.Status, error) {
	r, err := s.readRecord(id)
	if err != nil {
		return queue.Status{}, err
	}
	j, err := s.readJob(id, false)
	if err != nil {
		return queue.Status{}, err
	}
	var outcome queue.Outcome
	if r.State.Over() && !omit.Outcome {
		if outcome, err = s.readOutcome(id); err != nil {
			return queue.Status{}, err
		}
	}
	status := queue.StatusOf(&j.Job, &r.Record, outcome)
	if !omit.Dependents {
		prefix := idKey(nil, prefixDependent, id)
		err = s.scan(prefix, after(prefix), func(_, value []byte) (bool, error) {
			t, err := decodeDependent(id, value)
			status.Dependents = append(status.Dependents, t.id)
			return true, err
		})
	}
	if err == nil && r.hasReported && !omit.Reported {
		status.Progress, status.PartialResult, err = s.readReported(id)
	}
	return status, err
}
