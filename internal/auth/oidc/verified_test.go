package oidc_test

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/oidc"
)

// clocked starts an authenticator whose clock is at a time that the test moves.
func clocked(t *testing.T) (*oidc.Authenticator, *time.Time) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	options := testOptions(newIssuer())
	options.Now = func() time.Time { return now }
	return open(t, options), &now
}

// whose asks with a token that is good. Who a token is for is found once for as long as it is remembered, so
// that the same pointer tells that it was not checked again.
func whose(t *testing.T, a *oidc.Authenticator, token string) *auth.Principal {
	t.Helper()
	p, err := ask(t, a, token)
	require.NoError(t, err)
	return p
}

func TestTokenIsCheckedOnceAMinute(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "ES256", "k-ES256", claims(*now, nil))
	first := whose(t, a, token)
	*now = now.Add(time.Minute - 1)
	require.Same(t, first, whose(t, a, token))
	*now = now.Add(1)
	second := whose(t, a, token)
	require.NotSame(t, first, second)
	require.Equal(t, first, second)
	*now = now.Add(time.Minute - 1)
	require.Same(t, second, whose(t, a, token))
}

func TestTokenIsCheckedEachTimeOnceItHasExpired(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "ES256", "k-ES256", claims(*now, map[string]any{"exp": now.Add(20 * time.Second).Unix()}))
	first := whose(t, a, token)
	*now = now.Add(20*time.Second - 1)
	require.Same(t, first, whose(t, a, token))
	*now = now.Add(1)
	late := whose(t, a, token)
	require.NotSame(t, first, late, "clocks may differ, so it is good still")
	require.NotSame(t, late, whose(t, a, token))
	*now = now.Add(30*time.Second + 1)
	_, err := ask(t, a, token)
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

func TestTokenIsCheckedAgainByAClockThatWasPutBack(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "ES256", "k-ES256", claims(*now, nil))
	whose(t, a, token)
	*now = now.Add(-31 * time.Second)
	_, err := ask(t, a, token)
	require.ErrorIs(t, err, auth.ErrBadCredential, "it is not valid yet")
}

func TestTokenThatIsNotGoodIsCheckedEachTime(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "ES256", "k-ES256", claims(*now, map[string]any{"nbf": now.Add(31 * time.Second).Unix()}))
	_, err := ask(t, a, token)
	require.ErrorIs(t, err, auth.ErrBadCredential)
	*now = now.Add(time.Second)
	whose(t, a, token)
}

// A signature that begins as one that is remembered does, and claims of another with it, are another token.
func TestOnlyTheWholeTokenIsRemembered(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "EdDSA", "k-EdDSA", claims(*now, nil))
	whose(t, a, token)
	middle, end := strings.Index(token, ".")+10, len(token)-10
	for _, i := range []int{middle, end} {
		other := byte('A')
		if token[i] == other {
			other = 'B'
		}
		_, err := ask(t, a, token[:i]+string(other)+token[i+1:])
		require.ErrorIs(t, err, auth.ErrBadCredential)
	}
	_, err := ask(t, a, token+"A")
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

func TestWhoSendsARememberedTokenBesideAnotherCredentialIsRefused(t *testing.T) {
	t.Parallel()
	a, now := clocked(t)
	token := sign(t, "ES256", "k-ES256", claims(*now, nil))
	whose(t, a, token)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer " + token, "Bearer lsk_a.b"}
	_, err := a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

func TestTokensAreCheckedAgainWhenTheIssuerHasOtherKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		a := begin(t, i)
		defer a.Stop()
		// The same keys again change nothing; each token with an unknown key has them fetched.
		token := sign(t, "ES256", "k-ES256", claims(time.Now(), nil))
		first := whose(t, a, token)
		time.Sleep(20 * time.Second)
		require.ErrorIs(t, askWith(t, a, "ES256", "unknown"), auth.ErrBadCredential)
		require.Equal(t, 2, i.count())
		require.Same(t, first, whose(t, a, token))
		// One more key.
		i.publish("RS256", "ES256", "EdDSA", "ES384")
		time.Sleep(20 * time.Second)
		require.ErrorIs(t, askWith(t, a, "ES256", "unknown"), auth.ErrBadCredential)
		require.Equal(t, 3, i.count())
		require.NotSame(t, first, whose(t, a, token))
		// Another key of the same name.
		i.set(func(i *issuer) {
			i.keys = []any{jose.JSONWebKey{Key: signers()["ES384"].Public(), KeyID: "k-ES256", Use: "sig"}}
		})
		time.Sleep(20 * time.Second)
		require.ErrorIs(t, askWith(t, a, "ES256", "unknown"), auth.ErrBadCredential)
		_, err := ask(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredential)
	})
}

func TestManyMayAskAtOnceWhileKeysChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		a := begin(t, i)
		defer a.Stop()
		tokens := []string{
			sign(t, "ES256", "k-ES256", claims(time.Now(), nil)),
			sign(t, "EdDSA", "k-EdDSA", claims(time.Now(), map[string]any{"sub": "bob"})),
		}
		unknown := sign(t, "ES256", "unknown", claims(time.Now(), nil))
		for round := range 4 {
			time.Sleep(11 * time.Second)
			i.publish([][]string{{"ES256", "EdDSA", "RS256"}, {"EdDSA", "ES256"}}[round%2]...)
			var all sync.WaitGroup
			for n := range 20 {
				all.Go(func() {
					if n == 10 {
						_, _ = ask(t, a, unknown) // which has the keys fetched
					}
					p, err := ask(t, a, tokens[n%2])
					if err != nil || p.Name != []string{"oidc:alice", "oidc:bob"}[n%2] {
						t.Errorf("got %v, %v", p, err)
					}
				})
			}
			all.Wait()
		}
	})
}
