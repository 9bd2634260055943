package oidc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/longshore-queue/longshore/internal/auth"
)

const (
	// maxToken is how long a token may be, in bytes.
	maxToken = 8 << 10
	// maxSubject is how long a token's subject may be, in bytes, as OpenID Connect says.
	maxSubject = 255
	// leeway is how far the clocks of the issuer and this server may be apart.
	leeway = 30 * time.Second
	// foreignPrefix begins bearer tokens that are no JWT, but API keys.
	foreignPrefix = "lsk_"
)

// Authenticator knows the tokens of one issuer. It implements auth.Authenticator.
type Authenticator struct {
	options      Options
	signatures   []jose.SignatureAlgorithm
	scopesClaim  path
	channelClaim path
	keys         *keys
}

// New returns an authenticator that knows no keys yet. *OptionError.
func New(options Options) (*Authenticator, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options.complete()
	return &Authenticator{
		options:      options,
		signatures:   options.signatures(),
		scopesClaim:  pathTo(options.ScopesClaim),
		channelClaim: pathTo(options.ChannelClaim),
		keys:         newKeys(&options),
	}, nil
}

// Start begins to fetch the issuer's keys, in a goroutine, and returns at once: a server does not wait for
// its issuer.
func (a *Authenticator) Start() { a.keys.start() }

// Stop ends what Start began, and waits for it. It may be called again, and without Start.
func (a *Authenticator) Stop() { a.keys.stop() }

// Authenticate implements auth.Authenticator. Its errors hold nothing of the token.
func (a *Authenticator) Authenticate(r *http.Request) (*auth.Principal, error) {
	text, err := bearer(r)
	if err != nil {
		return nil, err
	}
	// Before anything looks into it.
	if len(text) > maxToken || strings.Count(text, ".") != 2 {
		return nil, bad("token is too long, or has not three parts")
	}
	sum, now := digest(sha256.Sum256([]byte(text))), a.options.Now()
	if p := a.keys.known.Load().verified.find(sum, now); p != nil {
		return p, nil
	}
	token, err := jwt.ParseSigned(text, a.signatures)
	if err != nil || len(token.Headers) != 1 {
		return nil, bad("token is malformed, or signed with an algorithm that is not allowed")
	}
	// The keys that it is checked with are those that it is remembered with, whatever they are by then.
	known, err := a.keys.find(r.Context(), token.Headers[0].KeyID, token.Headers[0].Algorithm)
	if err != nil {
		return nil, err
	}
	registered, claims, err := known.verify(token)
	if err != nil {
		return nil, err
	}
	if err := a.check(&registered); err != nil {
		return nil, err
	}
	channels, ok := a.channels(claims)
	if !ok {
		return nil, bad("token is for too many channels")
	}
	p := &auth.Principal{Name: "oidc:" + registered.Subject, Scopes: a.scopes(claims), Channels: channels}
	known.verified.add(sum, p, now, registered.Expiry.Time())
	return p, nil
}

// bearer returns the bearer token of a request, if it is no API key. auth.ErrNoCredential if there is none.
func bearer(r *http.Request) (string, error) {
	const scheme = "bearer "
	headers := r.Header["Authorization"]
	found := ""
	for _, header := range headers {
		if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
			continue
		}
		if text := strings.TrimLeft(header[len(scheme):], " "); !strings.HasPrefix(text, foreignPrefix) {
			found = text
		}
	}
	switch {
	case found == "":
		return "", auth.ErrNoCredential
	case len(headers) > 1:
		return "", bad("token is there beside other credentials")
	default:
		return found, nil
	}
}

// verify returns the claims of a token that one of the keys signed.
func (s *keySet) verify(token *jwt.JSONWebToken) (registered jwt.Claims, claims map[string]any, err error) {
	candidates := s.among(token.Headers[0].KeyID, token.Headers[0].Algorithm)
	if len(candidates) == 0 {
		return registered, nil, bad("token names a key that the issuer does not have")
	}
	for _, key := range candidates {
		err = token.Claims(key, &registered, &claims)
		if !errors.Is(err, jose.ErrCryptoFailure) {
			break
		}
	}
	switch {
	case errors.Is(err, jose.ErrCryptoFailure):
		return registered, nil, bad("token has a wrong signature")
	case err != nil:
		return registered, nil, bad("token has claims that cannot be read")
	}
	return registered, claims, nil
}

// check tells what is wrong with what every token says.
func (a *Authenticator) check(registered *jwt.Claims) error {
	if registered.Expiry == nil {
		return bad("token does not expire")
	}
	err := registered.ValidateWithLeeway(jwt.Expected{
		Issuer:      a.options.Issuer,
		AnyAudience: jwt.Audience{a.options.Audience},
		Time:        a.options.Now(),
	}, leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return bad("token is of another issuer")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return bad("token is for another audience")
	case errors.Is(err, jwt.ErrExpired):
		return bad("token has expired")
	case err != nil:
		return bad("token is not valid yet")
	case !fit(registered.Subject):
		return bad("token has no subject that can be logged")
	}
	return nil
}

// fit reports whether a subject can stand in a log: OpenID Connect has ASCII only.
func fit(subject string) bool {
	if subject == "" || len(subject) > maxSubject {
		return false
	}
	for i := range len(subject) {
		if subject[i] < ' ' || subject[i] > '~' {
			return false
		}
	}
	return true
}

func bad(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrBadCredential) }
