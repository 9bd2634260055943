package auth

import (
	"fmt"
	"strings"
)

// Scopes is a set of the things that a principal may do, each on the principal's channels.
type Scopes uint8

// The scopes. None includes another.
const (
	Enqueue Scopes = 1 << iota // create jobs, and change, cancel and retry them
	Work                       // lease jobs and report on them
	Read                       // look at jobs, queues, workers and events
	Admin                      // delete jobs, and look after the server: its keys and backups
)

// scopeNames are in the order of the bits.
var scopeNames = [...]string{"enqueue", "work", "read", "admin"} //nolint:gochecknoglobals // a constant that Go has no word for

// ParseScopes returns the set of the named scopes. It is an error to name none, or one that there
// is not.
func ParseScopes(names []string) (Scopes, error) {
	var scopes Scopes
	for _, name := range names {
		one := scopeNamed(name)
		if one == 0 {
			return 0, fmt.Errorf("there is no scope %q: there are %s", name, strings.Join(scopeNames[:], ", "))
		}
		scopes |= one
	}
	if scopes == 0 {
		return 0, fmt.Errorf("at least one scope is needed, of %s", strings.Join(scopeNames[:], ", "))
	}
	return scopes, nil
}

func scopeNamed(name string) Scopes {
	for i := range scopeNames {
		if scopeNames[i] == name {
			return 1 << i
		}
	}
	return 0
}

// Names returns the names of the scopes in the set, in a fixed order.
func (s Scopes) Names() []string {
	var names []string
	for i := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, scopeNames[i])
		}
	}
	return names
}

// Has reports whether all of those are in the set.
func (s Scopes) Has(those Scopes) bool { return s&those == those }
