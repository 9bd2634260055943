package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// DequeueBatch answers POST /v1/dequeue/batch.
func (a *API) DequeueBatch(ctx context.Context, request oapi.DequeueBatchRequestObject) (oapi.DequeueBatchResponseObject, error) {
	body := request.Body
	wanted, err := wantedBy(ctx, &oapi.DequeueRequest{
		Types: body.Types, Channels: body.Channels, Worker: body.Worker, Labels: body.Labels, WaitSeconds: body.WaitSeconds,
	})
	if err != nil {
		return nil, err
	}
	if body.Max < 1 || body.Max > queue.MaxBatch {
		return nil, invalid("max", "must be from 1 to "+itoa(queue.MaxBatch))
	}
	var items []oapi.LeaseReport
	if body.Finish != nil {
		items = *body.Finish
	}
	err = onceEach("finish", len(items), func(i int) uuid.UUID { return items[i].Token })
	if err != nil {
		return nil, err
	}

	finished := make([]oapi.LeaseReported, len(items))
	asked := queue.BatchRequest{DequeueRequest: *wanted, Max: body.Max, Reports: make([]queue.Report, 0, len(items))}
	of := make([]int, 0, len(items)) // the item of each report
	for i := range items {
		finished[i].Token = items[i].Token
		report, err := a.sizes.report(&items[i])
		if err != nil {
			finished[i].Code, finished[i].Detail = a.refused(err)
			continue
		}
		asked.Reports, of = append(asked.Reports, report), append(of, i)
	}
	got, err := a.exchange(ctx, asked, body.WaitSeconds)
	if err != nil {
		return nil, err
	}
	states := make([]oapi.JobState, len(of))
	for i, item := range of {
		if err := got.Reported[i].Err; err != nil {
			finished[item].Code, finished[item].Detail = a.refused(err)
			continue
		}
		states[i] = oapi.JobState(got.Reported[i].State.String())
		finished[item].State = &states[i]
	}
	return grantedLeases{api: a, ctx: ctx, finished: finished, leases: got.Leases, kept: wanted.Once.Given()}, nil
}

// dequeueNext answers POST /v1/dequeue with a report on the lease before.
func (a *API) dequeueNext(ctx context.Context, wanted *queue.DequeueRequest, body *oapi.DequeueRequest) (oapi.DequeueResponseObject, error) {
	report, err := a.sizes.report(body.Finish)
	if err != nil {
		request := a.catalogue.classify(err, true)
		return nil, inside(&request, "finish.")
	}
	got, err := a.exchange(ctx, queue.BatchRequest{
		DequeueRequest: *wanted, Max: 1, Reports: []queue.Report{report}, Strict: true,
	}, body.WaitSeconds)
	switch {
	case err != nil:
		return nil, err
	case len(got.Leases) == 0:
		return oapi.Dequeue204Response{}, nil
	default:
		return grantedLease{api: a, ctx: ctx, lease: got.Leases[0], kept: wanted.Once.Given()}, nil
	}
}

// exchange reports and asks for leases. While the server stops it takes the reports, which are
// of work that is done, and grants nothing. It waits for no job while memory is short, nor where there is no
// room for one more call that waits.
func (a *API) exchange(ctx context.Context, request queue.BatchRequest, wait *float64) (queue.BatchAnswer, error) {
	request.ReportOnly = a.stopping()
	patience, short := waitOf(wait, a.options.MaxWait), a.short()
	if short {
		patience = 0
	}
	ask := a.ask
	if a.options.Limits.Answers != nil && (request.Max > 1 || short) && !request.ReportOnly {
		ask = a.exchangeMany
	}
	got, err := ask(ctx, request, patience)
	switch {
	case err != nil:
		return got, err
	case short && len(got.Reported)+len(got.Leases) == 0 && !a.stopping():
		return got, a.putOff()
	}
	if got.Leases, err = a.complete(ctx, got.Leases); err != nil && (len(got.Reported)+len(got.Leases) > 0 || a.stopping()) {
		err = nil // what there is deserves an answer
	}
	return got, err
}

// ask has the queue take reports and lease jobs, for which it waits that long.
func (a *API) ask(ctx context.Context, request queue.BatchRequest, patience time.Duration) (queue.BatchAnswer, error) {
	waiting, cancel, err := a.hold(ctx, patience)
	if err != nil && len(request.Reports) > 0 {
		waiting, cancel, err = a.hold(ctx, 0)
	}
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	defer cancel()
	got, err := a.queue.DequeueBatch(waiting, request)
	switch {
	case errors.Is(err, queue.ErrNotExist):
		return got, &requestError{code: codeLeaseNotFound} // the path alone does not tell that it is about a lease
	case err == nil && len(got.Reported) != len(request.Reports):
		return got, fmt.Errorf("%d outcomes of %d reports", len(got.Reported), len(request.Reports))
	default:
		a.traceClaims(ctx, got.Leases...)
		return got, err
	}
}

