package loopback_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/loopback"
)

func request(method, host string, headers map[string]string) *http.Request {
	r := httptest.NewRequest(method, "/v1/jobs", http.NoBody)
	r.Host = host
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r
}

func TestHostMustMeanThisMachine(t *testing.T) {
	t.Parallel()
	g := loopback.New("queue.internal")
	for host, want := range map[string]error{
		"127.0.0.1":               nil,
		"127.0.0.1:8080":          nil,
		"127.9.9.9:1":             nil,
		"[::1]":                   nil,
		"[::1]:8080":              nil,
		"[::ffff:127.0.0.1]:8080": nil,
		"localhost":               nil,
		"LocalHost.:8080":         nil,
		"queue.internal:8080":     nil,
		"Queue.Internal":          nil,
		"":                        nil,
		"evil.example":            loopback.ErrHost,
		"evil.example:8080":       loopback.ErrHost,
		"localhost.evil.example":  loopback.ErrHost,
		"a.queue.internal":        loopback.ErrHost,
		"127.0.0.1.evil.example":  loopback.ErrHost,
		"192.0.2.1:8080":          loopback.ErrHost,
		"0.0.0.0:8080":            loopback.ErrHost,
		"[fe80::1]:8080":          loopback.ErrHost,
		"::1":                     loopback.ErrHost,
		"[::1":                    loopback.ErrHost,
		"[::1]evil":               loopback.ErrHost,
		":8080":                   loopback.ErrHost,
		".":                       loopback.ErrHost,
	} {
		require.ErrorIs(t, g.Check(request("GET", host, nil)), want, "%q", host)
	}
}

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	g := loopback.New()
	for name, test := range map[string]struct {
		method  string
		headers map[string]string
		want    error
	}{
		"no browser":                    {"POST", nil, nil},
		"own page":                      {"POST", map[string]string{"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, nil},
		"own page in an old browser":    {"POST", map[string]string{"Origin": "http://127.0.0.1:8080"}, nil},
		"another's":                     {"POST", map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, loopback.ErrOrigin},
		"another's in an old browser":   {"DELETE", map[string]string{"Origin": "https://evil.example"}, loopback.ErrOrigin},
		"of no origin":                  {"POST", map[string]string{"Origin": "null"}, loopback.ErrOrigin},
		"of another port":               {"POST", map[string]string{"Origin": "http://127.0.0.1:3000"}, loopback.ErrOrigin},
		"a link, whose answer is shown": {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, nil},
	} {
		require.ErrorIs(t, g.Check(request(test.method, "127.0.0.1:8080", test.headers)), test.want, name)
	}
}

//nolint:paralleltest // what others allocate at the same time would count
func TestACheckAllocatesNothing(t *testing.T) {
	g := loopback.New("queue.internal")
	for _, host := range []string{"127.0.0.1:8080", "[::1]:8080", "localhost:8080", "queue.internal"} {
		r := request("POST", host, nil)
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = g.Check(r) }), host)
	}
}
