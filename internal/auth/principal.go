package auth

import "slices"

// Principal is who a request comes from. It is not changed once it is made, and may be shared.
type Principal struct {
	// Name is unique among all principals, and fit to be logged: the kind of credential, a colon,
	// and the name that it has there, such as "key:ci" or "oidc:alice". It stays the same when a
	// credential is rotated.
	Name     string
	Scopes   Scopes
	Channels Channels
	Limits   Limits
}

// Limits are what a principal may do as much as, in place of what the server allows to everybody. A zero
// field is the server's.
type Limits struct {
	RequestsPerSecond float64
	Waiting           int // calls at the same time
}

// May reports whether the principal has the scope on the channel.
func (p *Principal) May(scope Scopes, channel string) bool {
	return p.Scopes.Has(scope) && p.Channels.Has(channel)
}

// Equal reports whether both are the same one, and may do the same.
func (p *Principal) Equal(other *Principal) bool {
	return p.Name == other.Name && p.Scopes == other.Scopes && p.Channels.Equal(other.Channels)
}

// Channels is a set of channels. The zero value is empty.
type Channels struct {
	all   bool
	names []string // sorted, each once
}

// AllChannels is the set of every channel that there is or will be.
func AllChannels() Channels { return Channels{all: true} }

// SomeChannels is the set of the named channels. "" is no channel.
func SomeChannels(names ...string) Channels {
	sorted := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	slices.Sort(sorted)
	return Channels{names: slices.Compact(sorted)}
}

// Has reports whether the channel is in the set.
func (c Channels) Has(channel string) bool {
	if c.all {
		return true
	}
	_, found := slices.BinarySearch(c.names, channel)
	return found
}

// Equal reports whether both are the same set.
func (c Channels) Equal(other Channels) bool {
	return c.all == other.all && slices.Equal(c.names, other.names)
}

// All reports whether the set is that of every channel.
func (c Channels) All() bool { return c.all }

// Names returns the channels of the set, sorted; none if it is that of every channel. The caller
// must not change them.
func (c Channels) Names() []string { return c.names }
