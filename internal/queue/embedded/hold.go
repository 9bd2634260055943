package embedded

import (
	"slices"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Between two steps of a retry there are jobs that have come back, and dependents of theirs that have
// not been told: one that runs whatever became of them may be in line, or about to be. It is looked
// at when it is about to be leased, and is told then, ahead of the step that would have.
//
// Rejected: to have a job come back only after all its dependents were told, as the root does. Each of
// them would have to count as what it will be until then, with everything that may happen to it and
// to its other dependencies meanwhile.

// holdBack has a pending job, which is about to be leased, wait for a dependency that has come back, and
// tells whether there is one it did not wait for. It finds none unless a retry is under way.
func (c *change) holdBack(j *waitingJob) (held bool, err error) {
	if len(c.store.reviving) == 0 || j.fresh {
		return false, nil
	}
	stored, err := c.store.readJob(j.id, false)
	if isDamage(err) {
		return false, nil // whoever is handed it finds out; or this very change has enqueued it, and knew all
	}
	if err != nil {
		return false, err
	}
	for i := range stored.Dependencies {
		if stored.Dependencies[i].If.DecidesAgainst(queue.Failed) {
			continue // what comes back had failed or was canceled, and has ended the job
		}
		held, err = c.holdBackFor(j, &stored.Dependencies[i])
		if held || err != nil && !isDamage(err) {
			return held, err
		}
	}
	return false, nil
}

// holdBackFor is holdBack for one dependency.
func (c *change) holdBackFor(j *waitingJob, edge *queue.Edge) (held bool, err error) {
	r, err := c.readKept(edge.ID)
	if err != nil || r.State.Over() {
		return false, err
	}
	key := dependentKey(nil, edge.ID, j.place)
	d, met := c.edges[string(key)]
	if !met {
		value, found, err := c.store.get(key)
		if err != nil || !found {
			return false, err
		}
		if d, err = decodeDependent(edge.ID, value); err != nil {
			return false, err
		}
	}
	if d.generation == r.Generation && !d.settled {
		return false, nil // it knows, and should not be pending: the audit finds that
	}
	// What follows in this change may meet both again.
	c.meetAgain()
	if c.edges == nil {
		c.edges = make(map[string]dependent)
	}
	c.leave(*j)
	waits := j.record
	waits.Record = waits.Reopen()
	c.setRecord(j.id, &waits)
	d.generation, d.settled = r.Generation, false
	c.writeDependent(key, d)
	return true, nil
}

// holdBackReady is holdBack for the jobs that this change has made ready, some of which somebody may be
// waiting for.
func (c *change) holdBackReady() error {
	if len(c.store.reviving) == 0 {
		return nil
	}
	for _, j := range slices.Clone(c.waiting) {
		if r, found := c.overlay[j.id]; found {
			j.record, j.fresh = r, j.fresh && r.asEnqueued()
		}
		if _, err := c.holdBack(&j); err != nil {
			return err
		}
	}
	return nil
}
