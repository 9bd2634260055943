package oidc_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/oidc"
)

func TestGoodTokenSaysWhoAndWhatAndWhere(t *testing.T) {
	t.Parallel()
	a := open(t, testOptions(newIssuer()))
	for _, name := range oidc.DefaultAlgorithms() {
		for _, id := range []string{"k-" + name, ""} {
			p, err := ask(t, a, sign(t, name, id, claims(time.Now(), nil)))
			require.NoError(t, err, name)
			require.Equal(t, "oidc:alice", p.Name)
			require.Equal(t, auth.Work|auth.Read, p.Scopes)
			require.Equal(t, auth.SomeChannels("org-acme"), p.Channels)
		}
	}
}

func TestClaimsAreReadAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	many := make([]string, 65)
	for i := range many {
		many[i] = strings.Repeat("c", i+1)
	}
	for name, test := range map[string]struct {
		options  func(*oidc.Options)
		claims   map[string]any
		scopes   auth.Scopes
		channels auth.Channels
	}{
		"array":              {nil, map[string]any{"scope": []string{"enqueue", "admin"}, "org": []string{"a", "b", "a"}}, auth.Enqueue | auth.Admin, auth.SomeChannels("org-a", "org-b")},
		"nothing of ours":    {nil, map[string]any{"scope": "openid profile", "org": nil}, 0, auth.Channels{}},
		"no such claims":     {nil, map[string]any{"scope": nil, "org": nil}, 0, auth.Channels{}},
		"other types":        {nil, map[string]any{"scope": 7, "org": map[string]any{"name": "acme"}}, 0, auth.Channels{}},
		"types in an array":  {nil, map[string]any{"scope": []any{"work", 1, nil}, "org": []any{"a", 1, []string{"b"}}}, auth.Work, auth.SomeChannels("org-a")},
		"prefix":             {func(o *oidc.Options) { o.ScopePrefix = "longshore:" }, map[string]any{"scope": "longshore:work read longshore:shout"}, auth.Work, auth.SomeChannels("org-acme")},
		"granted to all":     {func(o *oidc.Options) { o.Scopes, o.Channels = auth.Enqueue, []string{"shared"} }, nil, auth.Enqueue | auth.Work | auth.Read, auth.SomeChannels("org-acme", "shared")},
		"inside another":     {func(o *oidc.Options) { o.ScopesClaim = "/realm/roles" }, map[string]any{"realm": map[string]any{"roles": []string{"admin"}}}, auth.Admin, auth.SomeChannels("org-acme")},
		"inside nothing":     {func(o *oidc.Options) { o.ScopesClaim = "/realm/roles" }, map[string]any{"realm": "roles"}, 0, auth.SomeChannels("org-acme")},
		"name with a slash":  {func(o *oidc.Options) { o.ScopesClaim = "/https:~1~1x.example~1roles" }, map[string]any{"https://x.example/roles": "work"}, auth.Work, auth.SomeChannels("org-acme")},
		"name as it is":      {func(o *oidc.Options) { o.ScopesClaim = "https://x.example/roles" }, map[string]any{"https://x.example/roles": "work"}, auth.Work, auth.SomeChannels("org-acme")},
		"star":               {nil, map[string]any{"org": "*"}, auth.Work | auth.Read, auth.Channels{}},
		"star that counts":   {func(o *oidc.Options) { o.AllChannels = true }, map[string]any{"org": []string{"a", "*"}}, auth.Work | auth.Read, auth.AllChannels()},
		"impossible channel": {nil, map[string]any{"org": []string{"a b", "ä", "\n", strings.Repeat("c", 128), "ok"}}, auth.Work | auth.Read, auth.SomeChannels("org-ok")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := testOptions(newIssuer())
			if test.options != nil {
				test.options(&options)
			}
			p, err := ask(t, open(t, options), sign(t, "ES256", "k-ES256", claims(time.Now(), test.claims)))
			require.NoError(t, err)
			require.Equal(t, test.scopes.Names(), p.Scopes.Names())
			require.Equal(t, test.channels.All(), p.Channels.All())
			require.ElementsMatch(t, test.channels.Names(), p.Channels.Names())
		})
	}
}

// none returns a token that nobody signed.
func none(t *testing.T, algorithm string, content map[string]any) string {
	t.Helper()
	header, err := json.Marshal(map[string]string{"alg": algorithm, "typ": "JWT", "kid": "k-RS256"})
	require.NoError(t, err)
	body, err := json.Marshal(content)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
}

