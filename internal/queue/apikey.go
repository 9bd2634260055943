package queue

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxAPIKeys is how many API keys there may be at once. Each server holds all of them in memory.
	MaxAPIKeys = 10_000
	// MaxAPIKeysOfName is how many keys of one name may be good at the same time: the one in use, and
	// the one that takes over.
	MaxAPIKeysOfName = 2
	// MaxAPIKeyID is how long the id of an API key may be, in bytes.
	MaxAPIKeyID = 32
	// MaxAPIKeyScopes is how many scopes an API key may have.
	MaxAPIKeyScopes = 16
	// MaxAPIKeyLifetime is the longest that an API key may be good for, unless it is for ever.
	MaxAPIKeyLifetime = MaxDelay
	// MinAPIKeyRate is the lowest limit of how often a second an API key may be used.
	MinAPIKeyRate = 0.001
	// MaxAPIKeyRate is the highest.
	MaxAPIKeyRate = 1e6
	// MaxAPIKeyWaiting is how many calls with an API key may wait at most.
	MaxAPIKeyWaiting = 1_000_000
)

// APIKey is what is kept of an API key: everything but its secret.
type APIKey struct {
	ID   string            // is a part of the key; not secret
	Name string            // of who has it; two keys may share it
	Hash [sha256.Size]byte // of the secret
	// Scopes are what the key may be used for. What they are called is not for the queue to know.
	Scopes   []string
	Channels []string // sorted, each once; none is all
	Created  time.Time
	Expires  time.Time // zero for never
	LastUsed time.Time // give or take a minute or two; zero for never
	Limits   APIKeyLimits
}

// APIKeyLimits are an API key's own limits. A zero field is that of the server.
type APIKeyLimits struct {
	Rate    float64 // calls a second
	Waiting int     // calls that wait at the same time
}

// validate returns an *InvalidError for the first limit that makes no sense.
func (l APIKeyLimits) validate() error {
	if l.Rate != 0 && !(l.Rate >= MinAPIKeyRate && l.Rate <= MaxAPIKeyRate) { // not a number is neither
		return &InvalidError{Field: "rate_limit", Reason: fmt.Sprintf("must be %g to %.0f", MinAPIKeyRate, MaxAPIKeyRate)}
	}
	if l.Waiting < 0 || l.Waiting > MaxAPIKeyWaiting {
		return &InvalidError{Field: "max_waiting", Reason: fmt.Sprintf("must be 1 to %d", MaxAPIKeyWaiting)}
	}
	return nil
}

// Good reports whether the key has not expired.
func (k *APIKey) Good(now time.Time) bool { return k.Expires.IsZero() || now.Before(k.Expires) }

// NewAPIKey is an API key to be added.
type NewAPIKey struct {
	ID       string
	Name     string
	Hash     [sha256.Size]byte
	Scopes   []string
	Channels []string      // none is all
	Lifetime time.Duration // 0 is for ever
	Limits   APIKeyLimits
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (n *NewAPIKey) Validate() error {
	if len(n.ID) > MaxAPIKeyID || !validName(n.ID) {
		return &InvalidError{Field: "id", Reason: fmt.Sprintf("must be 1 to %d %s", MaxAPIKeyID, nameAlphabet)}
	}
	if err := validateName("name", n.Name); err != nil {
		return err
	}
	if len(n.Scopes) == 0 || len(n.Scopes) > MaxAPIKeyScopes {
		return &InvalidError{Field: "scopes", Reason: fmt.Sprintf("must be 1 to %d", MaxAPIKeyScopes)}
	}
	if err := validateNames("scopes", n.Scopes); err != nil {
		return err
	}
	if i := slices.Index(n.Channels, "*"); i >= 0 { // which a token or a certificate may be for
		return &InvalidError{Field: fmt.Sprintf("channels[%d]", i), Reason: `must be left out for every channel: "*" is no name of one`}
	}
	if err := validateNames("channels", n.Channels); err != nil {
		return err
	}
	if n.Lifetime != 0 && (n.Lifetime < time.Second || n.Lifetime > MaxAPIKeyLifetime) {
		return &InvalidError{Field: "expires_in_seconds", Reason: secondsFrom(time.Second, MaxAPIKeyLifetime)}
	}
	return n.Limits.validate()
}

// Admit returns the key as it is kept, if it can be added beside those that there are of its name
// and the number of all. Those of its name that have expired go, and it takes their place.
// ErrAPIKeyExists, ErrTwoAPIKeys, ErrAPIKeyName, ErrTooManyAPIKeys.
//
// Keys of one name stand for one principal, so they are for the same channels: else who may make
// keys for one channel could become somebody who is at home in another.
func (n *NewAPIKey) Admit(named []APIKey, all int, now time.Time) (key APIKey, expired []string, err error) {
	channels := sortedOnce(n.Channels)
	good := 0
	for i := range named {
		k := &named[i]
		switch {
		case k.ID == n.ID:
			return APIKey{}, nil, ErrAPIKeyExists
		case !k.Good(now):
			expired = append(expired, k.ID)
		case !slices.Equal(k.Channels, channels):
			return APIKey{}, nil, ErrAPIKeyName
		default:
			good++
		}
	}
	if good >= MaxAPIKeysOfName {
		return APIKey{}, nil, ErrTwoAPIKeys
	}
	if all-len(expired) >= MaxAPIKeys {
		return APIKey{}, nil, ErrTooManyAPIKeys
	}
	key = APIKey{
		ID: n.ID, Name: n.Name, Hash: n.Hash, Scopes: sortedOnce(n.Scopes), Channels: channels, Created: now,
		Limits: n.Limits,
	}
	if n.Lifetime > 0 {
		key.Expires = now.Add(n.Lifetime)
	}
	return key, expired, nil
}

// sortedOnce returns the names in their order, each once; nil if there are none.
func sortedOnce(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// APIKeyListing asks for one page of API keys, by their ids.
type APIKeyListing struct {
	After string // leaves out the key with that id and those before it; "" leaves out none
	Limit int    // 1 to MaxPage
}

// APIKeyPage is a part of a list of API keys.
type APIKeyPage struct {
	Keys []APIKey
	More bool      // there are others after these
	Now  time.Time // by the store's clock, which decides what has expired
}

// CheckAPIKeys returns what is wrong with keys that are kept side by side, a line each.
func CheckAPIKeys(keys []APIKey) (wrong []string) {
	lasting := make(map[string][]*APIKey)
	for i := range keys {
		k := &keys[i]
		n := NewAPIKey{ID: k.ID, Name: k.Name, Scopes: k.Scopes, Channels: k.Channels, Limits: k.Limits}
		if err := n.Validate(); err != nil {
			wrong = append(wrong, fmt.Sprintf("API key %s: %v", k.ID, err))
		}
		if k.Expires.IsZero() {
			lasting[k.Name] = append(lasting[k.Name], k)
		}
		of := lasting[k.Name]
		switch {
		case len(of) == 0 || of[len(of)-1] != k:
		case len(of) > MaxAPIKeysOfName:
			wrong = append(wrong, fmt.Sprintf("API key %s is one too many of its name", k.ID))
		case !slices.Equal(of[0].Channels, k.Channels):
			wrong = append(wrong, fmt.Sprintf("API key %s is for other channels than %s, which has the same name", k.ID, of[0].ID))
		}
	}
	return wrong
}
