package apikey

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// memory is a store, with a clock that is behind by a time.
type memory struct {
	mu     sync.Mutex // guards what follows
	keys   map[string]queue.APIKey
	behind time.Duration
	reads  int
	fail   error
	used   []map[string]time.Time
}

func (m *memory) now() time.Time { return time.Now().Add(-m.behind) }

func (m *memory) CreateAPIKey(_ context.Context, add queue.NewAPIKey) (queue.APIKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = make(map[string]queue.APIKey)
	}
	k, _, err := add.Admit(nil, 0, m.now())
	m.keys[k.ID] = k
	return k, err
}

func (m *memory) RevokeAPIKey(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, id)
	return nil
}

func (m *memory) APIKeys(_ context.Context, listing queue.APIKeyListing) (page queue.APIKeyPage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	page.Now = m.now()
	for _, id := range slices.Sorted(maps.Keys(m.keys)) {
		if id > listing.After {
			page.More = len(page.Keys) == 1 // pages are small, so that there are several
			if page.More {
				break
			}
			page.Keys = append(page.Keys, m.keys[id])
		}
	}
	return page, m.fail
}

func (m *memory) UseAPIKeys(_ context.Context, used map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = append(m.used, used)
	return m.fail
}

// add has somebody else make a key.
func (m *memory) add(t *testing.T, name string, lifetime time.Duration, channels ...string) Secret {
	t.Helper()
	secret := Generate()
	add, err := Prepare(secret, queue.NewAPIKey{Name: name, Scopes: []string{"work", "read"}, Channels: channels, Lifetime: lifetime})
	require.NoError(t, err)
	_, err = m.CreateAPIKey(t.Context(), add)
	require.NoError(t, err)
	return secret
}

func request(t *testing.T, authorization ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	require.NoError(t, err)
	r.Header["Authorization"] = authorization
	return r
}

func with(t *testing.T, secret Secret) *http.Request {
	t.Helper()
	return request(t, "Bearer "+secret.Text())
}

// requireBad requires that a credential is refused, and that nothing of it is told but the id.
func requireBad(t *testing.T, a *Authenticator, r *http.Request, why string) {
	t.Helper()
	p, err := a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrBadCredential)
	require.ErrorContains(t, err, why)
	require.Nil(t, p)
	_, secret, found := strings.Cut(r.Header.Get("Authorization"), ".")
	if found && secret != "" {
		require.NotContains(t, err.Error(), secret)
	}
	require.Less(t, len(err.Error()), 150)
}

func started(t *testing.T, store Store, options Options) *Authenticator {
	t.Helper()
	a := New(store, options)
	require.NoError(t, a.Start(t.Context()))
	t.Cleanup(a.Stop)
	return a
}

func TestAKeyStandsForItsPrincipal(t *testing.T) {
	t.Parallel()
	m := &memory{}
	first, second, all := m.add(t, "ci", 0, "b", "a"), m.add(t, "ci", 0, "a", "b"), m.add(t, "ops", 0)
	a := started(t, m, Options{})
	for _, secret := range []Secret{first, second} {
		p, err := a.Authenticate(request(t, "bEARER  "+secret.Text()))
		require.NoError(t, err)
		require.Equal(t, &auth.Principal{Name: "key:ci", Scopes: auth.Work | auth.Read, Channels: auth.SomeChannels("a", "b")}, p)
	}
	p, err := a.Authenticate(with(t, all))
	require.NoError(t, err)
	require.True(t, p.Channels.All())
}

