package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// serveHTTP2 serves the API over HTTP/2, with the http.Server's own limit for writing.
func serveHTTP2(t *testing.T, handler http.Handler, writeTimeout time.Duration) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.WriteTimeout = writeTimeout
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// Over HTTP/2 the server's time for writing goes on while nothing is written.
func TestLongPollOverHTTP2OutlivesTheTimeForWriting(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	server := serveHTTP2(t, e.handler, 500*time.Millisecond)
	for _, wait := range []string{"0.7", "0.7"} { // on one connection
		response, err := server.Client().Post(server.URL+"/v1/dequeue", "application/json", strings.NewReader(`{"types":["t"],"wait_seconds":`+wait+`}`))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 2, response.ProtoMajor)
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
}

// Others have requests on the connection, too, which may be a proxy's.
func TestABodyThatIsNotReadEndsNoConnectionOfHTTP2(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{MaxBodyBytes: 100, MaxArgsBytes: 10, MaxResultBytes: 10})
	server := serveHTTP2(t, e.handler, time.Minute)
	connections := map[string]bool{}
	for i := range 20 {
		body, want := `{"type":"t"}`, http.StatusCreated
		if i%2 == 0 {
			body, want = strings.Repeat(" ", 1<<20), http.StatusRequestEntityTooLarge
		}
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			connections[got.Conn.LocalAddr().String()] = true
		}})
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/jobs", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		response, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 2, response.ProtoMajor)
		require.Equal(t, want, response.StatusCode)
	}
	require.Len(t, connections, 1)
}

func TestClientLeavesALongPollOverHTTP2(t *testing.T) {
	t.Parallel()
	q := watched{newStore(t), make(chan struct{}, 1), make(chan error, 1)}
	e := newEdge(t, q, api.Options{})
	server := serveHTTP2(t, e.handler, time.Minute)
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/dequeue", strings.NewReader(`{"types":["t"],"wait_seconds":60}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	left := make(chan error, 1)
	go func() {
		response, err := server.Client().Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		left <- err
	}()
	receive(t, q.begun, "the dequeue")
	leave()
	require.ErrorIs(t, receive(t, left, "the end of the request"), context.Canceled)
	require.ErrorIs(t, receive(t, q.ended, "the end of the dequeue"), queue.ErrDequeueTimeout)
}
