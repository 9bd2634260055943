package api

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Limits bound how much callers may do. The zero value of each field is no bound.
type Limits struct {
	// RequestsPerSecond is how often each principal may call that has no limit of its own.
	RequestsPerSecond float64
	// Waiting is how many calls may wait at the same time, and WaitingEach how many of each
	// principal that has no limit of its own.
	Waiting     int
	WaitingEach int
	// Open is how much each channel may have of jobs that are not over. What the queue says of that
	// is taken for true for OpenKnown.
	Open      queue.Amount
	OpenKnown time.Duration
	// Memory tells when memory is short; nil if it never is.
	Memory *limit.Memory
	// Bodies is the room for long bodies of requests, until those are answered or begin to wait, and Answers that
	// for what many jobs are handed out or listed in, until it is written; nil for as much as there is. Results is that
	// for the results of dependencies that were withheld of leases: one client that reads them slowly holds up nobody
	// else. Memory does not know of what comes and goes at the moment.
	Bodies, Answers, Results *limit.Room
}

const (
	// overloadedFor is when to try again that the server had no room for.
	overloadedFor = 2 * time.Second
	// fullFor is the same of what the caller's own calls or jobs leave no room for.
	fullFor = time.Second
)

// bounds are what Limits come to.
type bounds struct {
	each    auth.Limits // of principals, unless they have their own
	rates   *limit.Rates
	waiting *limit.Waiting
	quota   *limit.Quota // nil if there is no bound
	memory  *limit.Memory
}

func newBounds(limits Limits, q Queue) bounds {
	b := bounds{
		each:  auth.Limits{RequestsPerSecond: limits.RequestsPerSecond, Waiting: limits.WaitingEach},
		rates: new(limit.Rates), waiting: limit.NewWaiting(limits.Waiting), memory: limits.Memory,
	}
	if limits.Open != (queue.Amount{}) {
		b.quota = limit.NewQuota(limits.Open, limits.OpenKnown, q.OpenJobs)
	}
	if b.memory == nil {
		b.memory = limit.NewMemory(0, nil, nil)
	}
	return b
}

// takeTurn refuses a request of somebody who calls too often.
func (a *API) takeTurn(p *auth.Principal, now time.Time) error {
	if wait := a.bounds.rates.Take(p.Name, cmp.Or(p.Limits.RequestsPerSecond, a.bounds.each.RequestsPerSecond), now); wait > 0 {
		a.options.Observer.Limited(limitRate)
		return &requestError{code: codeRateLimited, after: wait}
	}
	return nil
}

// admit refuses a request that wants memory while that is short, before its body is read.
func (a *API) admit(op *operation) error {
	if op.greedy && a.short() {
		return a.putOff()
	}
	return nil
}

// errOverloaded puts a request off.
var errOverloaded = &requestError{code: codeOverloaded, after: overloadedFor}

// short reports whether memory is.
func (a *API) short() bool { return a.bounds.memory.Short(time.Now()) }

// putOff refuses a request that there is no memory for. errOverloaded.
func (a *API) putOff() error {
	a.options.Observer.Limited(limitMemory)
	return errOverloaded
}

// enter lets a call wait, until leave is called with the same context.
func (a *API) enter(ctx context.Context) error {
	most := a.bounds.each.Waiting
	if p := auth.PrincipalOf(ctx); p != nil && p.Limits.Waiting > 0 {
		most = p.Limits.Waiting
	}
	switch err := a.bounds.waiting.Enter(callerOf(ctx), most); {
	case errors.Is(err, limit.ErrTooMany):
		a.options.Observer.Limited(limitWaiting)
		return &requestError{code: codeTooManyWaiting, after: fullFor}
	case err != nil:
		a.options.Observer.Limited(limitWaitingInAll)
		return &requestError{code: codeOverloaded, detail: "as many calls wait as this server lets wait; try again after the time in Retry-After", after: overloadedFor}
	default:
		holdingOf(ctx).giveBack()
		return nil
	}
}

func (a *API) leave(ctx context.Context) { a.bounds.waiting.Leave(callerOf(ctx)) }

// callerOf is the name of who a request comes from; "" where nobody is asked.
func callerOf(ctx context.Context) string {
	if p := auth.PrincipalOf(ctx); p != nil {
		return p.Name
	}
	return ""
}

// retryAfter is the value of that header: whole seconds, and one at least.
func retryAfter(after time.Duration) string {
	return strconv.FormatInt(max(1, int64((after+time.Second-1)/time.Second)), 10)
}
