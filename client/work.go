package client

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

// outcome is what a handler came to.
type outcome struct {
	report   report
	isResult bool
}

// work runs the job of a live lease and reports what became of it. granted is when the lease
// was last known to be alive, and s the slot that the run holds.
func (w *Worker) work(lease *Lease, granted time.Time, adopted bool, s *slot) {
	token := lease.Token
	handle, known := w.options.Handlers[lease.Type]
	switch {
	case lease.Canceled:
		w.forget(token)
		return
	case !known, w.polling.Err() != nil:
		// Adopted by a worker that was told to do other things, or granted while it stopped.
		w.report(lease, release(0), s)
		return
	}
	w.keep(token)

	run := runOf(lease, granted, adopted)
	ctx, end := context.WithCancelCause(w.handling)
	defer end(nil)
	if lease.TimeoutSeconds != nil {
		// From now, which is too late if the lease was granted a while ago: the server's own
		// deadline is the one that counts, and too early would waste a run.
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, time.Now().Add(duration(*lease.TimeoutSeconds, maxDelay)), ErrTimeout)
		defer stop()
	}
	// The heart beats on while the report is repeated, so that the lease does not end before
	// the server can be reached again. Then its verdict is of no use: the report's answer is.
	heartCtx, stopHeart := context.WithCancel(w.sending)
	var heart sync.WaitGroup
	heart.Go(func() {
		if err := w.beat(heartCtx, lease, run); err != nil {
			end(err)
		}
	})
	defer heart.Wait()
	defer stopHeart()

	outcomes := make(chan outcome, 1)
	go call(ctx, handle, run, func(r report, isResult bool) {
		outcomes <- outcome{report: r, isResult: isResult}
	})
	var out outcome
	select {
	case out = <-outcomes:
	case <-w.waiting.Done():
		w.stuck.Add(1)
		out.report = release(0)
	}

	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrCanceled), errors.Is(cause, ErrLeaseLost):
		w.log.Info("a run ended early", about(lease, "cause", cause.Error())...)
		w.forget(token)
		return
	case errors.Is(cause, ErrKilled):
		return // the token stays, for a later process
	case errors.Is(cause, ErrTimeout) && !out.isResult:
		// A failure would be the worker's word. The server knows that it was the time, and
		// what the job allows in that case.
		w.log.Info("a run took too long; the server ends its lease", about(lease)...)
		w.lastWords(lease, run)
		w.forget(token)
		return
	case cause != nil && !out.isResult && out.report.verb != verbRelease:
		// The worker stops. An error may be due to that, so the job gets another chance.
		out.report = release(0)
	}
	if !out.isResult {
		w.lastWords(lease, run)
	}
	w.report(lease, out.report, s)
}

func runOf(lease *Lease, granted time.Time, adopted bool) *Run {
	run := &Run{
		JobID:        lease.Id,
		Type:         lease.Type,
		Channel:      lease.Channel,
		Args:         lease.Args,
		Attempt:      lease.Attempt,
		Dependencies: lease.Dependencies,
		Adopted:      adopted,
		hurry:        make(chan struct{}, 1),
	}
	if lease.Labels != nil {
		run.Labels = *lease.Labels
	}
	if lease.Traceparent != nil {
		run.TraceParent = *lease.Traceparent
	}
	run.setValidUntil(validUntil(lease, granted))
	return run
}

// validUntil is until when a lease is sure to live that was granted, or refreshed, at from.
func validUntil(lease *Lease, from time.Time) time.Time {
	return from.Add(newCadence(lease.HeartbeatInSeconds, lease.HeartbeatTimeoutSeconds).timeout)
}

// about are a log line's fields: which run it is about, and more. Of a lease that is not adopted nothing may be
// known but its token, which is a secret.
func about(lease *Lease, more ...string) []string {
	if lease.Id == uuid.Nil {
		return more
	}
	return append([]string{
		"job", lease.Id.String(),
		"type", lease.Type,
		"attempt", strconv.FormatInt(lease.Attempt, 10),
	}, more...)
}

// report says the same thing until the server acknowledges it or says that the lease is over,
// for ReportTimeout at most. It may come long after the last heartbeat that was answered: the
// token fences it, so a report of a lease that is over harms nobody. What the server finds
// unacceptable is replaced, once, by a failure that says so.
//
// The first attempt goes together with the reports of other runs, if it can. What did not get
// through so is repeated alone, so that no report depends on another one for long.
func (w *Worker) report(lease *Lease, r report, s *slot) {
	ctx, cancel := context.WithTimeout(w.sending, w.options.ReportTimeout)
	defer cancel()
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	hurried := false // by the server's being back
	replaced := r.verb == verbRelease
	alone := s == nil || r.verb == verbRelease || len(r.body) > maxShare || !w.together()
	for {
		if w.alive.Err() != nil {
			return // Kill ends sending too, but a moment later
		}
		back := w.calls.reach.again()
		var err error
		if alone {
			err = w.calls.send(ctx, lease.Token, r)
		} else if err = w.sendTogether(ctx, lease, r, s); errors.Is(err, errAlone) {
			alone = true
			continue
		}
		alone = true
		fields := about(lease, "report", r.verb.String())
		if r.reason != "" {
			fields = append(fields, "reason", r.reason)
		}
		switch {
		case err == nil:
			w.log.Info("reported a run", fields...)
			w.forget(lease.Token)
			return
		case ended(err) != nil:
			w.log.Info("a report came too late", append(fields, "answer", err.Error())...)
			w.forget(lease.Token)
			return
		case unacceptable(err) && !replaced:
			w.log.Error(err, "the server refuses a report; the job fails", fields...)
			replaced = true
			r = refusedReport(err)
			continue
		}
		if hurried || RetryAfter(err) > 0 {
			back = nil // it may be the one thing that fails; or the server asked for the pause
		}
		if hurried = rest(ctx, backoff.pause(err), back); hurried {
			rest(ctx, newBackoff(w.options.MinBackoff, w.options.MinBackoff).pause(nil), nil) // not all at once
		}
		if ctx.Err() != nil {
			// The token stays: if the lease lives on, a later process can adopt it.
			w.log.Error(err, "gave up a report; the server will take the lease back", fields...)
			return
		}
		w.log.Error(err, "repeating a report", fields...)
	}
}

// refusedReport fails the job because of the server's answer to a report.
func refusedReport(err error) report {
	details := message(err.Error())
	var problem *Problem
	if errors.As(err, &problem) {
		details["code"] = problem.Code
	}
	return fail(Failure{Reason: ReasonRefused, Details: details})
}

// keep and forget maintain the store. Its failure does not stop a run: adoption is a comfort,
// and without it the server takes the lease back and hands the job out again.
func (w *Worker) keep(token Token) {
	if err := w.options.Tokens.Keep(token); err != nil {
		w.log.Error(err, "keeping a token failed")
	}
}

func (w *Worker) forget(token Token) {
	if err := w.options.Tokens.Forget(token); err != nil {
		w.log.Error(err, "forgetting a token failed")
	}
}
