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
	return waiting, func() {
		forget()
		cancel()
	}
}

// stopping reports whether the server has begun to shut down.
func (a *API) stopping() bool { return a.options.Stopping.Err() != nil }
