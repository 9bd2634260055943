package app

import (
	"net"
	"net/http"
	"sync"
)

// connections knows the state of every connection of a server. The zero value is ready.
//
// http.Server does too, but it tells only whether all of them are idle, and counts one that
// was opened and never used as busy for 5 s: a client that connects ahead of need would hold
// up every stop.
type connections struct {
	mu     sync.Mutex // guards states
	states map[net.Conn]http.ConnState
}

// changed is the server's ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.states, conn)
	default:
		if c.states == nil {
			c.states = make(map[net.Conn]http.ConnState)
		}
		c.states[conn] = state
	}
}

// count returns how many there are.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.states)
}

// closeNew closes the connections on which no request has arrived yet. What was read of one
// is nothing that anybody has begun to answer.
func (c *connections) closeNew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, state := range c.states {
		if state == http.StateNew {
			_ = conn.Close() // the server notices, and forgets it
		}
	}
}

// inFlight reports whether a request is being answered.
func (c *connections) inFlight() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.states {
		if state == http.StateActive {
			return true
		}
	}
	return false
}
