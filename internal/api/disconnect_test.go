package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/pipetest"
	"github.com/longshore-queue/longshore/internal/queue"
)

// dial opens a connection to a server in front of the edge.
func dial(t *testing.T, e *edge) net.Conn {
	t.Helper()
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	return conn
}

func rawDequeue(body string) string {
	return fmt.Sprintf("POST /v1/dequeue HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// ask sends a request over a connection, and returns the answer.
func ask(t *testing.T, conn net.Conn, request string) answer {
	t.Helper()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	if response.Close {
		response.Header.Set("Connection", "close") // which http.ReadResponse takes out
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(soon):
		require.FailNow(t, "nothing came", what)
		panic("unreachable")
	}
}

// watched tells when a dequeue begins and how it ended.
type watched struct {
	api.Queue
	begun chan struct{}
	ended chan error
}

func (w watched) Dequeue(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error) {
	w.begun <- struct{}{}
	lease, err := w.Queue.Dequeue(ctx, request)
	w.ended <- err
	return lease, err
}

// A client that hangs up in a long poll leaves nothing behind: a job that comes after it goes
// to the next one, as its first lease.
func TestClientHangsUpWhileItWaits(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	q := watched{store, make(chan struct{}, 1), make(chan error, 1)}
	e := newEdge(t, q, api.Options{})
	conn := dial(t, e)
	_, err := io.WriteString(conn, rawDequeue(`{"types":["t"],"wait_seconds":60}`))
	require.NoError(t, err)
	receive(t, q.begun, "the dequeue")
	require.NoError(t, conn.Close())
	require.ErrorIs(t, receive(t, q.ended, "the end of the dequeue"), queue.ErrDequeueTimeout)

	e.create(`{"type":"t"}`)
	lease, err := store.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"t"}})
	require.NoError(t, err)
	require.EqualValues(t, 1, lease.Attempt)
}

// A client that hangs up just as a job is granted to it gets the lease undone, at no cost.
func TestClientHangsUpAsItsLeaseIsGranted(t *testing.T) {
	t.Parallel()
	granted := testLease()
	released := make(chan uuid.UUID, 1)
	begun := make(chan struct{})
	q := &stub{
		dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
			close(begun)
			<-ctx.Done() // the grant and the end of the wait cross each other
			return granted, nil
		},
		release: func(ctx context.Context, token uuid.UUID, _ time.Duration) (queue.State, error) {
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			if ctx.Err() == nil {
				released <- token
			}
			return queue.Pending, nil
		},
	}
	e := newEdge(t, q, api.Options{})
	conn := dial(t, e)
	_, err := io.WriteString(conn, rawDequeue(`{"types":["t"],"wait_seconds":60}`))
	require.NoError(t, err)
	receive(t, begun, "the dequeue")
	require.NoError(t, conn.Close())
	require.Equal(t, granted.Token, receive(t, released, "the release"))
	require.NotContains(t, e.log.String(), granted.Token.String())
}

// The end of the wait is not the client's end: a lease granted in that moment is delivered.
func TestLeaseGrantedAtTheEndOfTheWait(t *testing.T) {
	t.Parallel()
	q := &stub{dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
		<-ctx.Done()
		return testLease(), nil
	}}
	e := newEdge(t, q, api.Options{})
	require.Equal(t, http.StatusCreated, e.send("POST", "/v1/dequeue", `{"types":["t"],"wait_seconds":0.01}`).status)
}

// A client that half-closes its connection looks as if it were gone. It is told so.
func TestClientHalfCloses(t *testing.T) {
	t.Parallel()
	released := make(chan struct{}, 1)
	q := &stub{
		dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
			<-ctx.Done()
			return testLease(), nil
		},
		release: func(context.Context, uuid.UUID, time.Duration) (queue.State, error) {
			released <- struct{}{}
			return queue.Pending, nil
		},
	}
	e := newEdge(t, q, api.Options{})
	conn := dial(t, e)
	_, err := io.WriteString(conn, rawDequeue(`{"types":["t"],"wait_seconds":60}`))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	e.problem(answer{response.StatusCode, response.Header, string(body)}, 503, "unavailable", "")
	receive(t, released, "the release")
}

// brokenWriter is a connection that breaks when it is written to, or only when flushed.
type brokenWriter struct {
	*httptest.ResponseRecorder
	write, flush error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.write != nil {
		return 0, w.write
	}
	return w.ResponseRecorder.Write(p)
}

func (w *brokenWriter) FlushError() error { return w.flush }

// A lease whose answer cannot be written is undone: the job is pending as if nothing had been.
func TestLeaseIsUndoneWhenItsAnswerFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for _, by := range []string{"dequeue", "id"} {
		for name, writer := range map[string]*brokenWriter{"write": {write: broken}, "flush": {flush: broken}} {
			t.Run(by+"/"+name, func(t *testing.T) {
				t.Parallel()
				store := newStore(t)
				e := newEdge(t, store, api.Options{})
				job := e.create(`{"type":"t"}`)
				target, body := "/v1/dequeue", `{"types":["t"]}`
				if by == "id" {
					target, body = "/v1/jobs/"+job["id"].(string)+"/dequeue", "{}"
				}
				r := httptest.NewRequest("POST", target, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := &brokenWriter{httptest.NewRecorder(), writer.write, writer.flush}
				e.handler.ServeHTTP(w, r)

				after := e.job(job["id"])
				require.Equal(t, "pending", after["state"])
				require.Equal(t, 0.0, after["retries"])
				require.Equal(t, 1.0, after["attempt"])
				tokens, err := store.Heartbeats(t.Context(), 0)
				require.NoError(t, err)
				require.Empty(t, tokens)
				require.Equal(t, true, e.log.lines(t, "request")[1]["aborted"])
				require.Empty(t, e.log.lines(t, "request failed"))
				require.Equal(t, job["id"], e.log.lines(t, "client is gone; its lease was released")[0]["job"])
			})
		}
	}
}

