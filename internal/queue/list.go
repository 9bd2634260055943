package queue

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MaxPage is how many jobs one page of a list may have.
const MaxPage = 1000

// MaxStep is how many jobs are canceled or deleted in one change.
const MaxStep = 256

// Filter says which jobs are meant: those of which all of it holds. The zero Filter means every
// job.
type Filter struct {
	States       []State       // any of these; none is all
	Types        []string      // any of these; none is all
	Channels     []string      // any of these; none is all
	Labels       []LabelFilter // all of these
	QueuedFrom   time.Time     // queued then or later; zero is any time
	QueuedBefore time.Time     // zero is any time
}

// LabelFilter means jobs that have a label.
type LabelFilter struct {
	Name  string
	Value *string // nil is any value
}

// Validate returns an *InvalidError for the first field that breaks a limit or contradicts
// another one.
func (f *Filter) Validate() error {
	if err := validateNames("type", f.Types); err != nil {
		return err
	}
	if err := validateNames("channel", f.Channels); err != nil {
		return err
	}
	if len(f.Labels) > MaxLabels {
		return &InvalidError{Field: "label", Reason: fmt.Sprintf("is there %d times; at most %d are allowed", len(f.Labels), MaxLabels)}
	}
	for i := range f.Labels {
		if err := f.Labels[i].validate(f.Labels[:i]); err != nil {
			return err
		}
	}
	if err := ValidateTime("queued_from", f.QueuedFrom); err != nil {
		return err
	}
	if err := ValidateTime("queued_before", f.QueuedBefore); err != nil {
		return err
	}
	if !f.QueuedFrom.IsZero() && !f.QueuedBefore.IsZero() && !f.QueuedFrom.Before(f.QueuedBefore) {
		return &InvalidError{Field: "queued_before", Reason: "must be after queued_from"}
	}
	return nil
}

func (l *LabelFilter) validate(others []LabelFilter) error {
	if len(l.Name) > MaxLabelName || !validName(l.Name) {
		return &InvalidError{Field: "label", Reason: fmt.Sprintf("the name %q must be 1 to %d %s", shown(l.Name), MaxLabelName, nameAlphabet)}
	}
	if l.Value != nil && (len(*l.Value) > MaxLabelValue || !plainText(*l.Value)) {
		return &InvalidError{Field: "label", Reason: fmt.Sprintf("the value of %s must be UTF-8 text of at most %d bytes, without control characters", l.Name, MaxLabelValue)}
	}
	if slices.ContainsFunc(others, func(other LabelFilter) bool { return other.Name == l.Name }) {
		return &InvalidError{Field: "label", Reason: l.Name + " is there twice"}
	}
	return nil
}

// Matches reports whether the filter means a job: what was given, its state, and when it was
// queued.
func (f *Filter) Matches(j *Job, state State, queued time.Time) bool {
	return f.MatchesState(state) && f.MatchesLane(j.Lane()) && f.MatchesLabels(j.Labels) &&
		(f.QueuedFrom.IsZero() || !queued.Before(f.QueuedFrom)) &&
		(f.QueuedBefore.IsZero() || queued.Before(f.QueuedBefore))
}

// MatchesState reports whether the filter means jobs in a state.
func (f *Filter) MatchesState(state State) bool {
	return len(f.States) == 0 || slices.Contains(f.States, state)
}

// MatchesLane reports whether the filter means jobs of a lane.
func (f *Filter) MatchesLane(lane Lane) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, lane.Type)) &&
		(len(f.Channels) == 0 || slices.Contains(f.Channels, lane.Channel))
}

// MatchesLabels reports whether the filter means jobs with those labels.
func (f *Filter) MatchesLabels(labels map[string]string) bool {
	for _, wanted := range f.Labels {
		if value, has := labels[wanted.Name]; !has || wanted.Value != nil && value != *wanted.Value {
			return false
		}
	}
	return true
}

// Listing asks for one page of jobs, by the time at which they were queued, and those that were
// queued at the same time in the order of their ids.
type Listing struct {
	Filter
	OldestFirst bool // else the newest is first
	// After leaves out the job with that id and all that come before it in the list; the zero
	// id leaves out none.
	After uuid.UUID
	Limit int // 1 to MaxPage
	// Omit has parts of each job left out, which makes the list cheaper.
	Omit Parts
}

// Parts are parts of a ListedJob that may be large, or dear to read.
type Parts struct {
	Args       bool // Job.Args
	Outcome    bool // Status.Result, Status.Error
	Reported   bool // Status.Progress, Status.PartialResult
	Dependents bool // Status.Dependents
}

// Page is a part of a list.
type Page struct {
	Jobs []ListedJob
	// Next is the After of the next page; the zero id if this was the last one. A page may
	// have fewer jobs than its limit, even none, although it is not the last: looking for
	// rare ones ends after a while.
	Next uuid.UUID
}

// ListedJob is a job in a list.
type ListedJob struct {
	Job    Job
	Status Status
}
