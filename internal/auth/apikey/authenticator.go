package apikey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// lookUpPause is for how long after the keys were read they are not read again because of an id
	// that is not among them: so that nobody who makes ids up can keep the store busy.
	lookUpPause = 500 * time.Millisecond
	// noteInterval is how often the store is told which keys were used.
	noteInterval = time.Minute
	// readPage is how many keys are read at once.
	readPage = queue.MaxPage
)

// Store is what keeps the keys.
type Store interface {
	CreateAPIKey(ctx context.Context, add queue.NewAPIKey) (queue.APIKey, error)
	RevokeAPIKey(ctx context.Context, id string) error
	APIKeys(ctx context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error)
	UseAPIKeys(ctx context.Context, used map[string]time.Time) error
}

// Options are what an Authenticator may be given. The zero value works.
type Options struct {
	// Interval is how often the keys are read again, because other servers make and revoke some in the
	// same store; 0 if there are none.
	Interval time.Duration
	// File has keys besides those in the store; "" for none. See ParseFile.
	File string
	// Logger is told what an operator should know; nil for nobody.
	Logger queue.SimpleLogger
}

// Authenticator knows the keys of a store, and of a file. It implements auth.Authenticator.
//
// It holds all of them in memory, so that a request costs a look into a map and a hash. Keys that are
// made and revoked by its own methods are so at once; others, at the next reading.
type Authenticator struct {
	store   Store
	options Options
	stored  atomic.Pointer[table]
	filed   atomic.Pointer[table]

	reading chan struct{} // holds a token while the keys are read
	read    time.Time     // guarded by reading; when that was tried last
	failed  error         // guarded by reading; how it ended

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New returns an authenticator that knows no key yet.
func New(store Store, options Options) *Authenticator {
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	a := &Authenticator{store: store, options: options, reading: make(chan struct{}, 1)}
	a.stored.Store(new(table))
	a.filed.Store(new(table))
	return a
}

// Start reads the keys, and keeps them up to date until Stop. When it returns an error, nothing is
// left running.
func (a *Authenticator) Start(ctx context.Context) error {
	if err := a.ReloadFile(); err != nil {
		return err
	}
	if err := a.Refresh(ctx); err != nil {
		return err
	}
	a.tellNamesakes()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	a.running.Go(func() { a.run(background) })
	return nil
}

// Stop ends what Start has started, and tells the store which keys were used. The store must be open
// until then.
func (a *Authenticator) Stop() {
	a.stop()
	a.running.Wait()
	a.note(context.Background())
}

func (a *Authenticator) run(ctx context.Context) {
	note := time.NewTicker(noteInterval)
	defer note.Stop()
	var again <-chan time.Time
	if a.options.Interval > 0 {
		ticker := time.NewTicker(a.options.Interval)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			_ = a.Refresh(ctx) // which logs it, and is tried again
		case <-note.C:
			a.note(ctx)
		}
	}
}

// Authenticate implements auth.Authenticator. It looks at no more of the header than a key is long.
func (a *Authenticator) Authenticate(r *http.Request) (*auth.Principal, error) {
	text, err := bearer(r)
	if err != nil {
		return nil, err
	}
	id, secret, ok := split(text)
	if !ok {
		return nil, fmt.Errorf("malformed API key: %w", auth.ErrBadCredential)
	}
	k, offset := a.find(id)
	if k == nil {
		if err := a.lookUp(r.Context()); err != nil {
			return nil, fmt.Errorf("API key %s is not known yet: %w", id, err)
		}
		k, offset = a.find(id)
	}
	// One that is unknown takes as long as one whose secret is wrong.
	var want Hash
	if k != nil {
		want = k.hash
	}
	hash := hashOf(secret)
	same := subtle.ConstantTimeCompare(hash[:], want[:]) == 1
	now := time.Now().Add(offset)
	switch {
	case k == nil:
		return nil, fmt.Errorf("API key %s is unknown, or was revoked: %w", id, auth.ErrBadCredential)
	case !same:
		return nil, fmt.Errorf("API key %s has another secret: %w", id, auth.ErrBadCredential)
	case !k.expires.IsZero() && !now.Before(k.expires):
		return nil, fmt.Errorf("API key %s has expired: %w", id, auth.ErrBadCredential)
	}
	k.use.note(now)
	return k.principal, nil
}

