package apikey

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// table is all keys that were read at one time. It is not changed once it is made.
type table struct {
	keys  map[string]*known // by id
	ahead time.Duration     // how far the clock of the keys is ahead of this machine's
	bad   map[string]string // what is wrong with keys that are not among them, by id
}

// known is one key.
type known struct {
	hash      Hash
	expires   time.Time // zero for never
	principal *auth.Principal
	use       *use
}

// use is when a key was used.
type use struct {
	last  atomic.Int64 // in nanoseconds since the epoch, give or take coarse
	noted atomic.Int64 // what the store was told of it
}

// coarse is how exactly it is known when a key was used last: processors need not pass the memory of
// it around with every request.
const coarse = 10 * time.Second

func (u *use) note(now time.Time) {
	if at := now.UnixNano(); at-u.last.Load() > int64(coarse) {
		u.last.Store(at)
	}
}

// principalPrefix begins the names of principals that have an API key.
const principalPrefix = "key:"

// PrincipalOf returns who has a key. It is an error if a scope of it is none of this program's.
func PrincipalOf(k *queue.APIKey) (*auth.Principal, error) {
	scopes, err := auth.ParseScopes(k.Scopes)
	if err != nil {
		return nil, err
	}
	channels := auth.AllChannels()
	if len(k.Channels) > 0 {
		channels = auth.SomeChannels(k.Channels...)
	}
	return &auth.Principal{
		Name: principalPrefix + k.Name, Scopes: scopes, Channels: channels,
		Limits: auth.Limits{RequestsPerSecond: k.Limits.Rate, Waiting: k.Limits.Waiting},
	}, nil
}

// add adds a key, and goes on with the use of one that was known before.
func (t *table) add(k *queue.APIKey, before *table) {
	p, err := PrincipalOf(k)
	if err != nil {
		t.bad[k.ID] = fmt.Sprintf("API key %s cannot be used: %v", k.ID, err)
		return
	}
	one := &known{hash: k.Hash, expires: k.Expires, principal: p, use: new(use)}
	if earlier := before.keys[k.ID]; earlier != nil {
		one.use = earlier.use
	}
	t.keys[k.ID] = one
}

// elsewhere reports whether a key has the principal's name for other channels.
func (t *table) elsewhere(p *auth.Principal) bool {
	for _, k := range t.keys {
		if k.principal.Name == p.Name && !k.principal.Channels.Equal(p.Channels) {
			return true
		}
	}
	return false
}

func newTable() *table {
	return &table{keys: make(map[string]*known), bad: make(map[string]string)}
}

// readTable reads the keys of a store.
func readTable(ctx context.Context, from Store, before *table) (*table, error) {
	t := newTable()
	listing := queue.APIKeyListing{Limit: readPage}
	for {
		page, err := from.APIKeys(ctx, listing)
		if err != nil {
			return nil, err
		}
		t.ahead = time.Until(page.Now)
		for i := range page.Keys {
			t.add(&page.Keys[i], before)
			listing.After = page.Keys[i].ID
		}
		if !page.More {
			return t, nil
		}
	}
}

// complaints returns what is wrong with keys and was not before.
func (t *table) complaints(before *table) (lines []string) {
	for id, line := range t.bad {
		if before.bad[id] != line {
			lines = append(lines, line)
		}
	}
	return lines
}

// usedSince returns when keys were used, of those that were used since it was called last.
func (t *table) usedSince() map[string]time.Time {
	used := make(map[string]time.Time)
	for id, k := range t.keys {
		if last := k.use.last.Load(); k.use.noted.Swap(last) != last {
			used[id] = time.Unix(0, last)
		}
	}
	return used
}