func TestOtherCredentialsAreNotForThisAuthenticator(t *testing.T) {
	t.Parallel()
	a := started(t, &memory{}, Options{})
	for _, header := range [][]string{
		nil, {""}, {"Bearer"}, {"Bearer "}, {"Bearer eyJhbGciOiJub25lIn0.e30."}, {"Basic bHNrXzphYmM="}, {"Bearer LSK_a.b"},
		{Prefix + "a.b"}, {"Digest lsk_a.b"}, {"Bearer a", "Bearer b"},
	} {
		_, err := a.Authenticate(request(t, header...))
		require.ErrorIs(t, err, auth.ErrNoCredential, "%q", header)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	m := &memory{}
	good, other, expired := m.add(t, "ci", 0), m.add(t, "ci", 0), m.add(t, "old", time.Second)
	m.behind = -time.Hour // its clock decides
	a := started(t, m, Options{})
	text := good.Text()
	for name, malformed := range map[string]string{
		"nothing":             Prefix,
		"too short":           text[:len(text)-1],
		"too long":            text + "A",
		"huge":                text + strings.Repeat("A", 1<<20),
		"many dots":           Prefix + strings.Repeat(".", len(text)-len(Prefix)),
		"more dots":           text + strings.Repeat(".a", 1<<16),
		"no dot":              strings.Replace(text, ".", "a", 1),
		"a capital in the id": text[:len(Prefix)] + "Z" + text[len(Prefix)+1:],
		"a control":           text[:30] + "\x00" + text[31:],
		"not ASCII":           text[:30] + "é" + text[32:],
		"a space behind":      text[:len(text)-1] + " ",
	} {
		_, err := a.Authenticate(request(t, "Bearer "+malformed))
		require.ErrorContains(t, err, "malformed", name)
		requireBad(t, a, request(t, "Bearer "+malformed), "malformed")
	}
	requireBad(t, a, with(t, Generate()), "unknown")
	requireBad(t, a, request(t, "Bearer "+text[:len(text)-secretLength]+other.Text()[len(text)-secretLength:]), "another secret")
	// It is never B: the last letter of a secret stands for four bits and two that are 0.
	requireBad(t, a, request(t, "Bearer "+text[:len(text)-1]+"B"), "another secret")
	requireBad(t, a, with(t, expired), "expired")
	requireBad(t, a, request(t, "Bearer "+text, "Bearer "+text), "beside other credentials")
	requireBad(t, a, request(t, "Bearer eyJ.e30.", "Bearer "+text), "beside other credentials")

	require.NoError(t, a.RevokeAPIKey(t.Context(), other.ID))
	requireBad(t, a, with(t, other), "revoked")
	_, err := a.Authenticate(with(t, good))
	require.NoError(t, err)
}

func TestAKeyIsGoodOrRevokedAtOnceWhereThatWasDone(t *testing.T) {
	t.Parallel()
	a := started(t, &memory{}, Options{})
	secret := Generate()
	requireBad(t, a, with(t, secret), "unknown")
	add, err := Prepare(secret, queue.NewAPIKey{Name: "ci", Scopes: []string{"read"}})
	require.NoError(t, err)
	_, err = a.CreateAPIKey(t.Context(), add)
	require.NoError(t, err)
	_, err = a.Authenticate(with(t, secret))
	require.NoError(t, err)
	require.NoError(t, a.RevokeAPIKey(t.Context(), secret.ID))
	requireBad(t, a, with(t, secret), "unknown")
}

func TestKeysThatOthersMakeAndRevokeAreFoundOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		first := m.add(t, "ci", 0)
		a := New(m, Options{Interval: 2 * time.Second})
		require.NoError(t, a.Start(t.Context()))
		defer a.Stop()
		time.Sleep(time.Second)
		// One that is new is looked for, if nobody has looked just before.
		second := m.add(t, "ci", 0)
		_, err := a.Authenticate(with(t, second))
		require.NoError(t, err)
		require.NoError(t, m.RevokeAPIKey(t.Context(), first.ID))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		requireBad(t, a, with(t, first), "revoked")

		// Nobody who makes ids up keeps the store busy.
		m.mu.Lock()
		before := m.reads
		m.mu.Unlock()
		for range 1000 {
			_, err := a.Authenticate(with(t, Generate()))
			require.ErrorIs(t, err, auth.ErrBadCredential)
			time.Sleep(time.Millisecond)
		}
		m.mu.Lock()
		require.LessOrEqual(t, m.reads-before, 3)
		m.mu.Unlock()
	})
}

func TestKnownKeysStayGoodWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		secret := m.add(t, "ci", 10*time.Minute)
		a := New(m, Options{Interval: 2 * time.Second})
		require.NoError(t, a.Start(t.Context()))
		m.mu.Lock()
		m.fail = errors.New("away")
		m.mu.Unlock()
		time.Sleep(5 * time.Minute)
		_, err := a.Authenticate(with(t, secret))
		require.NoError(t, err)
		_, err = a.Authenticate(with(t, Generate()))
		require.ErrorIs(t, err, auth.ErrCannotTell)
		time.Sleep(6 * time.Minute)
		requireBad(t, a, with(t, secret), "expired")
		a.Stop()
		require.ErrorContains(t, New(m, Options{}).Start(t.Context()), "read the API keys: away")
	})
}

