package auth

import (
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrNoCredential is returned where the request has no credential of the kind that the authenticator knows.
	ErrNoCredential = errors.New("no credential")
	// ErrBadCredential is returned where the request has a credential that is not good: malformed, unknown, revoked,
	// expired, or for somebody else. It is wrapped with which of them it is, for the log and the
	// metrics; a client is never told.
	ErrBadCredential = errors.New("bad credential")
	// ErrCannotTell is returned where nobody can find out at the moment whether a credential is good.
	ErrCannotTell = errors.New("credential cannot be checked")
)

// Authenticator finds out who a request comes from by one kind of credential. It is safe for
// concurrent use, and reads only the request's head and its connection.
type Authenticator interface {
	// Authenticate returns the principal that the request's credential stands for. ErrNoCredential,
	// ErrBadCredential, ErrCannotTell.
	Authenticate(r *http.Request) (*Principal, error)
}

// Chain asks one authenticator after the other. The first that knows the request's kind of
// credential decides. What none of them knows is as bad as what one refuses: to have no credential
// is to show none.
type Chain []Authenticator

// Authenticate is as for Authenticator.
func (c Chain) Authenticate(r *http.Request) (*Principal, error) {
	for _, one := range c {
		p, err := one.Authenticate(r)
		if !errors.Is(err, ErrNoCredential) {
			return p, err
		}
	}
	if len(r.Header["Authorization"]) > 0 {
		return nil, fmt.Errorf("no credential of a kind that is asked for: %w", ErrBadCredential)
	}
	return nil, ErrNoCredential
}
