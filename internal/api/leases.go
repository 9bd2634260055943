package api

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Dequeue answers POST /v1/dequeue.
func (a *API) Dequeue(ctx context.Context, request oapi.DequeueRequestObject) (oapi.DequeueResponseObject, error) {
	body := request.Body
	if body.WaitSeconds != nil {
		if err := checkSeconds("wait_seconds", *body.WaitSeconds); err != nil {
			return nil, err
		}
	}
	wanted := queue.DequeueRequest{Types: body.Types, Worker: textOf(body.Worker)}
	if body.Channels != nil {
		if len(*body.Channels) == 0 {
			return nil, invalid("channels", "must name at least one channel, or be left out")
		}
		wanted.Channels = *body.Channels
	}
	if err := wanted.Validate(); err != nil {
		return nil, err
	}
	if a.stopping() {
		return oapi.Dequeue204Response{}, nil // a lease granted now would outlive the server
	}
	// Without patience the context has ended already when the queue gets it: the queue looks
	// before it waits.
	waiting, cancel := a.patience(ctx, seconds(body.WaitSeconds, a.options.MaxWait))
	defer cancel()
	lease, err := a.queue.Dequeue(waiting, wanted)
	switch {
	case errors.Is(err, queue.ErrDequeueTimeout):
		return oapi.Dequeue204Response{}, nil
	case err != nil:
		return nil, err
	default:
		return grantedLease{api: a, ctx: ctx, lease: lease}, nil
	}
}

// GetLease answers GET /v1/leases/{token}.
func (a *API) GetLease(ctx context.Context, request oapi.GetLeaseRequestObject) (oapi.GetLeaseResponseObject, error) {
	lease, err := a.queue.Lease(ctx, request.Token)
	if err != nil {
		return nil, err
	}
	return heldLease{api: a, lease: leaseView(lease, a.options.HeartbeatTimeout)}, nil
}

// Heartbeat answers POST /v1/leases/{token}/heartbeat.
func (a *API) Heartbeat(ctx context.Context, request oapi.HeartbeatRequestObject) (oapi.HeartbeatResponseObject, error) {
	canceled, err := a.queue.RefreshHeartbeat(ctx, request.Token)
	if err != nil {
		return nil, err
	}
	timeout := a.options.HeartbeatTimeout
	return oapi.Heartbeat200JSONResponse{
		Canceled:                canceled,
		HeartbeatTimeoutSeconds: secondsView(timeout),
		HeartbeatInSeconds:      secondsView(heartbeatIn(timeout)),
	}, nil
}

// FinishLease answers POST /v1/leases/{token}/finish.
func (a *API) FinishLease(ctx context.Context, request oapi.FinishLeaseRequestObject) (oapi.FinishLeaseResponseObject, error) {
	r, err := a.report(ctx, request.Token, finished(request.Body))
	if err != nil {
		return nil, err
	}
	return oapi.FinishLease200JSONResponse{ReportedJSONResponse: r}, nil
}

// FailLease answers POST /v1/leases/{token}/fail.
func (a *API) FailLease(ctx context.Context, request oapi.FailLeaseRequestObject) (oapi.FailLeaseResponseObject, error) {
	r, err := a.report(ctx, request.Token, failed(*request.Body))
	if err != nil {
		return nil, err
	}
	return oapi.FailLease200JSONResponse{ReportedJSONResponse: r}, nil
}

// report ends the lease with the outcome. No retries: only silence puts a job back in line.
func (a *API) report(ctx context.Context, token uuid.UUID, outcome queue.Outcome) (oapi.ReportedJSONResponse, error) {
	if err := queue.ValidateReport(outcome); err != nil {
		return oapi.ReportedJSONResponse{}, err
	}
	state, err := a.queue.RequeueOrFinishJob(ctx, token, 0, outcome)
	if err != nil {
		return oapi.ReportedJSONResponse{}, err
	}
	return reported(state), nil
}

// ReleaseLease answers POST /v1/leases/{token}/release.
func (a *API) ReleaseLease(ctx context.Context, request oapi.ReleaseLeaseRequestObject) (oapi.ReleaseLeaseResponseObject, error) {
	state, err := a.queue.Release(ctx, request.Token)
	if err != nil {
		return nil, err
	}
	return oapi.ReleaseLease200JSONResponse{ReportedJSONResponse: reported(state)}, nil
}
