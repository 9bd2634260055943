package api

import (
	"context"
	"time"
)

// patience is the context of a caller that waits: it ends with the request, after wait, and
// when the server begins to stop. It starts no goroutine.
func (a *API) patience(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	forget := context.AfterFunc(a.options.Stopping, cancel)
	if wait > 0 {
		a.options.Observer.Waits()
	}
	return waiting, func() {
		if wait > 0 {
			a.options.Observer.WaitsNoMore()
		}
		forget()
		cancel()
	}
}

// hold is patience for a call that is to be held back for a while, which it counts among those
// that wait. One that is not to wait is not counted.
func (a *API) hold(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc, error) {
	if wait <= 0 {
		waiting, cancel := a.patience(ctx, 0)
		return waiting, cancel, nil
	}
	if err := a.enter(ctx); err != nil {
		return nil, nil, err
	}
	waiting, cancel := a.patience(ctx, wait)
	return waiting, func() {
		cancel()
		a.leave(ctx)
	}, nil
}

// stopping reports whether the server has begun to shut down.
func (a *API) stopping() bool { return a.options.Stopping.Err() != nil }
