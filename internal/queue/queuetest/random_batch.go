package queuetest

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// exchange draws a call to DequeueBatch: reports on some leases, and a wish for some jobs.
func (w *walk) exchange(r *rapid.T) {
	request := queue.BatchRequest{DequeueRequest: w.anyRequest(r), Max: rapid.IntRange(1, 3).Draw(r, "max")}
	for _, token := range w.anyTokens(r) {
		request.Reports = append(request.Reports, rapid.SampledFrom([]queue.Report{
			done(token), failed(token), {Token: token, Failure: new(retryable("broken"))},
		}).Draw(r, "report"))
	}
	answer, err := w.Queue().DequeueBatch(now(), request)
	require.NoError(r, err)

	// What was ready before the reports goes first; if that was nothing, what they make ready.
	var want []*modelJob
	take := func(j *modelJob) {
		want = append(want, j)
		j.state = queue.Running // so that it is not taken twice
	}
	for j := w.model.next(request.DequeueRequest); j != nil && len(want) < request.Max; j = w.model.next(request.DequeueRequest) {
		take(j)
	}
	require.Len(r, answer.Reported, len(request.Reports))
	for i, report := range request.Reports {
		state, err := w.modelReport(report)
		requireError(r, err, answer.Reported[i].Err)
		got := answer.Reported[i].State
		if i > 0 && state == queue.Pending && got == queue.Blocked {
			continue // what it waits for was reported by the same call, and may be settled after it
		}
		require.Equal(r, state.String(), got.String(), fmt.Sprint("report ", i))
	}
	if len(want) == 0 && len(request.Reports) > 0 {
		for j := w.model.next(request.DequeueRequest); j != nil && len(want) < request.Max; j = w.model.next(request.DequeueRequest) {
			take(j)
		}
	}
	require.Len(r, answer.Leases, len(want))
	for i, l := range answer.Leases {
		w.granted(r, want[i], l, request.Holder())
	}
}

func (w *walk) modelReport(report queue.Report) (queue.State, error) {
	if report.Failure != nil {
		return w.model.fail(report.Token, *report.Failure)
	}
	return w.model.report(report.Token, 0, queue.Outcome{Result: report.Result})
}

// anyTokens draws tokens, each once.
func (w *walk) anyTokens(r *rapid.T) []uuid.UUID {
	var tokens []uuid.UUID
	seen := make(map[uuid.UUID]bool)
	for range rapid.IntRange(0, 3).Draw(r, "reports") {
		if token := w.anyToken(r); !seen[token] {
			seen[token] = true
			tokens = append(tokens, token)
		}
	}
	return tokens
}
