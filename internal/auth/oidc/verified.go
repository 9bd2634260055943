package oidc

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
)

const (
	// mostVerified is how many tokens are remembered. Most take some hundred bytes, and none more than its token
	// and the names of 64 channels.
	mostVerified = 4096
	// longestVerified is for how long one is remembered.
	longestVerified = time.Minute
)

// digest is the SHA-256 of a whole token, signature included: how long it takes to find one says nothing
// about what another one begins with.
type digest [sha256.Size]byte

// verified remembers tokens that were good in every respect: a worker sends the same one with each
// request, and to check a signature costs more than all else that is done for most of them.
//
// It belongs to a set of keys, and goes with it. Tokens that are not good are not remembered: whoever makes some up
// displaces nobody's, and has each of them checked.
type verified struct {
	mu     sync.RWMutex // guards tokens
	tokens map[digest]remembered
}

// remembered is what a token stands for, at the times at which that was certain when it was checked.
type remembered struct {
	principal   *auth.Principal
	from, until time.Time // until itself is too late
}

// find returns who a token stands for, nil if it has to be checked.
func (v *verified) find(token digest, now time.Time) *auth.Principal {
	v.mu.RLock()
	found, ok := v.tokens[token]
	v.mu.RUnlock()
	// A clock that was put back may be at a time at which the token is not valid yet.
	if !ok || now.Before(found.from) || !now.Before(found.until) {
		return nil
	}
	return found.principal
}

// add remembers a token that was found good now. From its expiry on it is checked each time, since
// clocks may differ a little.
func (v *verified) add(token digest, p *auth.Principal, now, expiry time.Time) {
	until := now.Add(longestVerified)
	if expiry.Before(until) {
		until = expiry
	}
	if !now.Before(until) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens == nil {
		v.tokens = make(map[digest]remembered)
	}
	if _, there := v.tokens[token]; !there && len(v.tokens) >= mostVerified {
		// Any: with the oldest one, a few tokens too many in turn would have all of them checked each time.
		for other := range v.tokens {
			delete(v.tokens, other)
			break
		}
	}
	v.tokens[token] = remembered{principal: p, from: now, until: until}
}
