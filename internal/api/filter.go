package api

import (
	"strings"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// filterOf reads which jobs a list is to have.
func filterOf(params *oapi.ListJobsParams) (f queue.Filter, err error) {
	if params.State != nil {
		states, err := statesOf("state", *params.State)
		if err != nil {
			return f, err
		}
		f.States = states.list()
	}
	if params.Type != nil {
		if f.Types, err = namesOf("type", *params.Type); err != nil {
			return f, err
		}
	}
	if params.Channel != nil {
		if f.Channels, err = namesOf("channel", *params.Channel); err != nil {
			return f, err
		}
	}
	if params.Label != nil {
		f.Labels = labelsOf(*params.Label)
	}
	f.QueuedFrom, f.QueuedBefore = timeOf(params.QueuedFrom), timeOf(params.QueuedBefore)
	if err := f.Validate(); err != nil {
		return queue.Filter{}, err
	}
	return f, nil
}

// labelsOf reads labels that jobs are to have.
func labelsOf(given []string) []queue.LabelFilter {
	labels := make([]queue.LabelFilter, len(given))
	for i, text := range given {
		name, value, hasValue := strings.Cut(text, "=")
		labels[i].Name = name
		if hasValue {
			labels[i].Value = &value
		}
	}
	return labels
}

// namesOf reads names that are separated by commas. None twice: whoever writes that means
// another one.
func namesOf(parameter, text string) ([]string, error) {
	names := strings.Split(text, ",")
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		if name == "" {
			return nil, invalid(parameter, "must be names, separated by commas")
		}
		if _, twice := seen[name]; twice {
			return nil, invalid(parameter, shorten(name)+" is there twice")
		}
		seen[name] = struct{}{}
	}
	return names, nil
}

// idsOf reads ids that are separated by commas.
func idsOf(parameter, text string) ([]uuid.UUID, error) {
	names, err := namesOf(parameter, text)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(names))
	for i, name := range names {
		var ok bool
		if ids[i], ok = parseUUID(name); !ok {
			return nil, invalid(parameter, "must be UUIDs of 36 characters, separated by commas")
		}
	}
	return ids, nil
}

// stateSet has the bit 1<<s for each state s.
type stateSet uint8

func allStates() stateSet {
	var all stateSet
	for _, s := range queue.States() {
		all |= 1 << s
	}
	return all
}

// list returns the states of the set, in the order of a job's life; nil if it has all.
func (s stateSet) list() []queue.State {
	if s == allStates() {
		return nil
	}
	var states []queue.State
	for _, state := range queue.States() {
		if s&(1<<state) != 0 {
			states = append(states, state)
		}
	}
	return states
}

// statesOf reads states that are separated by commas. None twice: whoever writes that means
// another one.
func statesOf(name, text string) (stateSet, error) {
	var set stateSet
	for word := range strings.SplitSeq(text, ",") {
		state, known := stateOf(word)
		switch {
		case !known:
			return 0, invalid(name, "must be "+stateNames()+", separated by commas")
		case set&(1<<state) != 0:
			return 0, invalid(name, state.String()+" is there twice")
		}
		set |= 1 << state
	}
	return set, nil
}

func stateOf(word string) (queue.State, bool) {
	for _, state := range queue.States() {
		if word == state.String() {
			return state, true
		}
	}
	return 0, false
}

func stateNames() string {
	states := queue.States()
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = state.String()
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
