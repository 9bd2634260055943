package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Snapshot is a job as one answer showed it.
type Snapshot struct {
	Job
	// ETag is the job's version, for Update. It changes with everything that is shown of the
	// job but Dependents.
	ETag string
	// Existing tells that Enqueue created nothing: this job, which is not over, has the
	// UniqueKey.
	Existing bool
}

// errNoJob: something in between may answer 200, with JSON of its own.
var errNoJob = errors.New("the answer is not a job")

// snapshotOf reads an answer that is a job.
func snapshotOf(resp *http.Response, err error, want ...int) (*Snapshot, error) {
	job, err := decode[Job](resp, err, want...)
	if err != nil {
		return nil, err
	}
	if job.Id == uuid.Nil {
		return nil, errNoJob
	}
	return &Snapshot{Job: *job, ETag: resp.Header.Get("ETag")}, nil
}

// Job looks at a job.
func (c *Client) Job(ctx context.Context, id JobId) (*Snapshot, error) {
	resp, err := c.api.GetJob(ctx, id, nil)
	job, err := snapshotOf(resp, err, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("look at job %s: %w", id, err)
	}
	return job, nil
}

// Update changes the priority, the time or the labels of a job that waits, and leaves what is
// nil as it is. Unless ifMatch is empty, it does so only if the job still has that
// Snapshot.ETag: else it is a *Problem with CodeJobChanged. If the job does not wait any more
// it is one with CodeJobNotPending.
func (c *Client) Update(ctx context.Context, id JobId, update JobUpdate, ifMatch string) (*Snapshot, error) {
	params := &UpdateJobParams{}
	if ifMatch != "" {
		params.IfMatch = &ifMatch
	}
	resp, err := c.api.UpdateJob(ctx, id, params, update)
	job, err := snapshotOf(resp, err, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("update job %s: %w", id, err)
	}
	return job, nil
}

// Cancel cancels a job, and through it those that need its success. When it returns nil the
// job will not be handed out any more, and no report on it is accepted. A job that is over is
// not changed: that is a *Problem with CodeJobNotRunning.
func (c *Client) Cancel(ctx context.Context, id JobId) error {
	resp, err := c.api.CancelJob(ctx, id, Nothing{})
	if _, err = snapshotOf(resp, err, http.StatusOK); err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	return nil
}

// Retry runs a job again that failed or was canceled, with all its budgets as at first, and
// brings back the jobs that failed or were canceled because of it. Any other job is not
// changed: that is a *Problem with CodeJobNotFailed, also for the second of two calls. One that
// a dependency decides against is CodeDependencyFailed: retry that one.
func (c *Client) Retry(ctx context.Context, id JobId) (*Snapshot, error) {
	resp, err := c.api.RetryJob(ctx, id, Nothing{})
	job, err := snapshotOf(resp, err, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("retry job %s: %w", id, err)
	}
	return job, nil
}

// List goes through all jobs that are in one of the states, newest first; no state is every
// job. See Find.
func (c *Client) List(ctx context.Context, states ...JobState) iter.Seq2[*Job, error] {
	var params ListJobsParams
	if len(states) > 0 {
		names := make([]string, len(states))
		for i, state := range states {
			names[i] = string(state)
		}
		params.State = new(strings.Join(names, ","))
	}
	return c.Find(ctx, params)
}

// page is a JobList whose jobs may be whole.
type page struct {
	Jobs       []Job   `json:"jobs"`
	NextCursor *string `json:"next_cursor"`
}

// Find goes through all jobs that the parameters ask for, from their Cursor on if they have one.
// It fetches them page by page, as they are looked at. An error is the last pair, and has no job.
// With Fields the rest of each job is zero.
func (c *Client) Find(ctx context.Context, params ListJobsParams) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		params := params
		for {
			page, err := repeat(ctx, c.retryTimeout, 0, func(ctx context.Context) (*page, error) {
				resp, err := c.api.ListJobs(ctx, &params)
				page, err := decode[page](resp, err, http.StatusOK)
				if err == nil && page.Jobs == nil {
					err = errors.New("the answer is not a list of jobs")
				}
				return page, err
			})
			if err != nil {
				yield(nil, fmt.Errorf("list jobs: %w", err))
				return
			}
			for i := range page.Jobs {
				if !yield(&page.Jobs[i], nil) {
					return
				}
			}
			if page.NextCursor == nil {
				return
			}
			params.Cursor = page.NextCursor
		}
	}
}