func TestTheStoreIsToldOfUsesOnceAMinuteAndAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		secret, idle := m.add(t, "ci", 0), m.add(t, "idle", 0)
		a := New(m, Options{Interval: time.Second})
		require.NoError(t, a.Start(t.Context()))
		for range 150 {
			_, err := a.Authenticate(with(t, secret))
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		m.mu.Lock()
		require.Len(t, m.used, 2)
		m.mu.Unlock()
		a.Stop()
		require.Len(t, m.used, 3)
		for _, used := range m.used {
			require.Contains(t, used, secret.ID)
			require.NotContains(t, used, idle.ID)
		}
		require.WithinDuration(t, time.Now(), m.used[2][secret.ID], coarse+time.Second)
	})
}

func TestAKeyWithAScopeThatThereIsNotCannotBeUsed(t *testing.T) {
	t.Parallel()
	m := &memory{}
	secret := Generate()
	_, err := m.CreateAPIKey(t.Context(), queue.NewAPIKey{ID: secret.ID, Name: "new", Hash: secret.Hash, Scopes: []string{"fly"}})
	require.NoError(t, err)
	var told lines
	a := started(t, m, Options{Logger: &told})
	requireBad(t, a, with(t, secret), "unknown")
	require.NoError(t, a.Refresh(t.Context()))
	require.Len(t, told.all, 1, "and it is told once")
	require.Contains(t, told.all[0], `there is no scope "fly"`)
}

// lines is a logger.
type lines struct{ all []string }

func (*lines) Info(string, ...string)                   {}
func (l *lines) Error(_ error, msg string, _ ...string) { l.all = append(l.all, msg) }

func TestASecretIsNotWrittenByAccident(t *testing.T) {
	t.Parallel()
	s := Generate()
	require.Regexp(t, `^lsk_[0-9a-v]{16}\.[A-Za-z0-9_-]{43}$`, s.Text())
	require.Equal(t, "lsk_"+s.ID, s.String())
	require.NotEqual(t, s.Text(), Generate().Text())
	one, two := GenerateOnce("seed"), GenerateOnce("seed")
	require.Equal(t, one.ID, two.ID)
	require.NotEqual(t, one.Text(), two.Text())
	require.NotEqual(t, one.ID, GenerateOnce("other").ID)
}

// hangUp is a store whose reader's client hangs up while it reads, once.
type hangUp struct {
	*memory
	cancel context.CancelFunc
}

func (h *hangUp) APIKeys(ctx context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error) {
	if h.cancel != nil {
		h.cancel()
		h.cancel = nil
	}
	if ctx.Err() != nil {
		return queue.APIKeyPage{}, ctx.Err()
	}
	return h.memory.APIKeys(ctx, listing)
}

func TestAClientThatHangsUpLeavesNobodyUncertainOfAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &hangUp{memory: &memory{}}
		a := New(store, Options{Interval: time.Hour})
		require.NoError(t, a.Start(t.Context()))
		defer a.Stop()
		time.Sleep(lookUpPause)
		key := store.add(t, "ci", 0)
		ctx, cancel := context.WithCancel(t.Context())
		store.cancel = cancel
		_, _ = a.Authenticate(with(t, Generate()).WithContext(ctx)) // nobody hears what comes of it
		_, err := a.Authenticate(with(t, key))
		require.NoError(t, err)
		requireBad(t, a, with(t, Generate()), "unknown")
	})
}

func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	secret := Generate()
	text, err := Line(&queue.APIKey{
		ID: secret.ID, Hash: secret.Hash, Name: "ci", Scopes: []string{"enqueue"}, Channels: []string{"a"}, Expires: time.Now().Add(time.Hour),
		Limits: queue.APIKeyLimits{Rate: 2.5, Waiting: 7},
	})
	require.NoError(t, err)
	require.NotContains(t, text, "\n")
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte("# keys\n\n"+text+"\r\n"), 0o600))
	m := &memory{}
	stored := m.add(t, "other", 0)
	a := started(t, m, Options{File: file})
	p, err := a.Authenticate(with(t, secret))
	require.NoError(t, err)
	require.Equal(t, &auth.Principal{
		Name: "key:ci", Scopes: auth.Enqueue, Channels: auth.SomeChannels("a"), Limits: auth.Limits{RequestsPerSecond: 2.5, Waiting: 7},
	}, p)
	p, err = a.Authenticate(with(t, stored))
	require.NoError(t, err)
	require.Zero(t, p.Limits)

	// A file that is bad changes nothing.
	require.NoError(t, os.WriteFile(file, []byte("{}\n"), 0o600))
	require.ErrorContains(t, a.ReloadFile(), "line 1: id: must be")
	_, err = a.Authenticate(with(t, secret))
	require.NoError(t, err)
	require.ErrorContains(t, New(m, Options{File: file}).Start(t.Context()), "line 1")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, a.ReloadFile())
	requireBad(t, a, with(t, secret), "unknown")
	require.NoError(t, os.Remove(file))
	require.ErrorContains(t, a.ReloadFile(), "no such file")
}

