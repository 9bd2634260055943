package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// GetJob answers GET /v1/jobs/{id}.
func (a *API) GetJob(ctx context.Context, request oapi.GetJobRequestObject) (oapi.GetJobResponseObject, error) {
	known := termsOf(ctx).known()
	status, err := a.statusAfter(ctx, request, known)
	if err != nil {
		return nil, err
	}
	if known != nil && known.match(status.Version) {
		return notModified(status.Version), nil
	}
	return a.jobOf(ctx, &status)
}

// notModified says that the client knows a job as it is.
func notModified(version uint64) oapi.GetJobResponseObject {
	return oapi.GetJob304Response{Headers: oapi.GetJob304ResponseHeaders{ETag: string(appendTag(nil, version))}}
}

// statusAfter is the job's status, now or when the client has waited for long enough.
func (a *API) statusAfter(ctx context.Context, request oapi.GetJobRequestObject, known *tags) (queue.Status, error) {
	wait := waitOf(request.Params.WaitSeconds, a.options.MaxWait)
	if wait == 0 || a.stopping() {
		return a.queue.JobStatus(ctx, request.Id)
	}
	waiting, cancel, err := a.hold(ctx, wait)
	if err != nil {
		return queue.Status{}, err
	}
	defer cancel()
	status, err := a.statusHeldBack(ctx, waiting, request.Id, known)
	if err == nil {
		err = a.stands(ctx)
	}
	return status, err
}

// statusHeldBack waits until the job is over; if the client knows it, until it is another than that.
func (a *API) statusHeldBack(ctx, waiting context.Context, id uuid.UUID, known *tags) (queue.Status, error) {
	if known == nil {
		return a.queue.Await(waiting, id)
	}
	status, err := a.queue.JobStatus(ctx, id)
	for err == nil && known.match(status.Version) && waiting.Err() == nil {
		status, err = a.queue.AwaitChange(waiting, id, status.Version)
	}
	return status, err
}

// WaitForJobs answers POST /v1/jobs/wait.
func (a *API) WaitForJobs(ctx context.Context, request oapi.WaitForJobsRequestObject) (oapi.WaitForJobsResponseObject, error) {
	body := request.Body
	if len(body.Ids) == 0 {
		return nil, invalid("ids", "must name at least one job")
	}
	if body.WaitSeconds != nil {
		if err := checkSeconds("wait_seconds", *body.WaitSeconds); err != nil {
			return nil, err
		}
	}
	wait := waitOf(body.WaitSeconds, a.options.MaxWait)
	if a.stopping() {
		wait = 0
	}
	waiting, cancel, err := a.hold(ctx, wait)
	if err != nil {
		return nil, err
	}
	defer cancel()
	states, err := a.queue.AwaitAll(waiting, body.Ids)
	if stands := a.stands(ctx); stands != nil {
		return nil, stands
	}
	var missing *queue.NotExistError
	if errors.As(err, &missing) {
		field := "ids[" + itoa(missing.Index) + "]"
		return nil, &requestError{code: codeJobNotFound, detail: field + ": no job has the id " + missing.ID.String(), field: field}
	}
	if err != nil {
		return nil, err
	}
	answer := oapi.WaitForJobs200JSONResponse{Jobs: make([]oapi.JobWithState, len(states))}
	for i, state := range states {
		answer.Jobs[i] = oapi.JobWithState{Id: body.Ids[i], State: oapi.JobState(state.String())}
		if !state.Over() {
			answer.Open++
		}
	}
	answer.Over = answer.Open == 0
	return answer, nil
}

// CancelJob answers POST /v1/jobs/{id}/cancel.
func (a *API) CancelJob(ctx context.Context, request oapi.CancelJobRequestObject) (oapi.CancelJobResponseObject, error) {
	if err := a.queue.CancelJob(ctx, request.Id); err != nil {
		return nil, err
	}
	deedOf(ctx).one(request.Id, "")
	return a.look(ctx, request.Id)
}

// RetryJob answers POST /v1/jobs/{id}/retry.
func (a *API) RetryJob(ctx context.Context, request oapi.RetryJobRequestObject) (oapi.RetryJobResponseObject, error) {
	if err := a.queue.RetryJob(ctx, request.Id); err != nil {
		return nil, err
	}
	deedOf(ctx).one(request.Id, "")
	return a.look(ctx, request.Id)
}

// DeleteJob answers DELETE /v1/jobs/{id}.
func (a *API) DeleteJob(ctx context.Context, request oapi.DeleteJobRequestObject) (oapi.DeleteJobResponseObject, error) {
	if err := a.queue.DeleteJob(ctx, request.Id); err != nil {
		return nil, err
	}
	deedOf(ctx).one(request.Id, "")
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
	if _, err := a.roomWhileShort(ctx); err != nil {
		return nil, err
	}
	once := termsOf(ctx).once()
	lease, err := a.queue.DequeueByID(ctx, request.Id, queue.Holder{Worker: worker}, once)
	if err != nil {
		return nil, err
	}
	a.traceClaims(ctx, lease)
	granted := grantedLease{api: a, ctx: ctx, lease: lease, kept: once.Given()}
	if err := granted.complete(); err != nil {
		return nil, err
	}
	return granted, nil
}
