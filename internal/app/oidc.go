package app

import (
	"errors"
	"slices"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/oidc"
	"github.com/longshore-queue/longshore/internal/logging"
)

// oidcKind is the kind of credentials that tokens of an OpenID Connect issuer are, as Options.Auth calls it.
const oidcKind = "oidc"

// OIDCOptions say which tokens are good, and for what. Package oidc tells of each.
type OIDCOptions struct {
	Issuer         string
	Audience       string
	Algorithm      []string // none for the usual ones
	ScopesClaim    string   // "" for the usual one
	ScopePrefix    string
	DefaultScope   []string // of every token
	ChannelClaim   string   // "" for none
	ChannelPrefix  string
	DefaultChannel []string // of every token
	AllChannels    bool     // "*" in the claim of channels is every channel
}

// settings are what the options say to package oidc. *OptionError.
func (o *OIDCOptions) settings() (settings oidc.Options, err error) {
	settings = oidc.Options{
		Issuer: o.Issuer, Audience: o.Audience, Algorithms: o.Algorithm,
		ScopesClaim: o.ScopesClaim, ScopePrefix: o.ScopePrefix,
		ChannelClaim: o.ChannelClaim, ChannelPrefix: o.ChannelPrefix, Channels: o.DefaultChannel, AllChannels: o.AllChannels,
	}
	if len(o.DefaultScope) > 0 {
		if settings.Scopes, err = auth.ParseScopes(o.DefaultScope); err != nil {
			return settings, &OptionError{"OIDCDefaultScope", "is wrong: " + err.Error()}
		}
	}
	err = settings.Validate()
	if wrong := (*oidc.OptionError)(nil); errors.As(err, &wrong) {
		err = &OptionError{"OIDC" + wrong.Option, wrong.Reason}
	}
	return settings, err
}

// validateOIDC validates what concerns tokens of an issuer only.
func (o Options) validateOIDC() error {
	if !slices.Contains(o.Auth, oidcKind) {
		if o.OIDC.Issuer != "" {
			return &OptionError{"OIDCIssuer", "makes no sense without --auth " + oidcKind}
		}
		return nil
	}
	_, err := o.OIDC.settings()
	return err
}

// newOIDC makes the authenticator of tokens of an issuer, which Start starts.
func newOIDC(a *App) (auth.Authenticator, error) {
	settings, err := a.options.OIDC.settings()
	if err != nil {
		return nil, err
	}
	settings.Logger = logging.Adapt(a.log)
	a.issuer, err = oidc.New(settings)
	return a.issuer, err
}
