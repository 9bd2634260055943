package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Enqueue implements queue.JobQueue.
func (s *Store) Enqueue(_ context.Context, jobs []queue.NewJob) ([]queue.Status, error) {
	prepared := make([]job, len(jobs))
	for i, n := range jobs {
		if err := n.Validate(); err != nil {
			return nil, fmt.Errorf("job %d: %w", i, err)
		}
		var err error
		if prepared[i], err = newJob(n); err != nil {
			return nil, err
		}
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()

	statuses := make([]queue.Status, len(jobs))
	group, err := s.commit(func(c *change) error {
		for i := range prepared {
			j := &prepared[i]
			r, outcome, err := c.enqueue(j)
			if missing := (*queue.DependencyError)(nil); errors.As(err, &missing) {
				missing.Job = i
				missing.Index = slices.Index(jobs[i].Dependencies, missing.ID)
			}
			if err != nil {
				return err
			}
			statuses[i] = statusOf(&j.Job, &r, outcome)
		}
		return nil
	})
	if err != nil {
		return nil, s.answer(err)
	}
	if err := s.durable(group); err != nil {
		return nil, err
	}
	return statuses, nil
}

func newJob(n queue.NewJob) (job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return job{}, fmt.Errorf("make a job's id: %w", err)
	}
	lane := n.Lane()
	j := job{Job: queue.Job{
		ID:           id,
		Type:         lane.Type,
		Channel:      lane.Channel,
		Args:         n.Args,
		Dependencies: queue.Distinct(n.Dependencies),
		RunIf:        n.RunIf,
		MaxRetries:   n.MaxRetries,
	}}
	if len(j.Args) == 0 {
		j.Args = json.RawMessage(jsonNull)
	}
	return j, nil
}

// enqueue adds one job. A *queue.DependencyError has neither Job nor Index yet.
func (c *change) enqueue(j *job) (record, queue.Outcome, error) {
	j.place = c.nextPlace()
	dependencies, err := c.dependOn(j)
	if err != nil {
		return record{}, queue.Outcome{}, err
	}
	var r record
	var outcome *queue.Outcome
	r.Record, outcome = queue.Admit(j.RunIf, dependencies, c.now)
	c.setJob(j)
	if r.State == queue.Pending {
		c.enqueueReady(waitingJob{id: j.ID, lane: j.Lane(), place: j.place, record: r, fresh: r.asEnqueued()})
	} else {
		c.setRecord(j.ID, r)
	}
	if outcome == nil {
		return r, queue.Outcome{}, nil
	}
	c.setOutcome(j.ID, *outcome)
	return r, *outcome, nil
}

// dependOn makes the job a dependent of its dependencies, and returns what they are now.
func (c *change) dependOn(j *job) ([]queue.Dependency, error) {
	if len(j.Dependencies) == 0 {
		return nil, nil
	}
	c.meetAgain()
	dependencies := make([]queue.Dependency, len(j.Dependencies))
	for i, id := range j.Dependencies {
		r, err := c.readRecord(id)
		if errors.Is(err, queue.ErrNotExist) {
			return nil, &queue.DependencyError{ID: id}
		}
		if err != nil {
			return nil, fmt.Errorf("read dependency %s: %w", id, err)
		}
		if !r.hasDependents && !r.State.Over() {
			if err := c.setHasDependents(id, r); err != nil {
				return nil, fmt.Errorf("read dependency %s: %w", id, err)
			}
		}
		c.setDependent(id, j, r.State.Over())
		dependencies[i] = queue.Dependency{ID: id, State: r.State}
	}
	return dependencies, nil
}

// setHasDependents remembers that a job has its first dependent. A pending one may be as it was
// enqueued until then, and its ready entry say so.
func (c *change) setHasDependents(id uuid.UUID, r record) error {
	if r.asEnqueued() {
		j, err := c.store.readJob(id, false)
		if err != nil {
			return err
		}
		c.setReady(j.Lane(), j.place, id, time.Time{})
	}
	r.hasDependents = true
	c.setRecord(id, r)
	return nil
}
