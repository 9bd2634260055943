package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// defaultPage is how many jobs a page has at most when the client does not say.
const defaultPage = 100

// ListJobs answers GET /v1/jobs. The parameters were checked by checkQuery, each by itself.
func (a *API) ListJobs(ctx context.Context, request oapi.ListJobsRequestObject) (oapi.ListJobsResponseObject, error) {
	listing := queue.Listing{Limit: defaultPage}
	if request.Params.Limit != nil {
		listing.Limit = *request.Params.Limit
	}
	states := allStates()
	if request.Params.State != nil {
		var err error
		if states, err = statesOf("state", *request.Params.State); err != nil {
			return nil, err
		}
	}
	if states != allStates() {
		listing.States = states.list()
	}
	if request.Params.Cursor != nil {
		cursor, err := cursorOf("cursor", *request.Params.Cursor)
		if err != nil {
			return nil, err
		}
		if cursor.states != states {
			return nil, invalid("cursor", "is of a list of other states; ask for the same ones")
		}
		listing.Before = cursor.before
	}
	page, err := a.queue.ListJobs(ctx, listing)
	if err != nil {
		return nil, err
	}
	answer := listAnswer{api: a, jobs: make([]oapi.Job, len(page.Jobs))}
	for i := range page.Jobs {
		answer.jobs[i] = jobView(&page.Jobs[i].Job, &page.Jobs[i].Status)
	}
	if page.Next != uuid.Nil {
		answer.next = cursor{states: states, before: page.Next}.String()
	}
	return answer, nil
}

// listAnswer is a page of jobs.
type listAnswer struct {
	api  *API
	jobs []oapi.Job
	next string // "" if it is the last page
}

// VisitListJobsResponse writes the answer.
func (a listAnswer) VisitListJobsResponse(w http.ResponseWriter) error {
	return a.api.writeJSON(w, http.StatusOK, appendJobList(make([]byte, 0, jobListSize(a.jobs, a.next)), a.jobs, a.next))
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

// list returns the states of the set, in the order of a job's life.
func (s stateSet) list() []queue.State {
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

// cursor is where the next page of a list begins. Clients see it as text that says nothing: it
// may come to mean something else.
type cursor struct {
	states stateSet  // of the list that it belongs to
	before uuid.UUID // the last job of the page before
}

// cursorVersion is the first byte of a cursor, to tell what it is.
const cursorVersion = 1

// String is the cursor as clients see it.
func (c cursor) String() string {
	b := make([]byte, 0, 2+len(c.before))
	b = append(b, cursorVersion, byte(c.states))
	return base64.RawURLEncoding.EncodeToString(append(b, c.before[:]...))
}

// cursorOf is the inverse of String.
func cursorOf(name, text string) (cursor, error) {
	var c cursor
	if len(text) == base64.RawURLEncoding.EncodedLen(2+len(c.before)) {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err == nil && len(b) == 2+len(c.before) && b[0] == cursorVersion && copy(c.before[:], b[2:]) > 0 && c.before != uuid.Nil {
			c.states = stateSet(b[1])
			return c, nil
		}
	}
	return cursor{}, invalid(name, "is no next_cursor of this server")
}
