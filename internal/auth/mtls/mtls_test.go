package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/mtls"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

const subjects = `
# Workers of the build farm.
{"uri": "spiffe://builds.example/worker", "scopes": ["work"], "channels": ["builds", "tests"]}
{"dns": "producer.example", "scopes": ["enqueue", "read"], "channels": ["builds"]}
  {"common_name": "Grace Operator", "scopes": ["admin"], "channels": ["*"]}
`

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "subjects")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// request is one over a connection with a verified certificate.
func request(t *testing.T, s tlstest.Subject) *http.Request {
	t.Helper()
	pair := tlstest.NewCA(t).Issue(t, s).TLS(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{pair.Leaf}, VerifiedChains: [][]*x509.Certificate{{pair.Leaf}}}
	return r
}

func TestSubjectsStandForPrincipals(t *testing.T) {
	t.Parallel()
	a, err := mtls.Open(write(t, subjects), nil)
	require.NoError(t, err)
	for want, s := range map[*auth.Principal]tlstest.Subject{
		{Name: "mtls:spiffe://builds.example/worker", Scopes: auth.Work, Channels: auth.SomeChannels("builds", "tests")}: {CommonName: "x", URIs: []string{"spiffe://builds.example/worker"}},
		{Name: "mtls:producer.example", Scopes: auth.Enqueue | auth.Read, Channels: auth.SomeChannels("builds")}:         {DNS: []string{"other.example", "producer.example"}},
		{Name: "mtls:Grace Operator", Scopes: auth.Admin, Channels: auth.AllChannels()}:                                  {CommonName: "Grace Operator"},
	} {
		p, err := a.Authenticate(request(t, s))
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
}

func TestSubjectsMatchExactlyAndByTheirKind(t *testing.T) {
	t.Parallel()
	a, err := mtls.Open(write(t, subjects), nil)
	require.NoError(t, err)
	for name, s := range map[string]tlstest.Subject{
		"unknown":         {CommonName: "somebody"},
		"nobody":          {},
		"part":            {URIs: []string{"spiffe://builds.example/worker/2"}},
		"case":            {DNS: []string{"Producer.example"}},
		"wildcard":        {DNS: []string{"*.example"}},
		"name of a host":  {CommonName: "producer.example"},
		"name of a URI":   {CommonName: "spiffe://builds.example/worker"},
		"two of the file": {CommonName: "Grace Operator", DNS: []string{"producer.example"}},
	} {
		p, err := a.Authenticate(request(t, s))
		require.ErrorIs(t, err, auth.ErrBadCredential, name)
		require.Nil(t, p)
	}
}

func TestCertificatesThatNobodyVerifiedAreNone(t *testing.T) {
	t.Parallel()
	a, err := mtls.Open(write(t, subjects), nil)
	require.NoError(t, err)
	r := request(t, tlstest.Subject{CommonName: "Grace Operator"})
	r.TLS.VerifiedChains = nil
	_, err = a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrNoCredential)
	r.TLS = nil
	r.Header.Set("X-Client-Cert", "Grace Operator")
	_, err = a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrNoCredential)
}

func TestCertificateExpiresOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, err := mtls.Open(write(t, subjects), func() time.Time { return now })
	require.NoError(t, err)
	r := request(t, tlstest.Subject{CommonName: "Grace Operator"})
	_, err = a.Authenticate(r)
	require.NoError(t, err)
	now = now.Add(2 * time.Hour)
	_, err = a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

func TestFileIsReadAgain(t *testing.T) {
	t.Parallel()
	name := write(t, subjects)
	a, err := mtls.Open(name, nil)
	require.NoError(t, err)
	r := request(t, tlstest.Subject{CommonName: "Grace Operator"})
	tlstest.WriteFile(t, name, []byte(`{"common_name": "Grace Operator"}`))
	require.ErrorContains(t, a.Reload(), "line 1: scopes")
	_, err = a.Authenticate(r)
	require.NoError(t, err, "what was there stays")
	tlstest.WriteFile(t, name, nil)
	require.NoError(t, a.Reload())
	_, err = a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

func TestFilesAreCheckedLineByLine(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{`:                     "line 1: it is not a JSON object",
		`{"cn":"a"}`:            "line 1: it is not a JSON object",
		"\n" + `{"dns":"a"} {}`: "line 2: there is something after",
		`{"scopes":["work"]}`:   "line 1: it must have one of uri, dns and common_name",
		`{"dns":"a","uri":"b"}`: "line 1: it must have one of",
		`{"dns":"a\n"}`:         "line 1: the subject must be",
		`{"dns":"` + strings.Repeat("a", 256) + `"}`:                                                               "line 1: the subject must be",
		`{"dns":"a","scopes":["shout"]}`:                                                                           "line 1: scopes: there is no scope",
		`{"dns":"a","scopes":["work"]}`:                                                                            "line 1: channels: must be 1 to 64",
		`{"dns":"a","scopes":["work"],"channels":["a","*"]}`:                                                       `line 1: channels: "*" is no name`,
		`{"dns":"a","scopes":["work"],"channels":["` + "a b" + `"]}`:                                               "line 1: channels:",
		strings.Repeat(`{"dns":"a","scopes":["work"],"channels":["a"]}`+"\n", 2):                                   "line 2: it has the subject of line 1",
		`{"dns":"a","scopes":["work"],"channels":["a"]}` + "\n" + `{"uri":"a","scopes":["work"],"channels":["b"]}`: "line 2: it has the subject of line 1",
		strings.Repeat("#", 65<<10):                                                                                "too long",
	} {
		_, err := mtls.Open(write(t, content), nil)
		require.ErrorContains(t, err, want)
	}
	_, err := mtls.Open(filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorContains(t, err, "open the file of certificate subjects")
}
