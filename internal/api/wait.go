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

// stopping reports whether the server has begun to shut down.
func (a *API) stopping() bool { return a.options.Stopping.Err() != nil }
