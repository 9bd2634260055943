package api

import (
	"errors"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/auth"
)

// rule says who may call an operation. On which jobs it may be called is not said here: who
// may call it sees nothing but the jobs of its channels.
type rule struct {
	public     bool        // anybody, with a credential or without
	scopes     auth.Scopes // that are needed, all of them
	everywhere bool        // on every channel: it is about the server, and not about jobs
}

// authorise finds out who the request comes from, and whether they may do that at all, before
// anything of the request is read but its head. The principal travels on with the request.
func (a *API) authorise(c echo.Context, needs *rule) error {
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
	c.SetRequest(r.WithContext(auth.WithPrincipal(r.Context(), p)))
	if missing := needs.scopes &^ p.Scopes; missing != 0 {
		return &requestError{code: codeScopeMissing, detail: "the credential lacks the scope " + strings.Join(missing.Names(), " and the scope ")}
	}
	if needs.everywhere && !p.Channels.All() {
		return &requestError{code: codeChannelForbidden, detail: "this is about the whole server, and the credential is not for every channel"}
	}
	return nil
}

// whyRefused tells the log, and nobody else, what is wrong with a credential; "" if nothing is.
func whyRefused(err error) string {
	if errors.Is(err, auth.ErrBadCredential) || errors.Is(err, auth.ErrNoCredential) || errors.Is(err, auth.ErrCannotTell) {
		return err.Error()
	}
	return ""
}
