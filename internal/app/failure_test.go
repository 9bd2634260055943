package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

func newTestApp(t *testing.T) *App {
	t.Helper()
	a, err := New(Options{
		Listen: "127.0.0.1:0", Store: InMemory, HeartbeatTimeout: time.Minute, ReapInterval: time.Minute,
		MaxWait: time.Minute, MaxBodyBytes: 1 << 10, MaxBatchBytes: 1 << 10, MaxArgsBytes: 1 << 10, MaxResultBytes: 1 << 10,
		IdempotencyTTL: time.Hour,
	})
	require.NoError(t, err)
	return a
}

func (a *App) stopWithin(t *testing.T, patience time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.Stop(ctx)
}

// connect opens a connection and waits until the server has it.
func (a *App) connect(t *testing.T) net.Conn {
	t.Helper()
	before := a.conns.count()
	conn, err := net.Dial("tcp", a.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	require.Eventually(t, func() bool { return a.conns.count() > before }, time.Minute, time.Millisecond)
	return conn
}

// What the server cannot go on after is reported, once, and it can still be stopped.
func TestFailureIsReported(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	require.NoError(t, a.Start())
	select {
	case err := <-a.Failed():
		require.Fail(t, "failed before anything happened", err)
	default:
	}
	require.NoError(t, a.listener.Close())
	require.ErrorContains(t, <-a.Failed(), "serve:")
	require.NoError(t, a.stopWithin(t, time.Minute))
}

// A store that fails tells the app, which tells whoever runs it.
func TestFailureOfTheStoreIsReported(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	var given embedded.Options
	a.open = func(path string, options embedded.Options) (*embedded.Store, error) {
		given = options
		return openEngine(path, options)
	}
	require.NoError(t, a.Start())
	cause := errors.New("disk on fire")
	require.Equal(t, a.options.IdempotencyTTL, given.IdempotencyTTL)
	given.OnFailure(cause)
	select {
	case err := <-a.Failed():
		require.ErrorIs(t, err, cause)
		require.EqualError(t, err, "the store failed: disk on fire")
	case <-time.After(time.Minute):
		require.Fail(t, "nobody was told")
	}
	require.NoError(t, a.stopWithin(t, time.Minute))
}

func TestStoreThatCannotBeOpenedLeavesNothingListening(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	a.open = func(string, embedded.Options) (*embedded.Store, error) { return nil, errors.New("broken") }
	require.ErrorContains(t, a.Start(), "broken")
	_, err := net.Dial("tcp", a.Addr())
	require.Error(t, err)
}

// Whatever a client can draw out is bounded.
func TestServerIsBounded(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	require.NoError(t, a.Start())
	defer func() { require.NoError(t, a.stopWithin(t, time.Minute)) }()
	require.Equal(t, headerTimeout, a.server.ReadHeaderTimeout)
	require.Equal(t, idleTimeout, a.server.IdleTimeout)
	require.Equal(t, writeTimeout, a.server.WriteTimeout)
	require.Zero(t, a.server.ReadTimeout, "it would end long polls")

	status, _ := ask(t, a.connect(t), "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 10<<10)+"\r\n\r\n")
	require.Equal(t, http.StatusOK, status)
	status, _ = ask(t, a.connect(t), "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
	status, body := ask(t, a.connect(t), "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "route-not-found")
}

// ask sends a request and returns the status and the body of its answer.
func ask(t *testing.T, conn net.Conn, request string) (int, string) {
	t.Helper()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(body)
}

func TestServerLogIsKept(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	a := newTestApp(t)
	a.log = logrus.New()
	a.log.SetOutput(&text)
	a.newServer(http.NotFoundHandler()).ErrorLog.Print("http: Accept error: too many open files")
	require.Contains(t, text.String(), "too many open files")
}

// A client that opened a connection ahead of need, or left one open, does not hold up the
// stop, and is not cut off in anything.
func TestConnectionsWithoutARequestDoNotDelayTheStop(t *testing.T) {
	t.Parallel()
	for name, patience := range map[string]time.Duration{"in time": time.Minute, "out of time": time.Millisecond} {
		for state, begin := range map[string]string{
			"silent": "",
			"begun":  "GET /healthz HT",
			"idle":   "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		} {
			t.Run(name+"/"+state, func(t *testing.T) {
				t.Parallel()
				a := newTestApp(t)
				require.NoError(t, a.Start())
				conn := a.connect(t)
				if state == "idle" {
					status, _ := ask(t, conn, begin)
					require.Equal(t, http.StatusOK, status)
					require.Eventually(t, func() bool { return !a.conns.inFlight() }, time.Minute, time.Millisecond)
				} else {
					_, err := io.WriteString(conn, begin)
					require.NoError(t, err)
				}
				began := time.Now()
				require.NoError(t, a.stopWithin(t, patience))
				require.Less(t, time.Since(began), 5*time.Second, "net/http waits for that long for a request that may come")
				_, err := conn.Read(make([]byte, 1))
				require.Error(t, err)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
			})
		}
	}
}

// Whoever is told that there is no job is told to go as well: it would ask again here, and
// find its connection closed.
func TestAnswersOfAServerThatStopsCloseTheirConnections(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	require.NoError(t, a.Start())
	conn := a.connect(t)
	const body = `{"types":["t"],"wait_seconds":60}`
	_, err := io.WriteString(conn, "POST /v1/dequeue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: 33\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	// The end of the waiting is looked at before anything else of the stop happens.
	endWaits := a.stopping
	a.stopping = func() {
		endWaits()
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.True(t, response.Close)
	}
	require.NoError(t, a.stopWithin(t, time.Minute))
}
