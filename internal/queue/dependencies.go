package queue

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Admit returns the record of a new job and, if it is over before it began because of a
// dependency that failed, the outcome that says so. dependencies are what its dependencies
// are now, without repetitions, in the order given.
func Admit(runIf RunIf, dependencies []Dependency, now time.Time) (Record, *Outcome) {
	r := Record{State: Blocked, Queued: now}
	for _, dependency := range dependencies {
		if !dependency.State.Over() {
			r.Open++
		}
	}
	for _, dependency := range dependencies {
		if verdict := runIf.verdict(dependency.State); verdict.Over() {
			return r.over(verdict, now), verdictOutcome(verdict, dependency.ID)
		}
	}
	if r.Open == 0 {
		r.State = Pending
	}
	return r, nil
}

// Settle tells a job that one of its dependencies, open until now, is over. A blocked job
// becomes Pending with its last one, or is over at once if runIf says so: then the outcome,
// if any, says why. A job in any other state stays as it is: it was canceled, or settled by
// another dependency.
func (r Record) Settle(runIf RunIf, dependency uuid.UUID, state State, now time.Time) (Record, *Outcome) {
	if r.State != Blocked {
		return r, nil
	}
	if verdict := runIf.verdict(state); verdict.Over() {
		return r.over(verdict, now), verdictOutcome(verdict, dependency)
	}
	r.Open--
	if r.Open == 0 {
		r.State = Pending
	}
	return r, nil
}

// verdict is what a dependency's state makes of the job that waits for it: a terminal state,
// or Blocked when it decides nothing.
func (r RunIf) verdict(dependency State) State {
	if r == AllFinished {
		return Blocked
	}
	switch dependency {
	case Failed:
		return Failed
	case Canceled:
		return Canceled
	default:
		return Blocked
	}
}

func verdictOutcome(verdict State, dependency uuid.UUID) *Outcome {
	if verdict != Failed {
		return nil
	}
	details, err := json.Marshal(struct {
		Dependency uuid.UUID `json:"dependency"`
	}{dependency})
	if err != nil {
		panic(err) // a struct of one UUID always marshals
	}
	return &Outcome{Error: &JobError{Reason: ReasonDependencyFailed, Details: details}}
}

// Distinct returns ids without repetitions, each at its first place.
func Distinct(ids []uuid.UUID) []uuid.UUID {
	if len(ids) == 0 {
		return nil
	}
	distinct := make([]uuid.UUID, 0, len(ids))
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			distinct = append(distinct, id)
		}
	}
	return distinct
}