// A body that does not come is not waited for.
func TestBodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{BodyTimeout: 10 * time.Millisecond})
	got := ask(t, dial(t, e), "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{")
	e.problem(got, 408, "request-timeout", "")
	require.Equal(t, "close", got.header.Get("Connection"))
}

// Nor is one that nobody reads but net/http, which does before it answers.
func TestNoBodyIsWaitedForThatIsNotAskedFor(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{BodyTimeout: 10 * time.Millisecond, Authenticator: credentials{}})
	for head, status := range map[string]int{
		"POST /v1/jobs": http.StatusUnauthorized, "GET /v1/jobs": http.StatusUnauthorized, "GET /healthz": http.StatusOK,
		"GET /openapi.json": http.StatusOK, "POST /nothing": http.StatusNotFound, "PUT /v1/jobs": http.StatusMethodNotAllowed,
	} {
		for _, body := range []string{"Content-Length: 12\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
			got := ask(t, dial(t, e), head+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+body)
			require.Equal(t, status, got.status, head)
			require.Equal(t, "close", got.header.Get("Connection"), head)
		}
	}
}

// The time for reading an answer begins when net/http has stopped to wait for such a body, and not before.
func TestWhoseBodyDoesNotComeIsAnsweredAllTheSame(t *testing.T) {
	t.Parallel()
	for head, status := range map[string]int{
		"GET /healthz": http.StatusOK, "OPTIONS /v1/jobs": http.StatusNoContent, "POST /nothing": http.StatusNotFound,
		"POST /v1/jobs": http.StatusUnsupportedMediaType,
	} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const timeout = 30 * time.Second
				e := newEdge(t, &stub{}, api.Options{BodyTimeout: timeout, WriteTimeout: timeout})
				conn := pipetest.Serve(t, &http.Server{Handler: e.handler}) //nolint:gosec // it has no times of its own
				began := time.Now()
				require.Equal(t, status, ask(t, conn, head+" HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{").status)
				require.Equal(t, timeout, time.Since(began))
			})
		})
	}
}

// The time for the body does not count for what follows it: a long poll outlives it, and so
// does the connection.
func TestLongPollOutlivesTheTimeForTheBody(t *testing.T) {
	t.Parallel()
	const bodyTimeout = 20 * time.Millisecond
	q := &stub{dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
		patience := time.NewTimer(3 * bodyTimeout)
		defer patience.Stop()
		select {
		case <-ctx.Done():
			return queue.Lease{}, errors.New("the wait was cut")
		case <-patience.C:
			return queue.Lease{}, queue.ErrDequeueTimeout
		}
	}}
	e := newEdge(t, q, api.Options{BodyTimeout: bodyTimeout})
	conn := dial(t, e)
	reader := bufio.NewReader(conn)
	for range 2 {
		_, err := io.WriteString(conn, rawDequeue(`{"types":["t"],"wait_seconds":60}`))
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
}

// A stream of events whose request has a body, which nobody asked for, does too.
func TestAStreamOutlivesTheTimeForTheBody(t *testing.T) {
	t.Parallel()
	const bodyTimeout = 20 * time.Millisecond
	q := &stub{events: func(ctx context.Context, _ queue.EventFilter, after queue.EventPosition, _ int) (queue.Events, error) {
		patience := time.NewTimer(3 * bodyTimeout)
		defer patience.Stop()
		select {
		case <-ctx.Done():
			return queue.Events{}, errors.New("the stream was cut")
		case <-patience.C:
			return queue.Events{Next: after, Events: []queue.Event{{Number: 7, State: queue.Pending, Lane: queue.Lane{Channel: "c", Type: "t"}}}}, nil
		}
	}}
	conn := dial(t, newEdge(t, q, api.Options{BodyTimeout: bodyTimeout}))
	_, err := io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = errors.Join(conn.Close(), response.Body.Close()) })
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && lines.Text() != "event: job" {
		continue
	}
	require.Equal(t, "event: job", lines.Text())
}

// The same on a real engine: the wait lasts as long as was asked for, and the connection is
// good for the next one.
func TestConnectionOutlivesTheTimeForTheBody(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{BodyTimeout: 50 * time.Millisecond})
	conn := dial(t, e)
	reader := bufio.NewReader(conn)
	ask := func(body string) int {
		_, err := io.WriteString(conn, rawDequeue(body))
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	began := time.Now()
	require.Equal(t, http.StatusNoContent, ask(`{"types":["t"],"wait_seconds":0.3}`))
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	create := httptest.NewRequest("POST", "/v1/jobs", strings.NewReader(`{"type":"t"}`))
	create.Header.Set("Content-Type", "application/json")
	time.AfterFunc(100*time.Millisecond, func() { // longer than the time for the body
		e.handler.ServeHTTP(httptest.NewRecorder(), create)
	})
	require.Equal(t, http.StatusCreated, ask(`{"types":["t"],"wait_seconds":5}`))
}
