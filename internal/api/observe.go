package api

import (
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/auth"
)

// Observer is told of requests, to count them. Its methods do not block.
type Observer interface {
	// Began is told of each request. Ended is told when it was answered: which operation of the
	// contract it was, "" if none, and with which status, 0 if the client went away.
	Began()
	Ended(operation string, status int, took time.Duration)
	// Authenticated is told what became of asking a request who it comes from: "accepted",
	// "missing", "refused" or "unknown", which is that nobody can tell at the moment.
	Authenticated(outcome string)
	// Limited is told of each call that was refused, or not let wait, because of a limit: "rate" or
	// "waiting" of its credential, "quota" of a channel, "waiting_in_all" or "memory" of the server.
	Limited(limit string)
	// Waits is told that a request begins to wait for something to happen, and WaitsNoMore that it
	// has ended to.
	Waits()
	WaitsNoMore()
}

// observe tells of a request that was answered, or not.
func (a *API) observe(c echo.Context, started time.Time, answered bool) {
	status := c.Response().Status
	if !answered {
		status = 0
	}
	name := ""
	if op := a.operationOf(c); op != nil && c.Request().URL.RawPath == "" {
		name = op.name
	}
	a.options.Observer.Ended(name, status, time.Since(started))
}

// authenticated is what Observer is told of an authenticator's answer.
func authenticated(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, auth.ErrNoCredential):
		return "missing"
	case errors.Is(err, auth.ErrBadCredential):
		return "refused"
	default:
		return "unknown"
	}
}

// What Observer is told of limits.
const (
	limitRate         = "rate"
	limitWaiting      = "waiting"
	limitQuota        = "quota"
	limitWaitingInAll = "waiting_in_all"
	limitMemory       = "memory"
)

// nobody is the Observer where there is none.
type nobody struct{}

func (nobody) Began()                           {}
func (nobody) Ended(string, int, time.Duration) {}
func (nobody) Authenticated(string)             {}
func (nobody) Limited(string)                   {}
func (nobody) Waits()                           {}
func (nobody) WaitsNoMore()                     {}
