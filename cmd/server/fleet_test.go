package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// fleet are servers of one queue, in processes of their own, and the balancer before them: as an
// http.RoundTripper it sends each request to the next server that lets it connect.
type fleet struct {
	store string
	args  []string
	send  *http.Transport

	mu      sync.Mutex // guards what follows
	members []*member
	last    int // of the members, who was sent a request
	wrong   []string
	lost    map[string]bool // by request and server
}

// member is a server's process.
type member struct {
	command *exec.Cmd
	address string
	ending  bool // guarded by fleet.mu; it is killed, or told to stop
	out     bool // guarded by fleet.mu; it has failed a request, and is sent no others
}

// startFleet starts servers of one queue, with these arguments.
func startFleet(t *testing.T, servers int, args ...string) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a PostgreSQL")
	}
	f := &fleet{store: pgtest.Database(t), args: args, send: http.DefaultTransport.(*http.Transport).Clone(), lost: make(map[string]bool)}
	f.send.MaxIdleConnsPerHost = 32
	t.Cleanup(f.send.CloseIdleConnections)
	for range servers {
		f.members = append(f.members, f.start(t))
	}
	return f
}

// start starts a server, and returns when it listens.
func (f *fleet) start(t *testing.T) *member {
	t.Helper()
	command, stderr := process(t, append([]string{"--store=" + f.store, "--migrate", "--allowed-host=fleet"}, f.args...)...)
	return &member{command: command, address: stderr.await(t, "listening")["address"].(string)}
}

// end ends a server by end, and waits until it is gone.
func (f *fleet) end(m *member, end func(*exec.Cmd) error) error {
	f.mu.Lock()
	m.ending = true
	f.mu.Unlock()
	return errors.Join(end(m.command), m.command.Wait())
}

// replace starts a server in the place of one that has ended.
func (f *fleet) replace(t *testing.T, i int) {
	t.Helper()
	m := f.start(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[i] = m
}

func (f *fleet) next() *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.members {
		f.last = (f.last + 1) % len(f.members)
		if !f.members[f.last].out {
			break
		}
	}
	return f.members[f.last]
}

// RoundTrip sends a request to a server that lets it connect.
func (f *fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	for try := 0; ; try++ {
		m := f.next()
		sent := req.Clone(req.Context())
		sent.URL.Host = m.address
		if req.GetBody != nil {
			var err error
			if sent.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		resp, err := f.answer(sent)
		var failure *net.OpError
		if errors.As(err, &failure) && failure.Op == "dial" && try < 2*len(f.members) {
			continue
		}
		f.note(req, m, resp, err)
		return resp, err
	}
}

// answer sends a request to one server, and reads all of its answer.
func (f *fleet) answer(req *http.Request) (*http.Response, error) {
	resp, err := f.send.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// note takes notice of a request that its client has to repeat. That may only be because of a server
// that ends, and once for each: whoever comes again is answered by another one.
func (f *fleet) note(req *http.Request, m *member, resp *http.Response, err error) {
	switch {
	case err == nil && resp.StatusCode < http.StatusInternalServerError, req.Context().Err() != nil:
		return
	case err == nil:
		err = errors.New(resp.Status)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// What has no key goes to a path of its own, that of a lease or a job.
	call := req.Method + " " + req.URL.Path + " " + req.Header.Get("Idempotency-Key")
	lost := call + " at " + m.address
	if !m.ending || f.lost[lost] {
		f.wrong = append(f.wrong, fmt.Sprintf("%s, which ends: %v: %v", lost, m.ending, err))
	}
	f.lost[lost], m.out = true, true
}

// requireSound requires that the store is sound, and that no request was repeated needlessly.
func (f *fleet) requireSound(t *testing.T) {
	t.Helper()
	code, stdout, stderr := audit(t, []string{"--store", f.store})
	require.Equal(t, cli.ExitClean, code, stdout+stderr)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Empty(t, slices.Clone(f.wrong))
	t.Logf("%d requests were repeated by their clients", len(f.lost))
}

// client returns a client of the whole fleet.
func (f *fleet) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New("http://fleet", client.Options{HTTPClient: &http.Client{Transport: f}})
	require.NoError(t, err)
	return c
}
