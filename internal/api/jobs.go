package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// CreateJob answers POST /v1/jobs.
func (a *API) CreateJob(ctx context.Context, request oapi.CreateJobRequestObject) (oapi.CreateJobResponseObject, error) {
	job, err := newJob(*request.Body)
	if err != nil {
		return nil, err
	}
	if err := job.Validate(); err != nil {
		return nil, err
	}
	statuses, err := a.queue.Enqueue(ctx, []queue.NewJob{job})
	if err != nil {
		return nil, err
	}
	status := statuses[0]
	return jobAnswer{api: a, status: http.StatusCreated, job: jobView(createdJob(job, status), status)}, nil
}

// GetJob answers GET /v1/jobs/{id}.
func (a *API) GetJob(ctx context.Context, request oapi.GetJobRequestObject) (oapi.GetJobResponseObject, error) {
	status, err := a.statusAfter(ctx, request)
	if err != nil {
		return nil, err
	}
	job, err := a.queue.Job(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	return jobAnswer{api: a, status: http.StatusOK, job: jobView(job, status)}, nil
}

// statusAfter is the job's status, now or when the client has waited for long enough.
func (a *API) statusAfter(ctx context.Context, request oapi.GetJobRequestObject) (queue.Status, error) {
	wait := seconds(request.Params.WaitSeconds, a.options.MaxWait)
	if wait == 0 || a.stopping() {
		return a.queue.JobStatus(ctx, request.Id)
	}
	waiting, cancel := a.patience(ctx, wait)
	defer cancel()
	return a.queue.Await(waiting, request.Id)
}

// CancelJob answers POST /v1/jobs/{id}/cancel.
func (a *API) CancelJob(ctx context.Context, request oapi.CancelJobRequestObject) (oapi.CancelJobResponseObject, error) {
	if err := a.queue.CancelJob(ctx, request.Id); err != nil {
		return nil, err
	}
	view, err := a.look(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	return jobAnswer{api: a, status: http.StatusOK, job: view}, nil
}

func (a *API) look(ctx context.Context, id uuid.UUID) (oapi.Job, error) {
	status, err := a.queue.JobStatus(ctx, id)
	if err != nil {
		return oapi.Job{}, err
	}
	job, err := a.queue.Job(ctx, id)
	if err != nil {
		return oapi.Job{}, err
	}
	return jobView(job, status), nil
}

// DequeueJob answers POST /v1/jobs/{id}/dequeue.
func (a *API) DequeueJob(ctx context.Context, request oapi.DequeueJobRequestObject) (oapi.DequeueJobResponseObject, error) {
	var worker string
	if request.Body != nil {
		worker = textOf(request.Body.Worker)
	}
	if err := queue.ValidateWorker(worker); err != nil {
		return nil, err
	}
	lease, err := a.queue.DequeueByID(ctx, request.Id, worker)
	if err != nil {
		return nil, err
	}
	return grantedLease{api: a, ctx: ctx, lease: lease}, nil
}
