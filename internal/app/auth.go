package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/loopback"
)

// credentialKinds are the kinds of credentials that Options.Auth may name, with what makes each one's
// authenticator.
func credentialKinds() map[string]func(*App) (auth.Authenticator, error) {
	return map[string]func(*App) (auth.Authenticator, error){
		keysKind: newKeys,
		oidcKind: newOIDC,
		mtlsKind: newMTLS,
	}
}

// validateAuth validates the kinds of credentials.
func (o Options) validateAuth() error {
	kinds := credentialKinds()
	for i, kind := range o.Auth {
		if kinds[kind] == nil {
			return &OptionError{"Auth", fmt.Sprintf("must be one of %s, not %q", strings.Join(kindNames(), ", "), kind)}
		}
		if slices.Contains(o.Auth[:i], kind) {
			return &OptionError{"Auth", "names " + kind + " twice"}
		}
	}
	if o.AuthKeysFile != "" && !slices.Contains(o.Auth, keysKind) {
		return &OptionError{"AuthKeysFile", "makes no sense without --auth " + keysKind}
	}
	if len(o.Auth) == 0 && !o.Insecure && !isLoopback(o.Listen) {
		return &OptionError{"Listen", fmt.Sprintf("is %q, where others can reach the server, and nobody is asked who they are: "+
			"turn on --auth, or listen on a loopback address such as 127.0.0.1:8080, or say --insecure if whoever reaches it may do everything", o.Listen)}
	}
	if err := o.validateHosts(); err != nil {
		return err
	}
	if err := o.validateOIDC(); err != nil {
		return err
	}
	return o.validateMTLS()
}

// validateHosts validates the names that requests may be for.
func (o Options) validateHosts() error {
	if len(o.AllowedHost) > 0 && o.loopback() == nil && (o.AdminListen == "" || o.adminLoopback() == nil) {
		return &OptionError{"AllowedHost", "makes no sense with --auth or --insecure, with which requests may be for any host, unless --admin-listen is a loopback address"}
	}
	for _, name := range o.AllowedHost {
		if !hostNames.MatchString(name) {
			return &OptionError{"AllowedHost", fmt.Sprintf("must be a name without a port, not %q", name)}
		}
	}
	return nil
}

// loopback is what keeps pages in browsers out, where nobody is asked who they are; nil if somebody is,
// or if others are let in anyhow.
func (o Options) loopback() *loopback.Guard {
	if len(o.Auth) > 0 || o.Insecure {
		return nil
	}
	return loopback.New(o.AllowedHost...)
}

// adminLoopback is the same for the admin listener, where nobody ever is asked; nil if it was asked to let others
// in. It goes by the address: --auth changes nothing there, and --insecure may have been said for Listen's sake. Whoever
// scrapes another address than a loopback one does so by whatever name they know it by.
func (o Options) adminLoopback() *loopback.Guard {
	if o.Insecure && !isLoopback(o.AdminListen) {
		return nil
	}
	return loopback.New(o.AllowedHost...)
}

// kindNames are the kinds of credentials, in order.
func kindNames() []string {
	var names []string
	for name := range credentialKinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// authenticators returns what finds out who a request comes from, in the order of the options;
// none if nobody is asked.
func (a *App) authenticators() (auth.Chain, error) {
	var chain auth.Chain
	kinds := credentialKinds()
	for _, kind := range a.options.Auth {
		one, err := kinds[kind](a)
		if err != nil {
			return nil, fmt.Errorf("set up authentication by %s: %w", kind, err)
		}
		chain = append(chain, one)
	}
	return chain, nil
}
