package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/loopback"
	"github.com/longshore-queue/longshore/internal/queue"
)

// standsFor is for how long a credential is good that was looked at.
const standsFor = time.Second

// rule says who may call an operation. On which jobs it may be called is not said here: who
// may call it sees nothing but the jobs of its channels.
type rule struct {
	public     bool        // anybody, with a credential or without
	scopes     auth.Scopes // that are needed, all of them
	everywhere bool        // on every channel: it is about the server, and not about jobs
}

// authorise finds out who the request comes from, and whether they may do that at all, before
// anything of the request is read but its head. The principal travels on with the request.
func (a *API) authorise(c echo.Context, needs *rule, now time.Time) error {
	if a.options.Authenticator == nil || needs.public {
		return nil
	}
	r := c.Request()
	p, err := a.options.Authenticator.Authenticate(r)
	a.options.Observer.Authenticated(authenticated(err))
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("the authenticator returned nobody")
	}
	c.SetRequest(r.WithContext(auth.WithStanding(r.Context(), &auth.Standing{Principal: p, Request: r, Seen: now})))
	// Before the scopes are looked at: what is refused costs a call too.
	if err := a.takeTurn(p, now); err != nil {
		return err
	}
	if missing := needs.scopes &^ p.Scopes; missing != 0 {
		return &requestError{code: codeScopeMissing, detail: "the credential lacks the scope " + strings.Join(missing.Names(), " and the scope ")}
	}
	if needs.everywhere && !p.Channels.All() {
		return &requestError{code: codeChannelForbidden, detail: "this is about the whole server, and the credential is not for every channel"}
	}
	return nil
}

// keepPagesOut refuses what a page in a browser has made, where nobody is asked who they are.
func (a *API) keepPagesOut(r *http.Request) error {
	if a.options.Loopback == nil {
		return nil
	}
	switch err := a.options.Loopback.Check(r); {
	case err == nil:
		return nil
	case errors.Is(err, loopback.ErrHost):
		return &requestError{code: codeHostForbidden}
	default:
		return &requestError{code: codeOriginForbidden}
	}
}

// stands finds out whether whoever a call comes from that has waited may still be answered: a
// credential is revoked, expires or is cut down while they wait. It is asked again after a second at the earliest,
// because some kinds are dear to check. One that nobody can tell of is taken for good, as it was.
func (a *API) stands(ctx context.Context) error {
	s := auth.StandingOf(ctx)
	if s == nil || time.Since(s.Seen) < standsFor {
		return nil
	}
	p, err := a.options.Authenticator.Authenticate(s.Request)
	switch {
	case errors.Is(err, auth.ErrCannotTell):
		return nil
	case err != nil:
		return err
	case !p.Equal(s.Principal):
		return queue.ErrUnavailable // who asks again is answered as who they are then
	}
	s.Seen = time.Now()
	return nil
}

// whyRefused tells the log, and nobody else, what is wrong with a credential; "" if nothing is.
func whyRefused(err error) string {
	if errors.Is(err, auth.ErrBadCredential) || errors.Is(err, auth.ErrNoCredential) || errors.Is(err, auth.ErrCannotTell) {
		return err.Error()
	}
	return ""
}
