package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// manyTime is how long one call about many jobs goes on before it answers with a cursor.
	manyTime = 10 * time.Second
	// mostMatched is the largest limit of such a call.
	mostMatched = 1_000_000
)

// action is what is done to many jobs.
type action struct {
	states []queue.State // that it can change
	// do does it to at most queue.MaxStep jobs, durably, and returns how many it has changed.
	do func(ctx context.Context, ids []uuid.UUID) (int, error)
}

// CancelJobs answers POST /v1/jobs/cancel.
func (a *API) CancelJobs(ctx context.Context, request oapi.CancelJobsRequestObject) (oapi.CancelJobsResponseObject, error) {
	answer, err := a.many(ctx, request.Body, action{
		states: []queue.State{queue.Scheduled, queue.Blocked, queue.Pending, queue.Running}, do: a.queue.CancelJobs,
	})
	return oapi.CancelJobs200JSONResponse(answer), err
}

// RetryJobs answers POST /v1/jobs/retry.
func (a *API) RetryJobs(ctx context.Context, request oapi.RetryJobsRequestObject) (oapi.RetryJobsResponseObject, error) {
	answer, err := a.many(ctx, request.Body, action{states: []queue.State{queue.Failed, queue.Canceled}, do: a.retryEach})
	return oapi.RetryJobs200JSONResponse(answer), err
}

// DeleteJobs answers POST /v1/jobs/delete.
func (a *API) DeleteJobs(ctx context.Context, request oapi.DeleteJobsRequestObject) (oapi.DeleteJobsResponseObject, error) {
	answer, err := a.many(ctx, request.Body, action{
		states: []queue.State{queue.Finished, queue.Failed, queue.Canceled}, do: a.queue.DeleteJobs,
	})
	return oapi.DeleteJobs200JSONResponse(answer), err
}

// many does something to all jobs that a filter means, page by page.
func (a *API) many(ctx context.Context, body *oapi.ManyJobs, act action) (answer oapi.ManyJobsAnswer, err error) {
	listing := queue.Listing{Omit: queue.Parts{Args: true, Outcome: true, Reported: true, Dependents: true}}
	if listing.Filter, err = meantBy(body, act.states); err != nil {
		return answer, err
	}
	of := digestOf(&listing)
	if body.Cursor != nil {
		cursor, err := cursorOf("cursor", *body.Cursor)
		if err != nil {
			return answer, err
		}
		if cursor.of != of {
			return answer, invalid("cursor", "is of another filter, or another call")
		}
		listing.After = cursor.after
	}
	limit := int64(mostMatched)
	if body.Limit != nil {
		if limit = int64(*body.Limit); limit < 1 || limit > mostMatched {
			return answer, invalid("limit", "must be an integer from 1 to "+itoa(mostMatched))
		}
	}
	end := time.Now().Add(manyTime)
	for {
		listing.Limit = int(min(queue.MaxStep, limit-answer.Matched))
		page, err := a.queue.ListJobs(ctx, listing)
		if err != nil {
			return answer, err
		}
		ids := make([]uuid.UUID, len(page.Jobs))
		for i := range ids {
			ids[i] = page.Jobs[i].Status.ID
		}
		answer.Matched += int64(len(ids))
		if len(ids) > 0 && (body.DryRun == nil || !*body.DryRun) {
			changed, err := act.do(ctx, ids)
			if err != nil {
				deedOf(ctx).many(changed) // retries are changes of their own
				return answer, err
			}
			answer.Changed += int64(changed)
			deedOf(ctx).many(changed)
		}
		if page.Next == uuid.Nil {
			return answer, nil
		}
		listing.After = page.Next
		if answer.Matched == limit || time.Now().After(end) || ctx.Err() != nil || a.stopping() {
			next := cursor{of: of, after: page.Next}.String()
			answer.NextCursor = &next
			return answer, nil
		}
	}
}

// meantBy reads which jobs a call is about; changeable are the states that it can change.
func meantBy(body *oapi.ManyJobs, changeable []queue.State) (f queue.Filter, err error) {
	given := body.Filter
	all := body.All != nil && *body.All
	switch {
	case given != nil && *given == (oapi.JobFilter{}):
		return f, invalid("filter", "must have a member; to mean every job leave it out, and set all")
	case given == nil && !all:
		return f, invalid("filter", "is required; to mean every job set all")
	case given != nil && all:
		return f, invalid("all", "and filter contradict each other; give one of them")
	}
	f.States = changeable
	if given == nil {
		return f, nil
	}
	if given.States != nil {
		if f.States, err = statesWanted(*given.States, changeable); err != nil {
			return f, err
		}
	}
	for _, names := range []struct {
		field string
		given *[]string
		into  *[]string
	}{{"types", given.Types, &f.Types}, {"channels", given.Channels, &f.Channels}} {
		if names.given == nil {
			continue
		}
		if *names.into = *names.given; len(*names.into) == 0 {
			return f, invalid("filter."+names.field, "must name at least one, or be left out")
		}
	}
	if given.Labels != nil {
		if len(*given.Labels) == 0 {
			return f, invalid("filter.labels", "must name at least one, or be left out")
		}
		f.Labels = labelsOf(*given.Labels)
	}
	f.QueuedFrom, f.QueuedBefore = timeOf(given.QueuedFrom), timeOf(given.QueuedBefore)
	return f, inFilter(f.Validate())
}

// inFilter names the field of a filter's error as the body has it.
func inFilter(err error) error {
	var field *queue.InvalidError
	if !errors.As(err, &field) {
		return err
	}
	name := field.Field
	for _, of := range []string{"type", "channel", "label"} {
		if rest, is := cutName(name, of); is {
			name = of + "s" + rest
		}
	}
	return invalid("filter."+name, field.Reason)
}

// cutName cuts a name off a field, unless that goes on with a letter.
func cutName(field, name string) (rest string, is bool) {
	if len(field) < len(name) || field[:len(name)] != name || len(field) > len(name) && field[len(name)] != '[' {
		return "", false
	}
	return field[len(name):], true
}

func statesWanted(given []oapi.JobState, changeable []queue.State) (states []queue.State, err error) {
	for i, word := range given {
		field := fmt.Sprintf("filter.states[%d]", i)
		state, known := stateOf(string(word))
		switch {
		case !known:
			return nil, invalid(field, "must be "+stateNames())
		case !slices.Contains(changeable, state):
			return nil, invalid(field, "the call cannot change jobs that are "+state.String())
		case slices.Contains(states, state):
			return nil, invalid(field, "is there twice")
		}
		states = append(states, state)
	}
	if len(states) == 0 {
		return nil, invalid("filter.states", "must name at least one, or be left out")
	}
	slices.Sort(states)
	return states, nil
}

// retryEach retries jobs one by one, several at a time.
func (a *API) retryEach(ctx context.Context, ids []uuid.UUID) (int, error) {
	var changed atomic.Int64
	errs := make([]error, len(ids))
	together(len(ids), func(i int) {
		switch err := a.queue.RetryJob(ctx, ids[i]); {
		case err == nil:
			changed.Add(1)
		case errors.Is(err, queue.ErrNotExist), errors.Is(err, queue.ErrNotFailed), errors.Is(err, queue.ErrUniqueKeyTaken),
			errors.Is(err, queue.ErrDependencyFailed), errors.Is(err, queue.ErrDamaged):
		default:
			errs[i] = err
		}
	})
	return int(changed.Load()), errors.Join(errs...)
}
