package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/loopback"
)

func TestPagesInBrowsersAreKeptOutOfEveryOperation(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{Loopback: loopback.New("queue.internal")})
	ask := func(method, path, host, origin string) answer {
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		return e.do(r)
	}
	for _, op := range contractOperations(t) {
		e.problem(ask(op.method, op.path, "evil.example:8080", ""), 403, "host-forbidden", "")
		if op.method != "GET" {
			e.problem(ask(op.method, op.path, "127.0.0.1:8080", "https://evil.example"), 403, "origin-forbidden", "")
		}
	}
	e.problem(ask("GET", "/nothing", "evil.example", ""), 403, "host-forbidden", "")
	for _, host := range []string{"127.0.0.1:8080", "localhost", "[::1]:8080", "queue.internal"} {
		require.Equal(t, 200, ask("GET", "/v1/errors", host, "").status, host)
		require.Equal(t, 404, ask("POST", "/nothing", host, "http://"+host).status, host)
	}
}

func TestAServerThatAsksWhoCallsIsForAnyHost(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	r := httptest.NewRequest("GET", "/v1/errors", http.NoBody)
	r.Host = "queue.example"
	r.Header.Set("Origin", "https://dashboard.example")
	require.Equal(t, 200, e.do(r).status)
}
