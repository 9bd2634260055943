package auth

import (
	"context"
	"net/http"
	"time"
)

// Standing is who a request comes from, and what was seen of it. It is of one request, whose handler
// alone uses it.
type Standing struct {
	Principal *Principal
	Request   *http.Request // that has shown the credential
	Seen      time.Time     // when that was looked at last
}

type standingKey struct{}

// WithStanding returns a context of a request that comes from the principal of the standing.
func WithStanding(ctx context.Context, s *Standing) context.Context {
	return context.WithValue(ctx, standingKey{}, s)
}

// StandingOf returns the standing of the request of the context; nil where nobody is asked.
func StandingOf(ctx context.Context) *Standing {
	s, _ := ctx.Value(standingKey{}).(*Standing)
	return s
}

// PrincipalOf returns who the request of the context comes from; nil where nobody is asked.
func PrincipalOf(ctx context.Context) *Principal {
	if s := StandingOf(ctx); s != nil {
		return s.Principal
	}
	return nil
}
