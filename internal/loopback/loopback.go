// Package loopback tells requests of this machine's own programs from those that a page in a browser has
// made, for servers that ask nobody who they are because only this machine reaches them.
//
// A page can have its own name point at a loopback address (DNS rebinding), and then reads what it
// likes: but the name is in Host. And a page of any name can send some requests without being
// allowed to read the answer: but browsers say so in Sec-Fetch-Site and Origin.
//
// It is no authentication: whoever is on the machine says what they want.
package loopback

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

var (
	// ErrHost is returned where Host is neither a loopback address, nor "localhost", nor a name that was allowed.
	ErrHost = errors.New("the request is for another host")
	// ErrOrigin is returned where a page of another origin wants something changed.
	ErrOrigin = errors.New("the request is of a page of another origin")
)

// Guard checks requests. It is safe for concurrent use.
type Guard struct {
	names   []string
	origins *http.CrossOriginProtection
}

// New returns a guard that takes these names for its own, besides "localhost".
func New(names ...string) *Guard {
	return &Guard{names: slices.Clone(names), origins: http.NewCrossOriginProtection()}
}

// Check looks at the head of a request, and allocates nothing for one that is good. ErrHost, ErrOrigin.
func (g *Guard) Check(r *http.Request) error {
	if !g.own(r.Host) {
		return ErrHost
	}
	if g.origins.Check(r) != nil {
		return ErrOrigin
	}
	return nil
}

// own reports whether a Host means this machine. A request of HTTP/1.0 may have none, and a browser's
// always has one.
func (g *Guard) own(host string) bool {
	if host == "" {
		return true
	}
	name := strings.TrimSuffix(withoutPort(host), ".")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	for _, allowed := range g.names {
		if strings.EqualFold(name, allowed) {
			return true
		}
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// withoutPort returns the name or address of a Host, without brackets.
func withoutPort(host string) string {
	if host[0] == '[' {
		inside, after, closed := strings.Cut(host[1:], "]")
		if !closed || after != "" && after[0] != ':' {
			return ""
		}
		return inside
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}
