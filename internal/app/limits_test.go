package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/metrics"
	"github.com/longshore-queue/longshore/internal/pipetest"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

func TestBoundsAreChecked(t *testing.T) {
	t.Parallel()
	for option, spoil := range map[string]func(*Options){
		"MaxConnections":          func(o *Options) { o.MaxConnections = -1 },
		"MaxWaiting":              func(o *Options) { o.MaxWaiting = -1 },
		"MaxWaitingPerCredential": func(o *Options) { o.MaxWaitingPerCredential = -1 },
		"RateLimit":               func(o *Options) { o.RateLimit = 1e-9 },
		"QuotaJobs":               func(o *Options) { o.QuotaJobs = -1 },
		"MemoryLimit":             func(o *Options) { o.MemoryLimit = 1 << 20 },
	} {
		options := newTestApp(t).options
		spoil(&options)
		_, err := New(options)
		var wrong *OptionError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, option, wrong.Option)
	}
}

// dequeueOver sends a request over the connection, and returns the status of the answer.
func dequeueOver(conn net.Conn, body string) (int, error) {
	_, err := fmt.Fprintf(conn, "POST /v1/dequeue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func TestConnectionsThatAreTooManyAreClosed(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	a.options.MaxConnections = 2
	a.metrics = metrics.New(buildinfo.Read())
	require.NoError(t, a.Start())
	defer func() { require.NoError(t, a.stopWithin(t, time.Minute)) }()
	first, second := a.connect(t), a.connect(t)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", a.Addr())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		return conn
	}
	for range 3 {
		_, err := io.ReadAll(dial())
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
	}
	scraped := httptest.NewRecorder()
	a.metrics.Handler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	require.Contains(t, scraped.Body.String(), `longshore_limited_total{limit="connections"} 3`)
	for _, conn := range []net.Conn{first, second} {
		status, err := dequeueOver(conn, `{"types":["t"]}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, status, "those that were there go on")
	}
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		status, err := dequeueOver(dial(), `{"types":["t"]}`)
		return err == nil && status == http.StatusNoContent
	}, time.Minute, time.Millisecond, "there is room again")
}

// What anybody gets, however slowly they read it, is all that its connection is made for.
func TestLongTextsForEverybodyAreTheLastOfTheirConnection(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	require.NoError(t, a.Start())
	defer func() { require.NoError(t, a.stopWithin(t, time.Minute)) }()
	for path, last := range map[string]bool{"/openapi.json": true, "/openapi.yml": true, "/v1/errors": true, "/healthz": false, "/v1/jobs": false} {
		conn, err := net.Dial("tcp", a.Addr())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Len(t, body, int(response.ContentLength), path)
		require.Equal(t, last, response.Close, path)
		require.NoError(t, conn.Close())
	}
}

// Every timeout is a fraction of the wait.
func TestALongPollOutlivesEveryTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout, wait = time.Second, 15 * time.Second
		store, err := embedded.OpenMemory(embedded.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, store.Close()) }()
		handler, err := api.New(store, api.Options{BodyTimeout: timeout, WriteTimeout: timeout, MaxWait: wait})
		require.NoError(t, err)
		server := newTestApp(t).newServer(handler)
		server.ReadHeaderTimeout, server.WriteTimeout, server.IdleTimeout = timeout, timeout, timeout
		conn := pipetest.Serve(t, server)
		for range 2 {
			began := time.Now()
			status, err := dequeueOver(conn, `{"types":["t"],"wait_seconds":60}`)
			require.NoError(t, err)
			require.Equal(t, http.StatusNoContent, status)
			require.Equal(t, wait, time.Since(began))
		}
		// One that sends no body has no such patience.
		_, err = fmt.Fprint(conn, "POST /v1/dequeue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 408 "), string(answer))
	})
}
