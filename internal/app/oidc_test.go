package app_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

// tokenIssuer is an OpenID Connect issuer that is down at first.
type tokenIssuer struct {
	*httptest.Server
	key ed25519.PrivateKey
	up  atomic.Bool
}

func newTokenIssuer(t *testing.T) *tokenIssuer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	i := &tokenIssuer{key: private}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := any(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		if r.URL.Path == "/keys" {
			key := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": base64.RawURLEncoding.EncodeToString(public)}
			document = map[string]any{"keys": []any{key}}
		}
		if !i.up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(document); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *tokenIssuer) token(t *testing.T, scope, org string) string {
	t.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "EdDSA", "kid": "one"}) + "." + part(map[string]any{
		"iss": i.URL, "aud": "longshore", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "scope": scope, "org": org,
	})
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(signed)))
}

// create makes a job in a channel with the token, and returns the status and the answer.
func create(t *testing.T, client *http.Client, base, token, channel string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/jobs", strings.NewReader(`{"type":"t","channel":"`+channel+`"}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "same")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(body)
}

func TestTokensOfAnIssuerAreAskedFor(t *testing.T) {
	t.Parallel()
	issuer, logged := newTokenIssuer(t), &lines{}
	options := testOptions()
	options.Logger = logrus.New()
	options.Logger.SetOutput(logged)
	options.Auth = []string{"oidc"}
	options.OIDC = app.OIDCOptions{Issuer: issuer.URL, Audience: "longshore", ChannelClaim: "org", ChannelPrefix: "org-"}
	s := start(t, options) // which does not wait for the issuer
	base := "http://" + s.app.Addr()
	good := issuer.token(t, "openid enqueue", "acme")
	status, _ := create(t, s.client, base, good, "org-acme")
	require.Equal(t, http.StatusServiceUnavailable, status)
	issuer.up.Store(true)
	require.Eventually(t, func() bool {
		status, _ = create(t, s.client, base, good, "org-acme")
		return status == http.StatusCreated
	}, soon, 50*time.Millisecond)

	weak := issuer.token(t, "openid", "acme")
	status, answer := create(t, s.client, base, weak, "org-acme")
	require.Equal(t, http.StatusForbidden, status, answer)
	status, answer = create(t, s.client, base, good, "org-other")
	require.Equal(t, http.StatusForbidden, status, answer)

	broken := good[:len(good)-4] + "AAAA"
	status, answer = create(t, s.client, base, "", "org-acme")
	require.Equal(t, http.StatusUnauthorized, status)
	for _, token := range []string{broken, "nonsense", strings.Repeat(".", 3000), "lsk_a.b"} {
		status, same := create(t, s.client, base, token, "org-acme")
		require.Equal(t, http.StatusUnauthorized, status)
		require.Equal(t, answer, same, "nobody is told what is wrong with a token")
	}
	require.NoError(t, s.stop())
	for _, token := range []string{good, weak, broken} {
		for part := range strings.SplitSeq(token, ".") {
			require.NotContains(t, logged.String(), part)
		}
	}
}

func TestCertificatesOfClientsAreCredentials(t *testing.T) {
	t.Parallel()
	ca, dir := tlstest.NewCA(t), t.TempDir()
	options := testOptions()
	options.TLSCert, options.TLSKey = ca.Issue(t, tlstest.Subject{}).Write(t, dir)
	options.TLSClientCA, options.AuthMTLSFile = dir+"/ca.pem", dir+"/subjects"
	options.Auth = []string{"mtls"}
	tlstest.WriteFile(t, options.TLSClientCA, ca.PEM)
	tlstest.WriteFile(t, options.AuthMTLSFile, []byte(`{"dns":"ours.example","scopes":["enqueue"],"channels":["c"]}`))
	s := secure{server: start(t, options), ca: ca, dir: dir}
	with := func(subjects ...tlstest.Subject) *http.Client {
		var mine []tls.Certificate
		for _, subject := range subjects {
			mine = append(mine, ca.Issue(t, subject).TLS(t))
		}
		return s.clientOf(true, mine...)
	}
	ours := with(tlstest.Subject{DNS: []string{"ours.example"}})
	status, answer := create(t, ours, s.url(""), "", "c")
	require.Equal(t, http.StatusCreated, status, answer)
	status, _ = create(t, ours, s.url(""), "", "d")
	require.Equal(t, http.StatusForbidden, status)
	status, none := create(t, with(), s.url(""), "", "c")
	require.Equal(t, http.StatusUnauthorized, status)
	status, unknown := create(t, with(tlstest.Subject{DNS: []string{"other.example"}}), s.url(""), "", "c")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, none, unknown)

	tlstest.WriteFile(t, options.AuthMTLSFile, nil)
	s.app.Reload()
	status, _ = create(t, ours, s.url(""), "", "c")
	require.Equal(t, http.StatusUnauthorized, status, "on the connection that it had")
}
