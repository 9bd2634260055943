package client

import (
	"context"
	"fmt"
	"runtime/debug"
)

// Handler does one run of a job. It returns what the job made, or an error.
//
// The result becomes the job's: a json.RawMessage as it is, anything else as encoding/json
// writes it, nil as null. An error fails the job: a *Failure in its chain chooses the reason,
// any other error has ReasonError; Retryable lets the job have another run, and Release gives
// it back. A panic fails it with ReasonPanic and harms nothing else.
//
// The context has a deadline if the job bounds its runs (timeout_seconds), counted from when
// the worker got the lease, or has adopted it. It ends when the run is over before the handler
// is; context.Cause says why: ErrCanceled, ErrLeaseLost, ErrTimeout, ErrDraining or ErrKilled.
// The handler should return soon then, and what it returns does not matter, except that a
// result is still reported after ErrTimeout and ErrDraining. It holds one of the worker's slots
// until it returns.
type Handler func(ctx context.Context, run *Run) (result any, err error)

// call runs the handler to its end and makes a report of what it returned. ok tells whether
// that is a result. A panic, of the handler or of a result's MarshalJSON, and a
// runtime.Goexit end here as failures.
func call(ctx context.Context, handle Handler, run *Run, done func(r report, ok bool)) {
	panicked := func(details map[string]string) report {
		return fail(Failure{Reason: ReasonPanic, Details: details})
	}
	r := panicked(message("the handler ended its goroutine without returning"))
	ok := false
	defer func() { done(r, ok) }()
	defer func() {
		if value := recover(); value != nil {
			details := message(fmt.Sprint(value))
			details["stack"] = clip(string(debug.Stack()), maxStackBytes)
			r = panicked(details)
			ok = false
		}
	}()
	result, err := handle(ctx, run)
	if err != nil {
		r = reportOf(err)
		return
	}
	r = finish(result)
	ok = r.verb == verbFinish
}
