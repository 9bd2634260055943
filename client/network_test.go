package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// network is one of pipes, whose time is virtual. What was connected when it was cut looks
// connected for ever, and hears nothing any more; what connects afterwards gets through. So it is
// behind a router that forgot its connections.
type network struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()

	mu    sync.Mutex // guards conns
	conns []*cutConn
}

func newNetwork() *network {
	n := &network{accepted: make(chan net.Conn), closed: make(chan struct{})}
	n.close = sync.OnceFunc(func() { close(n.closed) })
	return n
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.accepted <- far:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &cutConn{Conn: near, cut: make(chan struct{}), over: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return c, nil
}

// cut cuts what is connected now, and returns how much that is.
func (n *network) cut() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		close(c.cut)
		_ = c.Conn.Close() // the server's side is not what is looked at
	}
	was := len(n.conns)
	n.conns = nil
	return was
}

// Accept, Close and Addr make it a net.Listener.
func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.close(); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

type cutConn struct {
	net.Conn
	cut  chan struct{} // closed when nothing gets through any more
	once sync.Once
	over chan struct{} // closed by Close
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		select {
		case <-c.cut:
			<-c.over
		default:
		}
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		select {
		case <-c.cut:
			return len(p), nil
		default:
		}
	}
	return n, err
}

func (c *cutConn) Close() error {
	c.once.Do(func() { close(c.over) })
	return c.Conn.Close()
}

// All requests of a worker share one connection then, and none of them ends when it is dead. A
// lease lives for two minutes by default.
func TestAConnectionOfHTTP2ThatIsDeadIsReplacedBeforeALeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		between := newNetwork()
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"`+uuid.Max.String()+`","state":"running","type":"`+r.Proto+`"}`)
		}))
		server.Listener = between
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		transport := client.NewTransport(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
		transport.DialContext = between.dial
		defer transport.CloseIdleConnections()
		api, err := client.New("https://example.com", client.Options{HTTPClient: &http.Client{Transport: transport}})
		require.NoError(t, err)
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			job, err := api.Job(ctx, uuid.Max)
			if err == nil {
				require.Equal(t, "HTTP/2.0", job.Type)
			}
			return err
		}

		require.NoError(t, ask())
		require.Equal(t, 1, between.cut())
		cut := time.Now()
		for ask() != nil {
			require.Less(t, time.Since(cut), 60*time.Second)
		}
	})
}
