package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/pipetest"
	"github.com/longshore-queue/longshore/internal/queue"
)

// serveNarrow serves the edge over connections that hold next to nothing of what is not read,
// and tells when one is closed. The http.Server has no times of its own.
func serveNarrow(t *testing.T, e *edge) (net.Conn, <-chan struct{}) {
	t.Helper()
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(e.handler)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		case http.StateClosed:
			closed <- struct{}{}
		default:
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
	return conn, closed
}

// A client that asks and asks and never reads is cut off, however short the answers, and loses
// the leases that it did not take.
func TestClientThatNeverReadsIsCutOff(t *testing.T) {
	t.Parallel()
	args := json.RawMessage(`"` + strings.Repeat("x", 16<<10) + `"`)
	for name, request := range map[string]string{
		"short":   "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"problem": "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
		"errors":  "GET /v1/errors HTTP/1.1\r\nHost: x\r\n\r\n",
		"job":     "GET /v1/jobs/" + uuid.NewString() + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"lease":   rawDequeue(`{"types":["t"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var released atomic.Int64
			q := &stub{
				status: func(_ context.Context, id uuid.UUID) (queue.Status, error) {
					return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
				},
				job: func(_ context.Context, id uuid.UUID) (queue.Job, error) {
					return queue.Job{ID: id, Type: "t", Channel: "c", Args: args}, nil
				},
				dequeue: func(context.Context, queue.DequeueRequest) (queue.Lease, error) {
					lease := testLease()
					lease.Args = args
					return lease, nil
				},
				release: func(context.Context, uuid.UUID, time.Duration) (queue.State, error) {
					released.Add(1)
					return queue.Pending, nil
				},
			}
			conn, closed := serveNarrow(t, newEdge(t, q, api.Options{WriteTimeout: 50 * time.Millisecond}))
			require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
			_, err := io.WriteString(conn, strings.Repeat(request, 64))
			for err == nil { // until the server reads no more
				_, err = io.WriteString(conn, strings.Repeat(request, 64))
			}
			receive(t, closed, "the end of the connection")
			if name == "lease" {
				require.NotZero(t, released.Load())
			}
		})
	}
}

// The time for reading an answer begins with the answer: a long poll takes nothing of it, be
// it the API's or the http.Server's.
func TestLongPollOutlivesTheTimeForTheAnswer(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"nothing": 0, "short lease": 10, "long lease": 100 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const timeout = time.Second
				args := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
				q := &stub{dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
					time.Sleep(3 * timeout)
					if size == 0 {
						return queue.Lease{}, queue.ErrDequeueTimeout
					}
					lease := testLease()
					lease.Args = args
					return lease, ctx.Err()
				}}
				e := newEdge(t, q, api.Options{WriteTimeout: timeout})
				conn := pipetest.Serve(t, &http.Server{Handler: e.handler, WriteTimeout: timeout}) //nolint:gosec // it has no time for heads
				for range 3 {                                                                      // on one connection
					response := ask(t, conn, rawDequeue(`{"types":["t"],"wait_seconds":60}`))
					if size == 0 {
						require.Equal(t, http.StatusNoContent, response.status)
						continue
					}
					require.Equal(t, http.StatusCreated, response.status)
					require.Contains(t, response.body, string(args))
				}
			})
		})
	}
}
