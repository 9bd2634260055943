package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://issuer.example/realms/builds"
	audience  = "longshore"
)

// signers are made once: RSA keys are slow to make.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	ec, ecErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384, ec384Err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	long, longErr := rsa.GenerateKey(rand.Reader, 2048)
	short, shortErr := rsa.GenerateKey(rand.Reader, 1024)
	if err := errors.Join(ecErr, ec384Err, edErr, longErr, shortErr); err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"ES256": ec, "ES384": ec384, "EdDSA": ed, "RS256": long, "short": short}
})

// issuer is one without a network: it is the transport to itself.
type issuer struct {
	mu       sync.Mutex // guards what follows
	url      string
	keys     []any
	down     bool
	hangs    bool // answers nothing until the request ends
	moved    bool // its keys are said to be elsewhere
	metadata func(map[string]any)
	raw      string // what it answers for its keys, if set
	asked    int    // for the keys
}

func newIssuer() *issuer {
	i := &issuer{url: issuerURL}
	i.publish("RS256", "ES256", "EdDSA")
	return i
}

// publish makes those the issuer's keys. The id of each is its name, behind "k-".
func (i *issuer) publish(names ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []any{}
	for _, name := range names {
		i.keys = append(i.keys, jose.JSONWebKey{Key: signers()[name].Public(), KeyID: "k-" + name, Use: "sig"})
	}
}

func (i *issuer) set(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case i.down:
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("a page about the outage"))
	case r.URL.Path == "/realms/builds/.well-known/openid-configuration":
		metadata := map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys"}
		if i.metadata != nil {
			i.metadata(metadata)
		}
		answer(w, metadata)
	case r.URL.Path == "/realms/builds/keys" && i.moved:
		w.Header().Set("Location", i.url+"/keys/new")
		w.WriteHeader(http.StatusFound)
	case r.URL.Path == "/realms/builds/keys", r.URL.Path == "/realms/builds/keys/new":
		i.asked++
		if i.raw != "" {
			_, _ = w.Write([]byte(i.raw))
			return
		}
		answer(w, map[string]any{"keys": i.keys})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func answer(w http.ResponseWriter, document any) {
	if err := json.NewEncoder(w).Encode(document); err != nil {
		panic(err) // a test made it
	}
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	hangs := i.hangs
	i.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	return w.Result(), nil
}

// claims of a good token, with changes; one that is nil is taken out.
func claims(now time.Time, changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "alice", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"scope": "openid work read", "org": "acme",
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token. The key's id is left out if it is "".
func sign(tb testing.TB, name, id string, content map[string]any) string {
	tb.Helper()
	algorithm := jose.SignatureAlgorithm(name)
	if name == "short" {
		algorithm = jose.RS256
	}
	return signWith(tb, jose.SigningKey{Algorithm: algorithm, Key: signers()[name]}, id, content)
}

func signWith(tb testing.TB, key jose.SigningKey, id string, content map[string]any) string {
	tb.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		options = options.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(key, options)
	require.NoError(tb, err)
	token, err := jwt.Signed(signer).Claims(content).Serialize()
	require.NoError(tb, err)
	return token
}

// testOptions make channels of the claim org, and scopes of the claim scope.
func testOptions(i *issuer) oidc.Options {
	return oidc.Options{Issuer: issuerURL, Audience: audience, ChannelClaim: "org", ChannelPrefix: "org-", Transport: i}
}

// open starts an authenticator that ends with the test.
func open(tb testing.TB, options oidc.Options) *oidc.Authenticator {
	tb.Helper()
	a, err := oidc.New(options)
	require.NoError(tb, err)
	a.Start()
	tb.Cleanup(a.Stop)
	return a
}

// ask authenticates a request with the token.
func ask(tb testing.TB, a *oidc.Authenticator, token string) (*auth.Principal, error) {
	tb.Helper()
	return a.Authenticate(request(tb, token))
}

func request(tb testing.TB, token string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