// Heartbeats answers POST /v1/leases/heartbeat.
func (a *API) Heartbeats(ctx context.Context, request oapi.HeartbeatsRequestObject) (oapi.HeartbeatsResponseObject, error) {
	items := request.Body.Heartbeats
	if len(items) == 0 {
		return nil, invalid("heartbeats", "must have at least one entry")
	}
	err := onceEach("heartbeats", len(items), func(i int) uuid.UUID { return items[i].Token })
	if err != nil {
		return nil, err
	}
	answers := make([]oapi.LeaseHeartbeatAnswer, len(items))
	beats := make([]queue.Beat, len(items))
	errs := make([]error, len(items))
	var saying []int // those that have something to be kept
	refresh := func(i int) {
		var answer queue.BeatAnswer
		if answer, errs[i] = a.queue.RefreshHeartbeat(ctx, items[i].Token, beats[i]); errs[i] == nil {
			view := beatView(answer, a.options.HeartbeatTimeout)
			answers[i].Canceled = &view.Canceled
			answers[i].HeartbeatTimeoutSeconds, answers[i].HeartbeatInSeconds = &view.HeartbeatTimeoutSeconds, &view.HeartbeatInSeconds
		}
	}
	for i := range items {
		answers[i].Token = items[i].Token
		beats[i], errs[i] = a.sizes.beat(&oapi.HeartbeatRequest{Progress: items[i].Progress, PartialResult: items[i].PartialResult})
		switch {
		case errs[i] != nil:
		case beats[i].Empty():
			refresh(i) // nothing is waited for
		default:
			saying = append(saying, i)
		}
	}
	together(len(saying), func(i int) { refresh(saying[i]) })
	answer := heartbeatsAnswer{api: a, answer: oapi.Heartbeats200JSONResponse{Heartbeats: answers}}
	for i, err := range errs {
		if errors.Is(err, queue.ErrUnavailable) {
			return nil, err // no item's own fault
		}
		if err == nil {
			continue
		}
		answers[i].Code, answers[i].Detail = a.refused(err)
		if *answers[i].Code == codeInternal {
			answer.failed = append(answer.failed, err)
		}
	}
	return answer, nil
}

// heartbeatsAnswer is what became of heartbeats.
type heartbeatsAnswer struct {
	api    *API
	answer oapi.Heartbeats200JSONResponse
	failed []error // the causes of internal errors, which no client is shown
}

// VisitHeartbeatsResponse writes the answer. What failed is logged here, where the request's id
// is known.
func (h heartbeatsAnswer) VisitHeartbeatsResponse(w http.ResponseWriter) error {
	if len(h.failed) > 0 {
		h.api.log.WithError(errors.Join(h.failed...)).WithFields(logrus.Fields{
			"request_id": w.Header().Get(headerRequestID), "heartbeats": len(h.failed),
		}).Error("heartbeats failed")
	}
	return h.answer.VisitHeartbeatsResponse(w)
}

// refused is what a client is told of one item of many: the code and the detail of the problem
// that it would be alone.
func (a *API) refused(err error) (code, detail *string) {
	_, shown := a.catalogue.explain(err, true)
	return &shown.code, &shown.detail
}

// onceEach refuses a token that is there twice, of n items.
func onceEach(name string, n int, token func(i int) uuid.UUID) error {
	seen := make(map[uuid.UUID]int, n)
	for i := range n {
		if first, found := seen[token(i)]; found {
			return invalid(fmt.Sprintf("%s[%d].token", name, i), fmt.Sprintf("is that of %s[%d] already", name, first))
		}
		seen[token(i)] = i
	}
	return nil
}

// grantedLeases are new leases, and what became of reports. As with grantedLease, the leases
// are undone when they cannot be delivered, unless the call has an idempotency key. The reports
// count in any case: they were made.
type grantedLeases struct {
	api      *API
	ctx      context.Context // of the request: ends when the client goes away
	finished []oapi.LeaseReported
	leases   []queue.Lease
	kept     bool // also when they cannot be delivered
}

// VisitDequeueBatchResponse writes the answer, or undoes the leases.
func (a grantedLeases) VisitDequeueBatchResponse(w http.ResponseWriter) error {
	if err := a.api.deliverable(a.ctx); err != nil {
		a.undo(w)
		return err
	}
	leases := make([]oapi.Lease, len(a.leases))
	for i := range leases {
		leases[i] = leaseView(a.leases[i], a.api.options.HeartbeatTimeout)
	}
	err := a.api.writeJSON(w, http.StatusOK, appendExchange(make([]byte, 0, exchangeSize(a.finished, leases)), a.finished, leases))
	if err == nil {
		a.api.allowTime(w, 0)
		err = flush(w)
	}
	if err != nil {
		a.undo(w)
		return fmt.Errorf("write %d leases: %w", len(a.leases), err)
	}
	return nil
}

// undo releases the leases. The request's context has ended or is about to, so they have one
// of their own.
func (a grantedLeases) undo(w http.ResponseWriter) {
	if a.kept {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), releaseTimeout)
	defer cancel()
	id := w.Header().Get(headerRequestID)
	together(len(a.leases), func(i int) { a.api.undo(ctx, &a.leases[i], id) })
}
