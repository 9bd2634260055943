package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// cut is where a connection is cut.
type cut int

const (
	beforeStatement cut = iota + 1 // the server never gets the statement
	underWay                       // the server has the statement, and goes on with it
	beforeAnswer                   // the server has done it, and its answer is lost
	afterAnswer                    // the answer has come
)

func (c cut) String() string {
	return []string{"", "before the statement", "under way", "before the answer", "after the answer"}[c]
}

func cuts() []cut { return []cut{beforeStatement, underWay, beforeAnswer, afterAnswer} }

// cancelCode begins a request to cancel what another connection does.
const cancelCode = 80877102

// proxy stands between a store and its database, and knows enough of the protocol to cut
// a connection at a statement.
type proxy struct {
	listener        net.Listener
	network, server string
	dsn             string // of the database itself

	mu       sync.Mutex // guards what follows
	refuses  bool
	silence  chan struct{} // nil unless nothing goes through; closed when that is over
	marker   string        // part of the statement to cut at; "" for none
	at       cut
	happened chan struct{}
	conns    map[*proxied]struct{}
	running  sync.WaitGroup
}

// proxied is a connection through a proxy.
type proxied struct {
	proxy          *proxy
	client, server net.Conn
	statements     map[string]string // by name

	mu       sync.Mutex // guards what follows
	cutting  cut        // 0 unless the statement was seen
	happened chan struct{}
}

// through starts a proxy to a database, and returns the address to use instead.
func through(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	p := &proxy{dsn: dsn, conns: make(map[*proxied]struct{})}
	p.network, p.server = "tcp", fmt.Sprintf("%s:%d", config.Host, config.Port)
	if strings.HasPrefix(config.Host, "/") {
		p.network, p.server = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	p.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cutAll()
		p.running.Wait()
	})
	return p, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, p.listener.Addr(), config.Database)
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.server)
		p.mu.Lock()
		if err != nil || p.refuses {
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			p.mu.Unlock()
			continue
		}
		c := &proxied{proxy: p, client: client, server: server, statements: make(map[string]string)}
		p.conns[c] = struct{}{}
		p.running.Go(c.requests)
		p.running.Go(c.answers)
		p.mu.Unlock()
	}
}

// refuse has it let nobody through, or everybody.
func (p *proxy) refuse(refuses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

// silent has it keep to itself whatever comes, as a network does that is cut off, until what it
// returns is called.
func (p *proxy) silent() (speak func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silence := make(chan struct{})
	p.silence = silence
	return sync.OnceFunc(func() { close(silence) })
}

// pass blocks while nothing goes through.
func (p *proxy) pass() {
	p.mu.Lock()
	silence := p.silence
	p.mu.Unlock()
	if silence != nil {
		<-silence
	}
}

// cutAll cuts every connection.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// cutAt cuts the next connection that a statement comes over which has the marker in it. What it
// returns is closed when it has.
func (p *proxy) cutAt(at cut, marker string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker, p.at, p.happened = marker, at, make(chan struct{})
	return p.happened
}

// meant tells whether a connection is to be cut at a statement.
func (p *proxy) meant(statement string) (cut, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.marker == "" || !strings.Contains(statement, p.marker) {
		return 0, nil
	}
	p.marker = ""
	return p.at, p.happened
}

func (c *proxied) close() { _, _ = c.client.Close(), c.server.Close() }

func (c *proxied) end() {
	c.close()
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	delete(c.proxy.conns, c)
}

func (c *proxied) set(at cut, happened chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cutting, c.happened = at, happened
}

func (c *proxied) state() (cut, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cutting, c.happened
}

// requests forwards what the client sends.
func (c *proxied) requests() {
	defer func() {
		if at, _ := c.state(); at != underWay && at != beforeAnswer {
			c.end() // else the server is to be done with it
		}
	}()
	first, err := readMessage(c.client, false)
	if err != nil || binary.BigEndian.Uint32(first[4:]) == cancelCode {
		return // a client that lost its connection would cancel its statement, if the network let it
	}
	for message := first; ; {
		c.proxy.pass()
		if at, happened := c.proxy.meant(c.statementOf(message)); at != 0 {
			c.set(at, happened)
			if at == beforeStatement {
				close(happened)
				return
			}
		}
		if _, err := c.server.Write(message); err != nil {
			return
		}
		isLast := message[0] == 'S' || message[0] == 'Q'
		if at, happened := c.state(); at == underWay && isLast {
			_ = c.client.Close()
			close(happened)
			return
		}
		if message, err = readMessage(c.client, true); err != nil {
			return
		}
	}
}

// statementOf returns the statement that a message has carried out.
func (c *proxied) statementOf(message []byte) string {
	const head = 5
	switch message[0] {
	case 'Q':
		return string(message[head : len(message)-1])
	case 'P':
		name, rest, _ := bytes.Cut(message[head:], []byte{0})
		statement, _, _ := bytes.Cut(rest, []byte{0})
		c.statements[string(name)] = string(statement)
	case 'B':
		_, rest, _ := bytes.Cut(message[head:], []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		return c.statements[string(name)]
	}
	return ""
}

// answers forwards what the server sends.
func (c *proxied) answers() {
	defer c.end()
	for {
		message, err := readMessage(c.server, true)
		if err != nil {
			return
		}
		c.proxy.pass()
		at, happened := c.state()
		if at == 0 || at == afterAnswer {
			if _, err := c.client.Write(message); err != nil {
				return
			}
		}
		if at != 0 && message[0] == 'Z' { // ReadyForQuery: it is committed
			if at != underWay {
				close(happened)
			}
			return
		}
	}
}

// readMessage reads a message, and the byte that it begins with if it is typed.
func readMessage(from io.Reader, typed bool) ([]byte, error) {
	head := make([]byte, 4, 64)
	if typed {
		head = head[:5]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[len(head)-4:])
	if size < 4 || size > 1<<26 {
		return nil, errors.New("a message has no size")
	}
	message := slices.Concat(head, make([]byte, size-4))
	_, err := io.ReadFull(from, message[len(head):])
	return message, err
}
