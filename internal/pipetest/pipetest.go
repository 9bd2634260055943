// Package pipetest has servers serve connections that are pipes in memory, for tests of how long they wait for what: in
// a bubble of testing/synctest such a connection takes no time, and its deadlines are exact. Unlike a connection of TCP it
// keeps nothing: who writes waits until the other end has read it.
package pipetest

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Serve has a server serve one connection until the test is over, and returns the client's end of it.
func Serve(t *testing.T, server *http.Server) net.Conn {
	t.Helper()
	client, accepted := net.Pipe()
	l := &listener{accepted: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.accepted <- accepted
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return client
}

// listener accepts one connection.
type listener struct {
	accepted chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
