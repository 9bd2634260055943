package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchTimeout bounds each request to the issuer.
	fetchTimeout = 10 * time.Second
	// maxDocument is how long an answer of the issuer may be, in bytes.
	maxDocument = 512 << 10
	// mostKeys is how many keys an issuer may have. A token that names none is checked with each of them.
	mostKeys = 32
)

// fetch asks the issuer where its keys are, and then for them. Keys that are of no use are left out.
func fetch(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("discover the issuer: %w", err)
	}
	var metadata struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("discover the issuer: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata.Keys, http.NoBody)
	if err != nil {
		return nil, errors.New("discover the issuer: its jwks_uri is no address")
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's keys: %w", err)
	}
	return readKeys(content)
}

// readKeys reads a set of keys. One that cannot be read is of a kind that is not known here, and the
// others are good all the same.
func readKeys(content []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch err := json.Unmarshal(content, &set); {
	case err != nil:
		return nil, errors.New("fetch the issuer's keys: they are no JSON Web Key Set")
	case set.Keys == nil:
		return nil, errors.New(`fetch the issuer's keys: there is no member "keys"`)
	case len(set.Keys) > mostKeys:
		return nil, fmt.Errorf("fetch the issuer's keys: they are %d, and at most %d are allowed", len(set.Keys), mostKeys)
	}
	var found []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && usable(&key) {
			found = append(found, key)
		}
	}
	return found, nil
}

// newClient returns a client that asks nobody but who it is told to, and reads no more than it has to.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
		if usual, ok := transport.(*http.Transport); ok {
			transport = usual.Clone() // its connections end with this one
		}
	}
	return &http.Client{
		Transport: guard{transport},
		Timeout:   fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the issuer sends elsewhere, which is not followed")
		},
	}
}

// guard lets nothing pass but whole answers of an acceptable length from an address that can be trusted.
type guard struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := trustworthy(r.URL); err != nil {
		return nil, fmt.Errorf("the address %s %w", redacted(r.URL), err)
	}
	response, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if status := response.StatusCode; status < 300 && status != http.StatusOK || status >= 400 {
		_ = response.Body.Close() // nobody reads it
		return nil, fmt.Errorf("the answer is %d, not 200", status)
	}
	response.Body = &bounded{ReadCloser: response.Body, left: maxDocument}
	return response, nil
}

// CloseIdleConnections is what http.Client asks of a transport.
func (g guard) CloseIdleConnections() {
	if closer, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

func redacted(address *url.URL) string { return address.Scheme + "://" + address.Host }

// bounded fails a read past its bound; io.LimitReader would show a cut answer as a whole one.
type bounded struct {
	io.ReadCloser
	left int // bytes that may still be read
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxDocument)
	}
	return n, err
}