// bearer returns the bearer token of a request, if it is a key. auth.ErrNoCredential if it is none.
func bearer(r *http.Request) (string, error) {
	const scheme = "bearer "
	found := ""
	headers := r.Header["Authorization"]
	for _, header := range headers {
		if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
			continue
		}
		if text := strings.TrimLeft(header[len(scheme):], " "); strings.HasPrefix(text, Prefix) {
			found = text
		}
	}
	switch {
	case found == "":
		return "", auth.ErrNoCredential
	case len(headers) > 1:
		return "", fmt.Errorf("an API key beside other credentials: %w", auth.ErrBadCredential)
	default:
		return found, nil
	}
}

// find returns the key with an id, nil if none is known; and how far the clock is ahead by which
// it expires.
func (a *Authenticator) find(id string) (*known, time.Duration) {
	for _, from := range []*atomic.Pointer[table]{&a.filed, &a.stored} {
		t := from.Load()
		if k := t.keys[id]; k != nil {
			return k, t.ahead
		}
	}
	return nil, 0
}

// lookUp reads the keys again, unless that was done just before, or nobody else makes any.
// auth.ErrCannotTell if they cannot be read.
func (a *Authenticator) lookUp(ctx context.Context) error {
	if a.options.Interval == 0 {
		return nil
	}
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	case <-ctx.Done():
		return errors.Join(auth.ErrCannotTell, ctx.Err())
	}
	if time.Since(a.read) >= lookUpPause {
		// What comes of it is for all who ask. A client that hangs up must not have the others told that the store
		// does not answer.
		a.readAll(context.WithoutCancel(ctx))
	}
	if a.failed != nil {
		return auth.ErrCannotTell
	}
	return nil
}

// Refresh reads the keys of the store.
func (a *Authenticator) Refresh(ctx context.Context) error {
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a.readAll(ctx)
	return a.failed
}

// readAll reads the keys. What was known stays so if they cannot be read.
func (a *Authenticator) readAll(ctx context.Context) {
	before := a.failed
	next, err := readTable(ctx, a.store, a.stored.Load())
	a.read = time.Now()
	if a.failed = err; err != nil {
		a.failed = fmt.Errorf("read the API keys: %w", err)
		if before == nil && ctx.Err() == nil {
			a.options.Logger.Error(err, "the API keys cannot be read; those that are known stay good")
		}
		return
	}
	for _, line := range next.complaints(a.stored.Load()) {
		a.options.Logger.Error(nil, line)
	}
	a.stored.Store(next)
}

// note tells the store which keys were used since it was told last.
func (a *Authenticator) note(ctx context.Context) {
	used := a.stored.Load().usedSince()
	if len(used) == 0 {
		return
	}
	if err := a.store.UseAPIKeys(ctx, used); err != nil {
		a.options.Logger.Error(err, "when API keys were used last could not be noted")
	}
}

// CreateAPIKey adds a key to the store. It is good at once. The store refuses names of its own keys only; one that a key
// of the file has for other channels is refused here, for the same reason (see queue.NewAPIKey).
func (a *Authenticator) CreateAPIKey(ctx context.Context, add queue.NewAPIKey) (queue.APIKey, error) {
	p, err := PrincipalOf(&queue.APIKey{Name: add.Name, Scopes: add.Scopes, Channels: add.Channels})
	if err != nil {
		return queue.APIKey{}, err
	}
	if a.filed.Load().elsewhere(p) {
		return queue.APIKey{}, queue.ErrAPIKeyName
	}
	key, err := a.store.CreateAPIKey(ctx, add)
	if err == nil {
		_ = a.Refresh(context.WithoutCancel(ctx)) // which logs it, and is tried again
	}
	return key, err
}

// RevokeAPIKey removes a key from the store. It is good no more.
func (a *Authenticator) RevokeAPIKey(ctx context.Context, id string) error {
	err := a.store.RevokeAPIKey(ctx, id)
	if err == nil {
		_ = a.Refresh(context.WithoutCancel(ctx)) // which logs it, and is tried again
	}
	return err
}

// APIKeys returns a page of the keys in the store.
func (a *Authenticator) APIKeys(ctx context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error) {
	return a.store.APIKeys(ctx, listing)
}
