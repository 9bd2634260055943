package api

import (
	"context"
	"net/http"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// CreateJob answers POST /v1/jobs.
func (a *API) CreateJob(ctx context.Context, request oapi.CreateJobRequestObject) (oapi.CreateJobResponseObject, error) {
	terms := termsOf(ctx)
	jobs := make([]queue.NewJob, 1)
	job := &jobs[0]
	if err := a.producer.job(job, request.Body, terms.trace()); err != nil {
		return nil, err
	}
	if err := job.Validate(); err != nil {
		return nil, err
	}
	once := terms.once()
	created, err := a.enqueue(ctx, jobs, once)
	if err != nil {
		return nil, err
	}
	status := &created[0].Status
	if created[0].Existing {
		// As it is now, in full, which may be more than the queue was asked to tell.
		now, err := a.queue.JobStatus(ctx, status.ID)
		if err != nil {
			return nil, err
		}
		return a.jobOf(ctx, &now)
	}
	deedOf(ctx).one(status.ID, job.Lane().Channel)
	given := createdJob(job, status)
	if once.Given() && terms.trace() != "" && request.Body.Traceparent == nil {
		// A repeated call need not have the trace context of the first one, which counts.
		first, err := a.queue.Job(ctx, status.ID)
		if err != nil {
			return nil, err
		}
		given.TraceParent = first.TraceParent
	}
	return a.answer(http.StatusCreated, &given, status), nil
}

// CreateJobs answers POST /v1/jobs/batch. The queue looks at the jobs itself, all together.
func (a *API) CreateJobs(ctx context.Context, request oapi.CreateJobsRequestObject) (oapi.CreateJobsResponseObject, error) {
	given := request.Body.Jobs
	if len(given) == 0 {
		return nil, invalid(wholeBatch, "must have at least one job")
	}
	terms := termsOf(ctx)
	jobs := make([]queue.NewJob, len(given))
	for i := range given {
		if err := a.producer.job(&jobs[i], &given[i], terms.trace()); err != nil {
			return nil, inside(err, ofJob(i))
		}
	}
	created, err := a.enqueue(ctx, jobs, terms.once())
	if err != nil {
		return nil, ofBatch(err)
	}
	answer := batchAnswer{api: a, jobs: make([]oapi.CreatedJob, len(created))}
	made := deedOf(ctx)
	for i := range created {
		if !created[i].Existing {
			made.one(created[i].ID, created[i].Channel)
		}
		answer.jobs[i] = createdView(given[i].Name, &created[i])
	}
	return answer, nil
}

// enqueue adds the jobs, once if the client has asked for that.
func (a *API) enqueue(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	if once.Given() {
		return a.queue.EnqueueOnce(ctx, jobs, once)
	}
	return a.queue.Enqueue(ctx, jobs)
}
