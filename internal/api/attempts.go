package api

import (
	"context"
	"net/http"
	"time"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// ListAttempts answers GET /v1/jobs/{id}/attempts.
func (a *API) ListAttempts(ctx context.Context, request oapi.ListAttemptsRequestObject) (oapi.ListAttemptsResponseObject, error) {
	attempts, err := a.queue.Attempts(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	answer := attemptsAnswer{api: a, attempts: make([]oapi.Attempt, len(attempts))}
	for i := range attempts {
		answer.attempts[i] = attemptView(&attempts[i])
	}
	return answer, nil
}

// attemptView is a lease that a job has had, as clients see it.
func attemptView(attempt *queue.Attempt) oapi.Attempt {
	view := oapi.Attempt{
		Attempt:   int64(attempt.Number),
		Worker:    textView(attempt.Worker),
		Principal: textView(attempt.Principal),
		StartedAt: attempt.Started.UTC(),
		EndedAt:   timeView(attempt.Ended),
		Error:     jobErrorView(attempt.Error),
	}
	if !attempt.Ended.IsZero() {
		end, state := oapi.AttemptEnd(attempt.End.String()), oapi.JobState(attempt.State.String())
		view.End, view.State = &end, &state
	}
	return view
}

// attemptsAnswer is all leases that a job has had.
type attemptsAnswer struct {
	api      *API
	attempts []oapi.Attempt
}

// VisitListAttemptsResponse writes the answer.
func (a attemptsAnswer) VisitListAttemptsResponse(w http.ResponseWriter) error {
	return a.api.writeJSON(w, http.StatusOK, appendAttempts(nil, a.attempts))
}

// ExplainJob answers GET /v1/jobs/{id}/explain.
func (a *API) ExplainJob(ctx context.Context, request oapi.ExplainJobRequestObject) (oapi.ExplainJobResponseObject, error) {
	explanation, err := a.queue.Explain(ctx, request.Id)
	if err != nil {
		return nil, err
	}
	return explanationAnswer{api: a, explanation: explanationView(&explanation)}, nil
}

// explanationView is an explanation as clients see it. What makes no sense for the job's state is
// absent.
func explanationView(e *queue.Explanation) oapi.Explanation {
	view := oapi.Explanation{
		Id:        e.Status.ID,
		State:     oapi.JobState(e.Status.State.String()),
		Reason:    oapi.ExplanationReason(e.Reason()),
		Sentence:  e.Sentence(),
		ExpiresAt: timeView(e.Expires),
	}
	if e.Last != nil {
		last := attemptView(e.Last)
		view.LastAttempt = &last
	}
	if at := e.Status.RunAt; e.Status.State.Waiting() && at.After(e.Now) {
		view.WaitsUntil = timeView(at)
	}
	switch e.Status.State {
	case queue.Blocked:
		open := idsView(e.Open)
		view.OpenDependencies, view.Open = &open, &e.OpenAll
	case queue.Pending:
		view.Ahead = &e.Ahead
		view.Workers = &oapi.Askers{Asked: e.Askers.Workers, Waiting: e.Askers.Waiting, LastAskedAt: timeView(e.Askers.Last)}
	case queue.Running:
		view.Worker = textView(e.Status.Worker)
		view.LastHeartbeatAt = timeView(e.Beat)
	default:
	}
	return view
}

// explanationAnswer is why a job is not running.
type explanationAnswer struct {
	api         *API
	explanation oapi.Explanation
}

// VisitExplainJobResponse writes the answer.
func (a explanationAnswer) VisitExplainJobResponse(w http.ResponseWriter) error {
	return a.api.writeJSON(w, http.StatusOK, appendExplanation(nil, &a.explanation))
}

// agoView is how long ago a time was, in seconds; nil if there is no time.
func agoView(now, then time.Time) *float64 {
	if then.IsZero() {
		return nil
	}
	seconds := secondsView(max(0, now.Sub(then)))
	return &seconds
}
