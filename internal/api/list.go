package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// defaultPage is how many jobs a page has at most when the client does not say.
const defaultPage = 100

// ListJobs answers GET /v1/jobs. The parameters were checked by checkQuery, each by itself.
func (a *API) ListJobs(ctx context.Context, request oapi.ListJobsRequestObject) (oapi.ListJobsResponseObject, error) {
	params := &request.Params
	filter, err := filterOf(params)
	if err != nil {
		return nil, err
	}
	listing := queue.Listing{Filter: filter, Limit: defaultPage}
	if params.Order != nil {
		listing.OldestFirst = *params.Order == oapi.OldestFirst
	}
	if params.Limit != nil {
		listing.Limit = *params.Limit
	}
	var fields fieldSet
	if params.Fields != nil {
		if fields, err = fieldsOf("fields", *params.Fields); err != nil {
			return nil, err
		}
		listing.Omit = fields.omitted()
	}
	of := digestOf(&listing)
	if params.Cursor != nil {
		cursor, err := cursorOf("cursor", *params.Cursor)
		if err != nil {
			return nil, err
		}
		if cursor.of != of {
			return nil, invalid("cursor", "is of another list; only limit and fields may change from page to page")
		}
		listing.After = cursor.after
	}
	if err := a.roomFor(ctx, min(listSize, 2*int64(listing.Limit)*(a.options.MaxArgsBytes+a.options.MaxResultBytes))); err != nil {
		return nil, err
	}
	page, err := a.queue.ListJobs(ctx, listing)
	if err != nil {
		return nil, err
	}
	answer := listAnswer{api: a, jobs: make([]oapi.Job, len(page.Jobs)), fields: fields}
	for i := range page.Jobs {
		answer.jobs[i] = jobView(&page.Jobs[i].Job, &page.Jobs[i].Status)
	}
	if page.Next != uuid.Nil {
		answer.next = cursor{of: of, after: page.Next}.String()
	}
	if holds := holdingOf(ctx); holds.answer != nil {
		holds.answer.Keep(2 * int64(jobListSize(answer.jobs, answer.next)))
	}
	return answer, nil
}

// listAnswer is a page of jobs.
type listAnswer struct {
	api    *API
	jobs   []oapi.Job
	fields fieldSet // nil for all
	next   string   // "" if it is the last page
}

// VisitListJobsResponse writes the answer.
func (a listAnswer) VisitListJobsResponse(w http.ResponseWriter) error {
	b, err := appendJobList(make([]byte, 0, jobListSize(a.jobs, a.next)), a.jobs, a.fields, a.next)
	if err != nil {
		return err
	}
	return a.api.writeJSON(w, http.StatusOK, b)
}
