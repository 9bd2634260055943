package oidc_test

import (
	"encoding/json"
	"fmt"
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

// begin starts an authenticator in a bubble, and waits until it has tried to fetch the keys.
func begin(t *testing.T, i *issuer) *oidc.Authenticator {
	t.Helper()
	a, err := oidc.New(testOptions(i))
	require.NoError(t, err)
	a.Start()
	synctest.Wait()
	return a
}

// askWith asks with a good token that the key of the name signed.
func askWith(t *testing.T, a *oidc.Authenticator, name, id string) error {
	t.Helper()
	_, err := ask(t, a, sign(t, name, id, claims(time.Now(), nil)))
	return err
}

func TestNewKeyIsFetchedWhenATokenNamesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.publish("RS256")
		a := begin(t, i)
		defer a.Stop()
		require.NoError(t, askWith(t, a, "RS256", "k-RS256"))
		time.Sleep(time.Minute)
		i.publish("ES256")
		require.NoError(t, askWith(t, a, "ES256", "k-ES256"))
		require.Equal(t, 2, i.count())
		require.ErrorIs(t, askWith(t, a, "RS256", "k-RS256"), auth.ErrBadCredential, "the issuer took it back")
	})
}

func TestKeysThatTheIssuerTookBackAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		a := begin(t, i)
		defer a.Stop()
		i.publish("ES256")
		require.NoError(t, askWith(t, a, "RS256", "k-RS256"), "nobody has told")
		time.Sleep(10*time.Minute + time.Second)
		require.ErrorIs(t, askWith(t, a, "RS256", "k-RS256"), auth.ErrBadCredential)
		i.publish()
		time.Sleep(10 * time.Minute)
		require.ErrorIs(t, askWith(t, a, "ES256", "k-ES256"), auth.ErrBadCredential)
	})
}

// Whoever makes up names of keys has the issuer asked once in ten seconds at most.
func TestUnknownKeysDoNotKeepTheIssuerBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		a := begin(t, i)
		defer a.Stop()
		token := claims(time.Now(), nil)
		for second := range 120 {
			var storm sync.WaitGroup
			for n := range 20 {
				storm.Go(func() {
					_, err := ask(t, a, sign(t, "ES256", fmt.Sprint("made-up-", second, "-", n), token))
					if !auths(err, auth.ErrBadCredential) {
						t.Errorf("got %v", err)
					}
				})
			}
			storm.Wait()
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, i.count(), 1+12)
		require.GreaterOrEqual(t, i.count(), 12)
		require.NoError(t, askWith(t, a, "ES256", "k-ES256"))
	})
}

func TestServerThatStartsWithoutItsIssuerWorksOnceThatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.set(func(i *issuer) { i.down = true })
		a := begin(t, i)
		defer a.Stop()
		began := time.Now()
		require.ErrorIs(t, askWith(t, a, "ES256", "k-ES256"), auth.ErrCannotTell)
		require.Zero(t, time.Since(began), "nobody waits for an issuer that has just failed")
		_, err := ask(t, a, none(t, "none", claims(time.Now(), nil)))
		require.ErrorIs(t, err, auth.ErrBadCredential, "which needs no key")
		time.Sleep(time.Minute)
		require.ErrorIs(t, askWith(t, a, "ES256", "k-ES256"), auth.ErrCannotTell)
		i.set(func(i *issuer) { i.down = false })
		time.Sleep(time.Minute + time.Second)
		require.Equal(t, 1, i.count())
		require.NoError(t, askWith(t, a, "ES256", "k-ES256"))
	})
}

func TestKnownKeysStayGoodWhileTheIssuerIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		a := begin(t, i)
		defer a.Stop()
		i.set(func(i *issuer) { i.down = true })
		time.Sleep(24 * time.Hour)
		require.NoError(t, askWith(t, a, "ES256", "k-ES256"))
		require.ErrorIs(t, askWith(t, a, "ES256", "new"), auth.ErrCannotTell)
	})
}

// auths is errors.Is for goroutines of a test.
func auths(err, want error) bool { return err != nil && strings.HasSuffix(err.Error(), want.Error()) }

func TestNobodyWaitsLongForAnIssuerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.set(func(i *issuer) { i.hangs = true })
		a := begin(t, i)
		token := sign(t, "ES256", "k-ES256", claims(time.Now(), nil))
		began := time.Now()
		var waiting sync.WaitGroup
		for range 1100 {
			waiting.Go(func() {
				if _, err := ask(t, a, token); !auths(err, auth.ErrCannotTell) {
					t.Errorf("got %v", err)
				}
			})
		}
		waiting.Wait()
		require.Equal(t, 3*time.Second, time.Since(began))
		a.Stop()
		require.Equal(t, 3*time.Second, time.Since(began), "a fetch ends with Stop")
	})
}

func TestAnswersOfTheIssuerAreBoundedAndChecked(t *testing.T) {
	t.Parallel()
	key, err := json.Marshal(jose.JSONWebKey{Key: signers()["ES256"].Public(), KeyID: "k-ES256"})
	require.NoError(t, err)
	for name, change := range map[string]func(*issuer){
		"of another issuer":  func(i *issuer) { i.metadata = func(m map[string]any) { m["issuer"] = "https://other.example" } },
		"keys without TLS":   func(i *issuer) { i.metadata = func(m map[string]any) { m["jwks_uri"] = "http://issuer.example/keys" } },
		"keys in a file":     func(i *issuer) { i.metadata = func(m map[string]any) { m["jwks_uri"] = "file:///etc/passwd" } },
		"no keys":            func(i *issuer) { i.metadata = func(m map[string]any) { delete(m, "jwks_uri") } },
		"a long document":    func(i *issuer) { i.metadata = func(m map[string]any) { m["x"] = strings.Repeat("x", 512<<10) } },
		"a long set of keys": func(i *issuer) { i.raw = `{"keys":[` + string(key) + `]` + strings.Repeat(" ", 512<<10) + `}` },
		"too many keys":      func(i *issuer) { i.raw = `{"keys":[` + strings.Repeat(string(key)+",", 32) + string(key) + `]}` },
		"keys that are none": func(i *issuer) { i.raw = `{"keys":"none"}` },
		"something else":     func(i *issuer) { i.raw = `<html>` },
		"keys elsewhere":     func(i *issuer) { i.moved = true },
		"without a list":     func(i *issuer) { i.raw = `{}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer()
				i.set(change)
				a := begin(t, i)
				defer a.Stop()
				require.ErrorIs(t, askWith(t, a, "ES256", "k-ES256"), auth.ErrCannotTell)
			})
		})
	}
}

func TestKeysThatAreOfNoUseAreLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer()
		i.set(func(i *issuer) {
			i.keys = []any{
				map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AAAA", "kid": "k-odd"},
				map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "k-shared"},
				"no key",
				jose.JSONWebKey{Key: signers()["short"].Public(), KeyID: "k-short"},
				jose.JSONWebKey{Key: signers()["RS256"].Public(), KeyID: "k-encryption", Use: "enc"},
				jose.JSONWebKey{Key: signers()["RS256"], KeyID: "k-private"},
				jose.JSONWebKey{Key: signers()["RS256"].Public(), KeyID: "k-PS256", Algorithm: "PS256"},
				jose.JSONWebKey{Key: signers()["ES256"].Public(), KeyID: "k-ES256"},
			}
		})
		a := begin(t, i)
		defer a.Stop()
		require.NoError(t, askWith(t, a, "ES256", "k-ES256"))
		for _, id := range []string{"k-encryption", "k-private", "k-PS256"} {
			require.ErrorIs(t, askWith(t, a, "RS256", id), auth.ErrBadCredential, id)
		}
		require.ErrorIs(t, askWith(t, a, "short", "k-short"), auth.ErrBadCredential)
		shared := jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}
		_, err := ask(t, a, signWith(t, shared, "k-shared", claims(time.Now(), nil)))
		require.ErrorIs(t, err, auth.ErrBadCredential)
	})
}

func TestKeysComeOverTheNetworkToo(t *testing.T) {
	t.Parallel()
	i := newIssuer()
	server := httptest.NewServer(i)
	defer server.Close()
	i.set(func(i *issuer) { i.url = server.URL + "/realms/builds" })
	options := testOptions(i)
	options.Issuer, options.Transport = i.url, nil
	a, err := oidc.New(options)
	require.NoError(t, err)
	a.Start()
	defer a.Stop()
	_, err = ask(t, a, sign(t, "ES256", "k-ES256", claims(time.Now(), map[string]any{"iss": options.Issuer})))
	require.NoError(t, err)
}
