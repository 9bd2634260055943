package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// crowd is workers that ask for jobs, each on a connection of its own.
type crowd struct {
	t     *testing.T
	store *embedded.Store
	conns []net.Conn
}

// newCrowd connects so many workers with a server.
func newCrowd(t *testing.T, handler http.Handler, store *embedded.Store, n int) *crowd {
	t.Helper()
	server := httptest.NewServer(handler)
	c := &crowd{t: t, store: store}
	t.Cleanup(func() {
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		server.Close()
	})
	for range n {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		c.conns = append(c.conns, conn)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	}
	return c
}

// ask has all of them ask.
func (c *crowd) ask(body string) {
	c.t.Helper()
	for _, conn := range c.conns {
		_, err := fmt.Fprintf(conn, "POST /v1/dequeue HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer c\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		require.NoError(c.t, err)
	}
}

// waiting is how many of them wait, as the server says.
func (c *crowd) waiting() int {
	page, err := c.store.Workers(c.t.Context(), queue.WorkerListing{Limit: 1})
	if err != nil || len(page.Workers) == 0 {
		return 0
	}
	return page.Workers[0].Waiting
}

// awaitAll returns when all of them wait.
func (c *crowd) awaitAll() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.waiting() == len(c.conns) }, time.Minute, time.Millisecond)
}

// answered is what one of a crowd was answered.
type answered struct {
	worker int
	status int
	job    string
	err    error
}

// listen reads an answer on a connection.
func (c *crowd) listen(worker int) answered {
	response, err := http.ReadResponse(bufio.NewReader(c.conns[worker]), nil)
	if err != nil {
		return answered{worker: worker, err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answered{worker: worker, err: err}
	}
	var lease struct{ ID string }
	if response.StatusCode == http.StatusCreated {
		err = json.Unmarshal(body, &lease)
	}
	return answered{worker, response.StatusCode, lease.ID, err}
}

// Of many who wait for the same, each job that is added is answered to one, and all others go on to wait.
func TestEachJobWakesExactlyOne(t *testing.T) {
	t.Parallel()
	const workers = 100
	store := newStore(t)
	e := newEdge(t, store, api.Options{})
	c := newCrowd(t, e.handler, store, workers)
	c.ask(`{"types":["t"],"wait_seconds":60}`)
	c.awaitAll()
	answers := make(chan answered, workers)
	for i := range c.conns {
		go func() { answers <- c.listen(i) }()
	}
	woken := make(map[int]bool)
	for added := range workers {
		id := e.create(`{"type":"t"}`)["id"]
		got := receive(t, answers, "an answer")
		require.NoError(t, got.err)
		require.Equal(t, http.StatusCreated, got.status)
		require.Equal(t, id, got.job, "the job that was just added")
		require.Equal(t, workers-added-1, c.waiting(), "the others wait")
		require.Empty(t, answers, "no other is answered")
		require.False(t, woken[got.worker])
		woken[got.worker] = true
	}
	require.Len(t, woken, workers)
}
