package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// refreshInterval is how often keys are fetched again: so long is one good that the issuer took back.
	refreshInterval = 10 * time.Minute
	// unknownPause is the least time from one fetch to the next that a token with an unknown key brings
	// about, so that nobody who makes keys up can have the issuer asked all the time.
	unknownPause = 10 * time.Second
	// After fetches that failed the next is tried after a pause that doubles.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// patience is how long a request waits for keys.
	patience = 3 * time.Second
	// mostWaiting is how many requests wait for keys at once.
	mostWaiting = 1000
	// leastRSA is how long an RSA key must be, in bits.
	leastRSA = 2048
)

// keys are those of an issuer. What runs is one goroutine, which fetches them.
type keys struct {
	issuer string
	client *http.Client
	log    queue.SimpleLogger

	wake chan struct{} // has the goroutine fetch now; holds one

	known atomic.Pointer[keySet] // never nil

	mu      sync.Mutex    // guards what follows
	fetched bool          // known is what the issuer said
	failed  bool          // the last fetch
	began   time.Time     // the last fetch
	round   chan struct{} // of the fetch that is to come or under way: closed at its end; nil if there is none
	waiting int           // for round

	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// keySet is the keys that an issuer has at one time, and the tokens that they were seen to have signed: a
// token is checked again as soon as the issuer has other keys.
type keySet struct {
	keys     []jose.JSONWebKey // not changed
	verified verified
}

func newKeys(o *Options) *keys {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keys{
		issuer: o.Issuer, client: newClient(o.Transport), log: o.Logger, wake: make(chan struct{}, 1),
		round: make(chan struct{}), ctx: ctx, cancel: cancel,
	}
	k.known.Store(new(keySet))
	return k
}

func (k *keys) start() { k.done.Go(k.run) }

func (k *keys) stop() {
	k.cancel()
	k.done.Wait()
	k.client.CloseIdleConnections()
}

// run fetches until stop.
func (k *keys) run() {
	timer := time.NewTimer(refreshInterval)
	defer timer.Stop()
	for retry := firstRetry; ; {
		pause := refreshInterval
		if err := k.renew(); err != nil {
			if k.ctx.Err() != nil {
				return
			}
			k.log.Error(err, "the keys of the OIDC issuer cannot be fetched; those that are known stay good", "issuer", k.issuer, "retry_in", retry.String())
			pause, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer.Reset(pause)
		select {
		case <-k.ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// renew fetches the keys once, and tells who waits for that.
func (k *keys) renew() error {
	k.mu.Lock()
	select {
	case <-k.wake: // this is it
	default:
	}
	if k.round == nil {
		k.round = make(chan struct{})
	}
	k.began = time.Now()
	k.mu.Unlock()

	found, err := fetch(k.ctx, k.client, k.issuer)

	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.round)
	k.round, k.failed = nil, err != nil
	if err != nil {
		return err
	}
	// A key that is another one than before may have its id.
	if !k.fetched || !reflect.DeepEqual(k.known.Load().keys, found) {
		k.known.Store(&keySet{keys: found})
		k.log.Info("the OIDC issuer has these keys", "issuer", k.issuer, "keys", names(found))
	}
	k.fetched = true
	return nil
}

// names are the ids of keys, for the log. They are the issuer's, and public.
func names(those []jose.JSONWebKey) string {
	ids := make([]string, len(those))
	for i := range those {
		ids[i] = fmt.Sprintf("%.64q", those[i].KeyID)
	}
	return strings.Join(ids, " ")
}

// find returns the keys that have a key among them that a token may be signed with. If there is none, the
// issuer is asked, unless that was done just before, and what it has is returned.
// auth.ErrCannotTell if it does not answer.
func (k *keys) find(ctx context.Context, id, algorithm string) (*keySet, error) {
	if known := k.known.Load(); len(known.among(id, algorithm)) > 0 {
		return known, nil
	}
	if err := k.refresh(ctx); err != nil {
		return nil, err
	}
	return k.known.Load(), nil
}

// among returns the keys that a token with a key's id may be signed with; all that fit the algorithm
// if it names none.
func (s *keySet) among(id, algorithm string) []jose.JSONWebKey {
	var found []jose.JSONWebKey
	for i := range s.keys {
		if (id == "" || s.keys[i].KeyID == id) && fits(&s.keys[i], algorithm) {
			found = append(found, s.keys[i])
		}
	}
	return found
}

// refresh waits for keys that are fetched from now on, or are about to be. It returns at once if they were
// fetched just before.
func (k *keys) refresh(ctx context.Context) error {
	k.mu.Lock()
	if k.round == nil {
		if time.Since(k.began) < unknownPause {
			defer k.mu.Unlock()
			return k.outcome()
		}
		k.round = make(chan struct{})
		k.wake <- struct{}{} // nobody else has: there was no round
	}
	if k.waiting >= mostWaiting {
		k.mu.Unlock()
		return fmt.Errorf("too many tokens wait for the issuer's keys: %w", auth.ErrCannotTell)
	}
	k.waiting++
	round := k.round
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-round:
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting--
	if ctx.Err() != nil {
		return fmt.Errorf("the issuer has not answered yet: %w", auth.ErrCannotTell)
	}
	return k.outcome()
}

// outcome is that of the last fetch. mu is held.
func (k *keys) outcome() error {
	if k.failed {
		return fmt.Errorf("the issuer does not answer: %w", auth.ErrCannotTell)
	}
	return nil
}

// usable reports whether signatures by a key can be believed.
func usable(key *jose.JSONWebKey) bool {
	if !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
		return false
	}
	if public, ok := key.Key.(*rsa.PublicKey); ok {
		return public.N.BitLen() >= leastRSA
	}
	return true
}

// fits reports whether a key is one for the algorithm.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[public.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	default:
		return false
	}
}