func TestANameOfTheFileIsNotForKeysOfOtherChannelsInTheStore(t *testing.T) {
	t.Parallel()
	text, err := Line(&queue.APIKey{ID: Generate().ID, Name: "ci", Scopes: []string{"enqueue"}, Channels: []string{"a"}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	m, told := &memory{}, &lines{}
	a := started(t, m, Options{File: file, Logger: told})
	create := func(channels ...string) error {
		add, err := Prepare(Generate(), queue.NewAPIKey{Name: "ci", Scopes: []string{"read"}, Channels: channels})
		require.NoError(t, err)
		_, err = a.CreateAPIKey(t.Context(), add)
		return err
	}
	require.NoError(t, create("b"))
	require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
	require.NoError(t, a.ReloadFile())
	require.Len(t, told.all, 1)
	require.Contains(t, told.all[0], "both called ci")
	for _, channels := range [][]string{{"b"}, {"a", "b"}, nil} {
		require.ErrorIs(t, create(channels...), queue.ErrAPIKeyName)
	}
	m.mu.Lock()
	require.Len(t, m.keys, 1)
	m.mu.Unlock()
	require.NoError(t, create("a"), "so a key of the store takes over from one of the file")
}

func TestBadFilesAreRefused(t *testing.T) {
	t.Parallel()
	good := `{"id":"0123456789abcdef","sha256":"` + strings.Repeat("ab", 32) + `","name":"ci","scopes":["read"]}`
	keys, err := ParseFile(strings.NewReader(good))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	other := strings.Replace(good, "0123", "3210", 1)
	third := strings.Replace(good, "0123", "1111", 1)
	for text, why := range map[string]string{
		good + "\n" + good:                                         "line 2: it has the id of line 1",
		good + "\n\n#\n[]":                                         "line 4: it is not a JSON object",
		good + " {}":                                               "something after",
		good + "\n" + other + "\n" + third:                         "one too many of its name",
		strings.Replace(good, "abab", "ab", 1):                     "sha256: must be 64",
		strings.Replace(good, "abab", "xxab", 1):                   "sha256: must be 64",
		strings.Replace(good, `"read"`, `"root"`, 1):               `scopes: there is no scope "root"`,
		strings.Replace(good, `"ci"`, `"c i"`, 1):                  "name: must be",
		strings.Replace(good, `"ci"`, `"ci","channels":[]`, 1):     "channels: must name at least one",
		strings.Replace(good, `"ci"`, `"ci","channels":null`, 1):   "channels: must name at least one",
		strings.Replace(good, `"ci"`, `"ci","channels":[""]`, 1):   "channels[0]: must be",
		strings.Replace(good, `"ci"`, `"ci","x":1`, 1):             "line 1: it is not a JSON object with",
		strings.Replace(good, `"ci"`, `"ci","rate_limit":-1`, 1):   "rate_limit: must be 0.001 to 1000000",
		strings.Replace(good, `"ci"`, `"ci","max_waiting":1.5`, 1): "it is not a JSON object with",
		Generate().Text():                                          "line 1: it has an API key in it",
		strings.Repeat("a", maxLine+1):                             "too long",
		strings.Repeat("#\n", maxFile/2+1):                         "it is longer than",
	} {
		_, err := ParseFile(strings.NewReader(text))
		require.ErrorContains(t, err, why)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	m := &memory{}
	secret := Generate()
	add, err := Prepare(secret, queue.NewAPIKey{Name: "ci", Scopes: []string{"work"}, Channels: []string{"a"}})
	require.NoError(b, err)
	_, err = m.CreateAPIKey(b.Context(), add)
	require.NoError(b, err)
	a := New(m, Options{})
	require.NoError(b, a.Refresh(b.Context()))
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
	require.NoError(b, err)
	r.Header.Set("Authorization", "Bearer "+secret.Text())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
