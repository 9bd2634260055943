package client

import (
	"context"
	"errors"
	"sync"
)

// reach knows whether the server can be reached, from all requests of a worker: whoever waits
// out a long pause after an outage is woken by the first request that gets through.
//
// Only a server that was out of reach comes back. Otherwise the heartbeats of a worker would
// take the pauses from a kind of request that alone fails.
type reach struct {
	mu   sync.Mutex // guards lost, back
	lost bool
	back chan struct{} // closed and replaced when the server is back
}

func newReach() *reach { return &reach{back: make(chan struct{})} }

// again returns a channel that is closed when the server is back after it was lost.
func (r *reach) again() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.back
}

// note takes the outcome of a request. One that was called off says nothing.
func (r *reach) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.lost
	r.lost = !answered(err)
	if was && !r.lost {
		close(r.back)
		r.back = make(chan struct{})
	}
}

// answered reports whether the outcome is the server's own word, a refusal included: not that
// of a network or a proxy.
func answered(err error) bool {
	var problem *Problem
	return err == nil || errors.As(err, &problem) && problem.Code != ""
}
