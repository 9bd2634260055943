package api

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// GetJob answers GET /v1/jobs/{id}.
func (a *API) GetJob(ctx context.Context, request oapi.GetJobRequestObject) (oapi.GetJobResponseObject, error) {
	status, err := a.statusAfter(ctx, request)
	if err != nil {
		return nil, err
	}
	return a.jobOf(ctx, &status)
}

// statusAfter is the job's status, now or when the client has waited for long enough.
func (a *API) statusAfter(ctx context.Context, request oapi.GetJobRequestObject) (queue.Status, error) {
	wait := waitOf(request.Params.WaitSeconds, a.options.MaxWait)
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
	return a.look(ctx, request.Id)
}

// RetryJob answers POST /v1/jobs/{id}/retry.
func (a *API) RetryJob(ctx context.Context, request oapi.RetryJobRequestObject) (oapi.RetryJobResponseObject, error) {
	if err := a.queue.RetryJob(ctx, request.Id); err != nil {
		return nil, err
	}
	return a.look(ctx, request.Id)
}

// DeleteJob answers DELETE /v1/jobs/{id}.
func (a *API) DeleteJob(ctx context.Context, request oapi.DeleteJobRequestObject) (oapi.DeleteJobResponseObject, error) {
	if err := a.queue.DeleteJob(ctx, request.Id); err != nil {
		return nil, err
	}
	return oapi.DeleteJob204Response{}, nil
}

// look answers with the job as it is now.
func (a *API) look(ctx context.Context, id uuid.UUID) (*jobAnswer, error) {
	status, err := a.queue.JobStatus(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.jobOf(ctx, &status)
}

// jobOf answers with the job of a status. It is read after the status: a label may be newer
// than the ETag then, with which nobody can overwrite it, and never older.
func (a *API) jobOf(ctx context.Context, status *queue.Status) (*jobAnswer, error) {
	job, err := a.queue.Job(ctx, status.ID)
	if err != nil {
		return nil, err
	}
	return a.answer(http.StatusOK, &job, status), nil
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
	once := termsOf(ctx).once()
	lease, err := a.queue.DequeueByID(ctx, request.Id, worker, once)
	if err != nil {
		return nil, err
	}
	return grantedLease{api: a, ctx: ctx, lease: lease, kept: once.Given()}, nil
}
