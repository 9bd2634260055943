package oidc

import (
	"strings"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// everyChannel in the claim of channels may stand for every channel.
const everyChannel = "*"

// path leads to a claim: the names of objects in objects. None leads nowhere.
type path []string

// pathTo reads the name of a claim. Names of claims have dots and colons in them, so what is inside
// of another one is named by a JSON pointer, which begins with a slash.
func pathTo(claim string) path {
	if claim == "" {
		return nil
	}
	if claim[0] != '/' {
		return path{claim}
	}
	names := strings.Split(claim[1:], "/")
	for i, name := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return names
}

// values returns the strings that the claim holds; none if it is not there, or something else.
func (p path) values(claims map[string]any) []string {
	if len(p) == 0 {
		return nil
	}
	for _, name := range p[:len(p)-1] {
		claims, _ = claims[name].(map[string]any) // nil holds nothing
	}
	switch value := claims[p[len(p)-1]].(type) {
	case string:
		return strings.Fields(value)
	case []any:
		var values []string
		for _, one := range value {
			if text, ok := one.(string); ok {
				values = append(values, text)
			}
		}
		return values
	default:
		return nil
	}
}

// scopes are what a token's claims allow.
func (a *Authenticator) scopes(claims map[string]any) auth.Scopes {
	scopes := a.options.Scopes
	for _, value := range a.scopesClaim.values(claims) {
		name, ours := strings.CutPrefix(value, a.options.ScopePrefix)
		if !ours {
			continue
		}
		if one, err := auth.ParseScopes([]string{name}); err == nil {
			scopes |= one
		}
	}
	return scopes
}

// channels are where a token's claims allow it; false if they are more than a request can be about.
func (a *Authenticator) channels(claims map[string]any) (auth.Channels, bool) {
	names := append([]string(nil), a.options.Channels...)
	for _, value := range a.channelClaim.values(claims) {
		if value == everyChannel {
			if a.options.AllChannels {
				return auth.AllChannels(), true
			}
			continue
		}
		// No job is in a channel that cannot be.
		if name := a.options.ChannelPrefix + value; queue.ValidName(name) {
			names = append(names, name)
		}
	}
	channels := auth.SomeChannels(names...)
	return channels, len(channels.Names()) <= queue.MaxChannels
}