// Nothing of a token that is refused may be in the reason, which is logged.
func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := sign(t, "ES256", "k-ES256", claims(now, nil))
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(signers()["RS256"].Public())
	require.NoError(t, err)
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	shared := jose.SigningKey{Algorithm: jose.HS256, Key: secret}
	token := func(changes map[string]any) string { return sign(t, "ES256", "k-ES256", claims(now, changes)) }
	a := open(t, testOptions(newIssuer()))
	_, err = ask(t, a, good)
	require.NoError(t, err)
	for name, test := range map[string]struct{ token, reason string }{
		"alg none":             {none(t, "none", claims(now, nil)), "algorithm"},
		"alg None":             {none(t, "None", claims(now, nil)), "algorithm"},
		"no alg":               {none(t, "", claims(now, nil)), "algorithm"},
		"public key as secret": {signWith(t, shared, "k-RS256", claims(now, nil)), "algorithm"},
		"alg not allowed":      {sign(t, "ES384", "k-ES384", claims(now, nil)), "algorithm"},
		"wrong audience":       {token(map[string]any{"aud": "another"}), "audience"},
		"no audience":          {token(map[string]any{"aud": nil}), "audience"},
		"wrong audiences":      {token(map[string]any{"aud": []string{"one", "longshore2"}}), "audience"},
		"wrong issuer":         {token(map[string]any{"iss": issuerURL + "/"}), "issuer"},
		"no issuer":            {token(map[string]any{"iss": nil}), "issuer"},
		"expired":              {token(map[string]any{"exp": now.Add(-time.Minute).Unix()}), "expired"},
		"no expiry":            {token(map[string]any{"exp": nil}), "does not expire"},
		"not yet":              {token(map[string]any{"nbf": now.Add(time.Minute).Unix()}), "not valid yet"},
		"of the future":        {token(map[string]any{"iat": now.Add(time.Minute).Unix()}), "not valid yet"},
		"no subject":           {token(map[string]any{"sub": nil}), "subject"},
		"subject of two lines": {token(map[string]any{"sub": "alice\nmallory"}), "subject"},
		"long subject":         {token(map[string]any{"sub": strings.Repeat("a", 256)}), "subject"},
		"claims of no sense":   {token(map[string]any{"exp": "soon"}), "cannot be read"},
		"too many channels":    {token(map[string]any{"org": strings.Fields(strings.Repeat("a b ", 1) + letters(64))}), "too many channels"},
		"another's signature":  {sign(t, "RS256", "k-ES256", claims(now, nil)), "does not have"},
		"cut signature":        {good[:len(good)-4], "signature"},
		"swapped claims":       {parts[0] + "." + strings.Split(token(map[string]any{"sub": "mallory"}), ".")[1] + "." + parts[2], "signature"},
		"unknown key":          {sign(t, "ES256", "k-other", claims(now, nil)), "does not have"},
		"two parts":            {parts[0] + "." + parts[1], "three parts"},
		"five parts":           {good + ".a.b", "three parts"},
		"many dots":            {strings.Repeat(".", 8000), "three parts"},
		"huge":                 {good + strings.Repeat("A", 8<<10), "too long"},
		"two dots":             {"..", "malformed"},
		"no token":             {"nonsense", "three parts"},
		"json":                 {`{"payload":"","signatures":[]}`, "three parts"},
	} {
		p, err := ask(t, a, test.token)
		require.Nil(t, p, name)
		require.ErrorIs(t, err, auth.ErrBadCredential, name)
		require.ErrorContains(t, err, test.reason, name)
		require.Regexp(t, `^token [a-z ,]+: bad credential$`, err.Error(), name)
	}
}

func letters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" x" + strings.Repeat("y", i))
	}
	return b.String()
}

func TestClocksMayDifferALittle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	options := testOptions(newIssuer())
	options.Now = func() time.Time { return now }
	a := open(t, options)
	for changes, want := range map[*map[string]any]error{
		{"exp": now.Add(-29 * time.Second).Unix()}: nil,
		{"exp": now.Add(-31 * time.Second).Unix()}: auth.ErrBadCredential,
		{"nbf": now.Add(29 * time.Second).Unix()}:  nil,
		{"nbf": now.Add(31 * time.Second).Unix()}:  auth.ErrBadCredential,
	} {
		_, err := ask(t, a, sign(t, "ES256", "k-ES256", claims(now, *changes)))
		require.ErrorIs(t, err, want, "%v", *changes)
	}
}

func TestOtherCredentialsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	a := open(t, testOptions(newIssuer()))
	good := "Bearer " + sign(t, "ES256", "k-ES256", claims(time.Now(), nil))
	for name, test := range map[string]struct {
		headers []string
		want    error
	}{
		"none":            {nil, auth.ErrNoCredential},
		"empty":           {[]string{""}, auth.ErrNoCredential},
		"API key":         {[]string{"Bearer lsk_a.b"}, auth.ErrNoCredential},
		"another scheme":  {[]string{"Basic YTpi"}, auth.ErrNoCredential},
		"scheme alone":    {[]string{"Bearer"}, auth.ErrNoCredential},
		"lower case":      {[]string{"bearer " + good[len("Bearer "):]}, nil},
		"two":             {[]string{good, good}, auth.ErrBadCredential},
		"beside another":  {[]string{good, "Bearer lsk_a.b"}, auth.ErrBadCredential},
		"in another head": {[]string{"Basic " + good}, auth.ErrNoCredential},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?access_token="+good[len("Bearer "):], http.NoBody)
		r.Header["Authorization"] = test.headers
		_, err := a.Authenticate(r)
		require.ErrorIs(t, err, test.want, name)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for option, spoils := range map[string][]func(*oidc.Options){
		"Issuer": {
			func(o *oidc.Options) { o.Issuer = "" },
			func(o *oidc.Options) { o.Issuer = "issuer.example" },
			func(o *oidc.Options) { o.Issuer = "http://issuer.example" },
			func(o *oidc.Options) { o.Issuer = "http://localhost.example" },
			func(o *oidc.Options) { o.Issuer = "https://a:b@issuer.example" },
			func(o *oidc.Options) { o.Issuer = "https://issuer.example?x" },
			func(o *oidc.Options) { o.Issuer = "https://" },
		},
		"Audience":       {func(o *oidc.Options) { o.Audience = "" }},
		"ChannelClaim":   {func(o *oidc.Options) { o.ChannelClaim = "" }},
		"ChannelPrefix":  {func(o *oidc.Options) { o.ChannelPrefix = "-" }},
		"DefaultChannel": {func(o *oidc.Options) { o.Channels = []string{"a b"} }},
		"Algorithm": {
			func(o *oidc.Options) { o.Algorithms = []string{"none"} },
			func(o *oidc.Options) { o.Algorithms = []string{"RS256", "HS256"} },
		},
	} {
		for _, spoil := range spoils {
			options := testOptions(newIssuer())
			spoil(&options)
			_, err := oidc.New(options)
			var wrong *oidc.OptionError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, option, wrong.Option)
		}
	}
	for _, address := range []string{"http://127.0.0.1:1/x", "http://[::1]", "http://localhost:8080", "https://issuer.example/x"} {
		options := testOptions(newIssuer())
		options.Issuer = address
		require.NoError(t, options.Validate())
	}
}

func TestAlgorithmsAreThoseAllowed(t *testing.T) {
	t.Parallel()
	i := newIssuer()
	i.publish("ES256", "ES384")
	options := testOptions(i)
	options.Algorithms = []string{"ES384"}
	a := open(t, options)
	_, err := ask(t, a, sign(t, "ES384", "", claims(time.Now(), nil)))
	require.NoError(t, err)
	_, err = ask(t, a, sign(t, "ES256", "k-ES256", claims(time.Now(), nil)))
	require.ErrorIs(t, err, auth.ErrBadCredential)
}

// Each token is checked once with its signature, and once without because it was just before.
func BenchmarkAuthenticate(b *testing.B) {
	for _, name := range oidc.DefaultAlgorithms() {
		now := time.Now()
		r := request(b, sign(b, name, "k-"+name, claims(now, map[string]any{"exp": now.AddDate(100, 0, 0).Unix()})))
		for kind, pause := range map[string]time.Duration{"checked": time.Hour, "remembered": 0} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				options, now := testOptions(newIssuer()), now
				options.Now = func() time.Time { return now }
				a := open(b, options)
				b.ReportAllocs()
				for b.Loop() {
					now = now.Add(pause)
					if _, err := a.Authenticate(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
