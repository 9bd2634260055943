package queue

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Admit returns the record of a new job and, if it is over before it began, the outcome that
// says why, if there is one. states are what the job's dependencies are now, in their order.
func (j *Job) Admit(states []State, now time.Time) (Record, *Outcome) {
	return j.settle(Record{Priority: j.Priority, Queued: now, RunAt: j.RunAt, ExpiresAt: j.ExpiresAt}, states, now)
}

// Renew begins a new generation of a job that failed or was canceled: it is Blocked, Scheduled
// or Pending, as Admit would say, with all its budgets as at first; and if a dependency
// decides against it, as it was. ErrNotFailed in any other state.
func (j *Job) Renew(r Record, states []State, now time.Time) (Record, error) {
	if r.State != Failed && r.State != Canceled {
		return r, ErrNotFailed
	}
	next := r
	next.Retries, next.Failures, next.Timeouts = 0, 0, 0
	next.Generation++
	next.Started, next.Finished, next.ExpiresAt = time.Time{}, time.Time{}, time.Time{}
	next.Worker, next.Principal = "", ""
	next.ByDependency = false
	next, _ = j.settle(next, states, now)
	if next.State.Over() {
		return r, nil
	}
	return next, nil
}

// settle decides where a job begins.
func (j *Job) settle(r Record, states []State, now time.Time) (Record, *Outcome) {
	r.State = Blocked
	r.Open = 0
	for _, state := range states {
		if !state.Over() {
			r.Open++
		}
	}
	for i, state := range states {
		if verdict := j.Dependencies[i].If.verdict(state); verdict.Over() {
			return r.overBy(verdict, j.Dependencies[i].ID, now)
		}
	}
	if r.Expired(now) {
		outcome := ExpiredOutcome()
		return r.over(Failed, now), &outcome
	}
	if r.Open == 0 {
		r = r.ready(now)
	}
	return r.changed(), nil
}

// Settle tells a job that one of its dependencies, open until now, is over. A blocked job
// becomes Pending or Scheduled with its last one, or is over at once if the edge's condition
// says so: then the outcome, if any, says why. A running one, which was begun before a retry of
// the dependency, goes on. A job that is over stays as it is: it was canceled, or settled by
// another dependency.
func (r Record) Settle(dependency uuid.UUID, condition Condition, state State, now time.Time) (Record, *Outcome) {
	if r.Open == 0 {
		return r, nil
	}
	if r.State == Running {
		r.Open--
		return r, nil
	}
	if verdict := condition.verdict(state); verdict.Over() {
		return r.overBy(verdict, dependency, now)
	}
	r.Open--
	if r.Open > 0 {
		return r, nil // nothing that is shown has changed
	}
	return r.ready(now).changed(), nil
}

// Reopen tells a job that one of its dependencies, over until now, is to run once more, because
// of an operator's retry. A job that waits, waits for that one too; a running one does when it
// comes back. A job that is over stays as it is.
func (r Record) Reopen() Record {
	if r.State.Over() {
		return r
	}
	r.Open++
	if r.State == Blocked || r.State == Running {
		return r // nothing that is shown has changed
	}
	r.State = Blocked
	return r.changed()
}

// verdict is what a dependency's state makes of the job that waits for it: a terminal state,
// or Blocked when it decides nothing.
func (c Condition) verdict(dependency State) State {
	if c == IfSucceeded && (dependency == Failed || dependency == Canceled) {
		return dependency
	}
	return Blocked
}

// DecidesAgainst reports whether a dependency in that state ends the job that has the condition.
func (c Condition) DecidesAgainst(dependency State) bool { return c.verdict(dependency).Over() }

// overBy ends a job because of a dependency.
func (r Record) overBy(verdict State, dependency uuid.UUID, now time.Time) (Record, *Outcome) {
	r = r.over(verdict, now)
	r.ByDependency = true
	if verdict != Failed {
		return r, nil
	}
	details, err := json.Marshal(struct {
		Dependency uuid.UUID `json:"dependency"`
	}{dependency})
	if err != nil {
		panic(err) // a struct of one UUID always marshals
	}
	return r, &Outcome{Error: &JobError{Reason: ReasonDependencyFailed, Details: details}}
}

// distinctEdges returns edges without repetitions of an id, each at its first place. A need may
// have come to the same job as another one, or as a dependency, by its unique key: then the
// strictest condition holds, and the first name there is.
func distinctEdges(edges []Edge) []Edge {
	if len(edges) == 0 {
		return nil
	}
	distinct := make([]Edge, 0, len(edges))
	places := make(map[uuid.UUID]int, len(edges))
	for _, edge := range edges {
		place, seen := places[edge.ID]
		if !seen {
			places[edge.ID] = len(distinct)
			distinct = append(distinct, edge)
			continue
		}
		first := &distinct[place]
		if edge.If == IfSucceeded {
			first.If = IfSucceeded
		}
		if first.Name == "" {
			first.Name = edge.Name
		}
	}
	return distinct
}
