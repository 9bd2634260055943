package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Dequeue answers POST /v1/dequeue.
//
// Thousands may wait in here, each with its own stack: what is on it meanwhile is small.
func (a *API) Dequeue(ctx context.Context, request oapi.DequeueRequestObject) (oapi.DequeueResponseObject, error) {
	body := request.Body
	wanted, err := wantedBy(ctx, body)
	if err != nil {
		return nil, err
	}
	switch {
	case body.Finish != nil:
		return a.dequeueNext(ctx, wanted, body)
	case a.stopping() && wanted.Once.Given():
		return nil, queue.ErrUnavailable // the call may have a lease already: it is not told that it has none
	case a.stopping():
		return oapi.Dequeue204Response{}, nil // a lease granted now would outlive the server
	}
	patience := waitOf(body.WaitSeconds, a.options.MaxWait)
	short, err := a.roomWhileShort(ctx)
	if err != nil {
		return nil, err
	}
	if short {
		patience = 0
	}
	// Without patience the context has ended already when the queue gets it: the queue looks
	// before it waits.
	waiting, cancel, err := a.hold(ctx, patience)
	if err != nil {
		return nil, err
	}
	defer cancel()
	granted := &grantedLease{api: a, ctx: ctx, kept: wanted.Once.Given()}
	granted.lease, err = a.queue.Dequeue(waiting, *wanted)
	if short && errors.Is(err, queue.ErrDequeueTimeout) && !a.stopping() {
		return nil, a.putOff()
	}
	return a.dequeued(granted, err)
}

// dequeued is the answer to a dequeue that has ended.
func (a *API) dequeued(granted *grantedLease, err error) (oapi.DequeueResponseObject, error) {
	if err == nil {
		a.traceClaims(granted.ctx, granted.lease)
		err = granted.complete()
	}
	switch {
	case errors.Is(err, queue.ErrDequeueTimeout), errors.Is(err, errOverloaded) && !granted.kept && a.stopping():
		return oapi.Dequeue204Response{}, nil
	case err != nil:
		return nil, err
	default:
		return granted, nil
	}
}

// wantedBy is what a worker asks for.
func wantedBy(ctx context.Context, body *oapi.DequeueRequest) (*queue.DequeueRequest, error) {
	if body.WaitSeconds != nil {
		if err := checkSeconds("wait_seconds", *body.WaitSeconds); err != nil {
			return nil, err
		}
	}
	wanted := &queue.DequeueRequest{Types: body.Types, Worker: textOf(body.Worker), Once: termsOf(ctx).once()}
	if body.Labels != nil {
		wanted.Labels = *body.Labels
	}
	if body.Channels != nil {
		if len(*body.Channels) == 0 {
			return nil, invalid("channels", "must name at least one channel, or be left out")
		}
		wanted.Channels = *body.Channels
	}
	return wanted, wanted.Validate()
}

// GetLease answers GET /v1/leases/{token}.
func (a *API) GetLease(ctx context.Context, request oapi.GetLeaseRequestObject) (oapi.GetLeaseResponseObject, error) {
	lease, err := a.queue.Lease(ctx, request.Token)
	if err != nil {
		return nil, err
	}
	leases := []queue.Lease{lease}
	if err := a.fill(ctx, leases); err != nil {
		return nil, err
	}
	return heldLease{api: a, lease: leaseView(leases[0], a.options.HeartbeatTimeout)}, nil
}

// Heartbeat answers POST /v1/leases/{token}/heartbeat.
func (a *API) Heartbeat(ctx context.Context, request oapi.HeartbeatRequestObject) (oapi.HeartbeatResponseObject, error) {
	beat, err := a.sizes.beat(request.Body)
	if err != nil {
		return nil, err
	}
	if request.Body != nil && request.Body.WaitSeconds != nil {
		if err := checkSeconds("wait_seconds", *request.Body.WaitSeconds); err != nil {
			return nil, err
		}
	}
	held := a.mayBeHeld(request.Body)
	if held {
		// Before anything is done: a call that may not wait has changed nothing.
		if err := a.enter(ctx); err != nil {
			return nil, err
		}
		defer a.leave(ctx)
	}
	answer, err := a.queue.RefreshHeartbeat(ctx, request.Token, beat)
	if err != nil {
		return nil, err
	}
	view := beatView(answer, a.options.HeartbeatTimeout)
	if held && !answer.Canceled {
		// Until the next one would have to be sent, at most.
		wait := min(waitOf(request.Body.WaitSeconds, a.options.MaxWait), duration(view.HeartbeatInSeconds))
		if err := a.awaitLease(ctx, request.Token, wait); err != nil {
			return nil, err
		}
		// Its worker is alive: it is waiting for the answer.
		if answer, err = a.queue.RefreshHeartbeat(ctx, request.Token, queue.Beat{}); err != nil {
			return nil, err
		}
		view = beatView(answer, a.options.HeartbeatTimeout)
	}
	return oapi.Heartbeat200JSONResponse(view), nil
}

// mayBeHeld reports whether the answer to a heartbeat is held back if there is nothing to tell.
func (a *API) mayBeHeld(body *oapi.HeartbeatRequest) bool {
	return body != nil && waitOf(body.WaitSeconds, a.options.MaxWait) > 0 && !a.stopping()
}

func (a *API) awaitLease(ctx context.Context, token uuid.UUID, wait time.Duration) error {
	waiting, cancel := a.patience(ctx, wait)
	defer cancel()
	if err := a.queue.AwaitLease(waiting, token); err != nil {
		return err
	}
	return a.stands(ctx)
}

// FinishLease answers POST /v1/leases/{token}/finish.
func (a *API) FinishLease(ctx context.Context, request oapi.FinishLeaseRequestObject) (oapi.FinishLeaseResponseObject, error) {
	outcome, err := a.sizes.finished(request.Body)
	if err != nil {
		return nil, err
	}
	// No retries: only silence puts a job back in line in this way.
	state, err := a.queue.RequeueOrFinishJob(ctx, request.Token, 0, outcome)
	if err != nil {
		return nil, err
	}
	return oapi.FinishLease200JSONResponse{ReportedJSONResponse: reported(state)}, nil
}

// FailLease answers POST /v1/leases/{token}/fail.
func (a *API) FailLease(ctx context.Context, request oapi.FailLeaseRequestObject) (oapi.FailLeaseResponseObject, error) {
	failure, err := a.sizes.failed(*request.Body)
	if err != nil {
		return nil, err
	}
	state, err := a.queue.Fail(ctx, request.Token, failure)
	if err != nil {
		return nil, err
	}
	return oapi.FailLease200JSONResponse{ReportedJSONResponse: reported(state)}, nil
}

// ReleaseLease answers POST /v1/leases/{token}/release.
func (a *API) ReleaseLease(ctx context.Context, request oapi.ReleaseLeaseRequestObject) (oapi.ReleaseLeaseResponseObject, error) {
	var delay time.Duration
	if request.Body != nil && request.Body.DelaySeconds != nil {
		delay = duration(*request.Body.DelaySeconds)
	}
	if err := queue.ValidateDelay("delay_seconds", delay); err != nil {
		return nil, err
	}
	state, err := a.queue.Release(ctx, request.Token, delay)
	if err != nil {
		return nil, err
	}
	return oapi.ReleaseLease200JSONResponse{ReportedJSONResponse: reported(state)}, nil
}
