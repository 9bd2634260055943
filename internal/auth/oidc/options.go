package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// DefaultScopesClaim is the claim of scopes unless Options name another one.
const DefaultScopesClaim = "scope"

// DefaultAlgorithms are those that tokens may be signed with unless Options name others.
func DefaultAlgorithms() []string { return []string{"RS256", "ES256", "EdDSA"} }

// algorithms are those that may be allowed. What is signed with a shared secret could be signed by
// whoever checks it, and what is not signed by anybody.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Options say which tokens are good, and for what.
//
// A claim is named as it stands in the token, or, if it is inside of another one, by a JSON pointer:
// "/realm_access/roles". Its value is a string, in which spaces are between several, or an array of strings.
type Options struct {
	// Issuer is the address of the issuer, exactly as it stands in tokens. It is https, or, on this
	// machine, http. Required.
	Issuer string
	// Audience is who tokens must be for, among others. Required.
	Audience string
	// Algorithms are those that tokens may be signed with; none for DefaultAlgorithms.
	Algorithms []string
	// ScopesClaim names the claim of scopes; "" for DefaultScopesClaim. Only what begins with ScopePrefix
	// counts, and is a scope by what comes after it. Other values mean nothing here.
	ScopesClaim, ScopePrefix string
	// Scopes are those that every good token has.
	Scopes auth.Scopes
	// ChannelClaim names the claim of channels; "" for none. ChannelPrefix comes before each value.
	ChannelClaim, ChannelPrefix string
	// Channels are those that every good token has.
	Channels []string
	// AllChannels has the value "*" in the claim of channels mean every channel. It means none otherwise.
	AllChannels bool

	// Transport is how the issuer is reached; nil for the usual way.
	Transport http.RoundTripper
	// Now is the clock by which tokens expire; nil for time.Now.
	Now func() time.Time
	// Logger is told when the issuer's keys change, or cannot be fetched; nil for nobody.
	Logger queue.SimpleLogger
}

// OptionError tells which option is not acceptable, and why.
type OptionError struct {
	Option string // as the field of Options is called
	Reason string
}

func (e *OptionError) Error() string { return e.Option + " " + e.Reason }

// Validate returns an *OptionError for the first option that makes no sense.
func (o *Options) Validate() error {
	issuer, err := url.Parse(o.Issuer)
	switch {
	case o.Issuer == "":
		return &OptionError{"Issuer", "must not be empty"}
	case err != nil || issuer.RawQuery != "" || issuer.Fragment != "" || issuer.User != nil:
		return &OptionError{"Issuer", "must be an address without a password, a query or a fragment"}
	case o.Audience == "":
		return &OptionError{"Audience", "must not be empty: a token for somebody else would do"}
	case o.ChannelClaim == "" && len(o.Channels) == 0:
		return &OptionError{"ChannelClaim", "must not be empty where tokens have no channels otherwise"}
	}
	if err := trustworthy(issuer); err != nil {
		return &OptionError{"Issuer", err.Error()}
	}
	for _, algorithm := range o.Algorithms {
		if !slices.Contains(algorithms(), algorithm) {
			return &OptionError{"Algorithm", fmt.Sprintf("must be one of %s, not %q", strings.Join(algorithms(), ", "), algorithm)}
		}
	}
	for _, channel := range o.Channels {
		if !queue.ValidName(channel) {
			return &OptionError{"DefaultChannel", fmt.Sprintf("is no name of a channel: %q", channel)}
		}
	}
	if o.ChannelPrefix != "" && !queue.ValidName(o.ChannelPrefix) {
		return &OptionError{"ChannelPrefix", fmt.Sprintf("is nothing that the name of a channel can begin with: %q", o.ChannelPrefix)}
	}
	return nil
}

// trustworthy tells why keys from an address would be anybody's on the way.
func trustworthy(address *url.URL) error {
	host := address.Hostname()
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return errors.New("must have a host")
	case address.Scheme == "https":
		return nil
	case address.Scheme == "http" && (host == "localhost" || err == nil && ip.IsLoopback()):
		return nil
	default:
		return errors.New("must begin with https://")
	}
}

// complete fills in defaults.
func (o *Options) complete() {
	if len(o.Algorithms) == 0 {
		o.Algorithms = DefaultAlgorithms()
	}
	if o.ScopesClaim == "" {
		o.ScopesClaim = DefaultScopesClaim
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = queue.NopLogger{}
	}
}

// signatures are the algorithms as the library calls them.
func (o *Options) signatures() []jose.SignatureAlgorithm {
	var those []jose.SignatureAlgorithm
	for _, algorithm := range o.Algorithms {
		those = append(those, jose.SignatureAlgorithm(algorithm))
	}
	return those
}
