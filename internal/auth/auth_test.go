package auth_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
)

func TestScopesHaveNames(t *testing.T) {
	t.Parallel()
	scopes, err := auth.ParseScopes([]string{"read", "enqueue", "read"})
	require.NoError(t, err)
	require.Equal(t, auth.Enqueue|auth.Read, scopes)
	require.Equal(t, []string{"enqueue", "read"}, scopes.Names())
	require.True(t, scopes.Has(auth.Read))
	require.False(t, scopes.Has(auth.Read|auth.Work))
	for _, names := range [][]string{nil, {"write"}, {"read", ""}, {"READ"}} {
		_, err := auth.ParseScopes(names)
		require.ErrorContains(t, err, "enqueue, work, read, admin", "%v", names)
	}
}

func TestPrincipalMayDoWhatItsScopesSayOnItsChannels(t *testing.T) {
	t.Parallel()
	p := auth.Principal{Scopes: auth.Work, Channels: auth.SomeChannels("b", "a", "b")}
	require.Equal(t, []string{"a", "b"}, p.Channels.Names())
	require.True(t, p.May(auth.Work, "a"))
	require.False(t, p.May(auth.Read, "a"))
	require.False(t, p.May(auth.Work, "c"))
	require.False(t, p.May(auth.Work, ""))
	p.Channels = auth.AllChannels()
	require.True(t, p.May(auth.Work, "c"))
	require.False(t, new(auth.Principal).May(0, "a"))
}

func TestPrincipalTravelsWithTheContext(t *testing.T) {
	t.Parallel()
	require.Nil(t, auth.PrincipalOf(t.Context()))
	p := &auth.Principal{Name: "key:ci"}
	require.Same(t, p, auth.PrincipalOf(auth.WithStanding(t.Context(), &auth.Standing{Principal: p})))
}

// answer is an authenticator that always answers the same.
type answer struct {
	p   *auth.Principal
	err error
}

func (a answer) Authenticate(*http.Request) (*auth.Principal, error) { return a.p, a.err }

func TestACredentialThatNoAuthenticatorKnowsIsABadOne(t *testing.T) {
	t.Parallel()
	none, good := answer{err: auth.ErrNoCredential}, answer{p: &auth.Principal{Name: "mtls:a"}}
	for _, header := range []string{"Bearer a.b.c", "Bearer", "Basic YTpi", ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Authorization", header)
		_, err = auth.Chain{none, none}.Authenticate(r)
		require.ErrorIs(t, err, auth.ErrBadCredential, header)
		_, err = auth.Chain{none, good}.Authenticate(r)
		require.NoError(t, err, header)
	}
}

func TestFirstAuthenticatorThatKnowsTheCredentialDecides(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	require.NoError(t, err)
	p := &auth.Principal{Name: "key:ci"}
	none, bad, good := answer{err: auth.ErrNoCredential}, answer{err: fmt.Errorf("expired: %w", auth.ErrBadCredential)}, answer{p: p}
	for _, c := range []struct {
		chain auth.Chain
		p     *auth.Principal
		err   error
	}{
		{nil, nil, auth.ErrNoCredential},
		{auth.Chain{none, none}, nil, auth.ErrNoCredential},
		{auth.Chain{none, good, bad}, p, nil},
		{auth.Chain{none, bad, good}, nil, auth.ErrBadCredential},
	} {
		got, err := c.chain.Authenticate(r)
		require.ErrorIs(t, err, c.err)
		require.Same(t, c.p, got)
	}
}
