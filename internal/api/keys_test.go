package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/queue"
)

// newKeysEdge is a server that asks for the API keys of its store.
func newKeysEdge(t *testing.T) (e *edge, boss string) {
	t.Helper()
	store := newStore(t)
	keys := apikey.New(store, apikey.Options{})
	require.NoError(t, keys.Start(t.Context()))
	t.Cleanup(keys.Stop)
	secret := apikey.Generate()
	add, err := apikey.Prepare(secret, queue.NewAPIKey{Name: "boss", Scopes: []string{"enqueue", "work", "read", "admin"}})
	require.NoError(t, err)
	_, err = keys.CreateAPIKey(t.Context(), add)
	require.NoError(t, err)
	return newEdge(t, store, api.Options{Authenticator: keys, Keys: keys}), secret.Text()
}

// makeKey makes a key as the holder of another one.
func (e *edge) makeKey(by, body string) (id, key string) {
	e.t.Helper()
	got := e.do(as(by, "POST", "/v1/admin/keys", body))
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	require.Equal(e.t, "no-store", got.header.Get("Cache-Control"))
	made := got.json(e.t)
	return made["id"].(string), made["key"].(string)
}

// keyNames are the names of the keys that somebody sees.
func (e *edge) keyNames(by, query string) (names []string, next string) {
	e.t.Helper()
	got := e.do(as(by, "GET", "/v1/admin/keys"+query, ""))
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	list := got.json(e.t)
	for _, key := range list["keys"].([]any) {
		names = append(names, key.(map[string]any)["name"].(string))
	}
	next, _ = list["next_cursor"].(string)
	return names, next
}

func TestKeysAreMadeListedAndRevoked(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	id, key := e.makeKey(boss, `{"name":"ci","scopes":["read","enqueue"],"channels":["b","a"],"expires_in_seconds":60}`)
	require.True(t, strings.HasPrefix(key, "lsk_"+id+"."))
	require.Equal(t, http.StatusOK, e.do(as(key, "GET", "/v1/jobs", "")).status)
	e.problem(e.do(as(key, "GET", "/v1/admin/keys", "")), 403, "scope-missing", "")

	list := e.do(as(boss, "GET", "/v1/admin/keys", ""))
	require.NotContains(t, list.body, key[21:])
	for _, one := range list.json(t)["keys"].([]any) {
		if fields := one.(map[string]any); fields["name"] == "ci" {
			require.Equal(t, id, fields["id"])
			require.Equal(t, []any{"enqueue", "read"}, fields["scopes"])
			require.Equal(t, []any{"a", "b"}, fields["channels"])
			require.Equal(t, false, fields["expired"])
			require.Contains(t, fields, "expires_at")
			require.NotContains(t, fields, "last_used_at")
		} else {
			require.NotContains(t, fields, "channels")
			require.NotContains(t, fields, "expires_at")
		}
	}
	require.Equal(t, http.StatusNoContent, e.do(as(boss, "DELETE", "/v1/admin/keys/"+id, "")).status)
	e.problem(e.do(as(key, "GET", "/v1/jobs", "")), 401, "unauthenticated", "")
	e.problem(e.do(as(boss, "DELETE", "/v1/admin/keys/"+id, "")), 404, "key-not-found", "")
	log := e.log.String()
	require.NotContains(t, log, key[21:])
	require.NotContains(t, log, boss[21:])
}

func TestAChangeOfAKeyIsOneLineOfTheLogThatNamesIt(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	id, _ := e.makeKey(boss, `{"name":"ci","scopes":["read"],"channels":["b","a"]}`)
	require.Equal(t, http.StatusNoContent, e.do(as(boss, "DELETE", "/v1/admin/keys/"+id, "")).status)
	lines := e.log.lines(t, "audit")
	require.Len(t, lines, 2)
	for i, operation := range []string{"createKey", "revokeKey"} {
		for field, want := range map[string]string{
			"audit": operation, "principal": "key:boss", "key": id, "name": "ci", "scopes": "read", "channels": "a,b",
		} {
			require.Equal(t, want, lines[i][field], "%s of %s", field, operation)
		}
		require.NotContains(t, lines[i], "jobs")
	}
	require.Equal(t, 4, strings.Count(e.log.String(), "\n"), "besides those of the requests:\n%s", e.log)
}

// Without authentication anybody may make keys, so that it must not go unseen.
func TestAKeyThatNobodyKnowsTheMakerOfIsInTheLog(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id, _ := e.makeKey("", `{"name":"first","scopes":["admin"]}`)
	lines := e.log.lines(t, "audit")
	require.Len(t, lines, 1)
	require.Equal(t, id, lines[0]["key"])
	require.NotContains(t, lines[0], "principal")
}

func TestKeysAreListedInPages(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		e.makeKey(boss, `{"name":"`+name+`","scopes":["read"]}`)
	}
	var all []string
	for query, more := "?limit=2", true; more; {
		names, next := e.keyNames(boss, query)
		all = append(all, names...)
		query, more = "?limit=2&cursor="+next, next != ""
	}
	require.ElementsMatch(t, []string{"boss", "a", "b", "c", "d"}, all)
	e.problem(e.do(as(boss, "GET", "/v1/admin/keys?cursor=x", "")), 400, "invalid-request", "cursor")
}

func TestAKeyIsForNoMoreThanTheCredentialThatMakesIt(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	_, some := e.makeKey(boss, `{"name":"some","scopes":["admin","read"],"channels":["a","b"]}`)
	const path = "/v1/admin/keys"
	e.problem(e.do(as(some, "POST", path, `{"name":"x","scopes":["work","read"],"channels":["a"]}`)), 403, "scope-missing", "scopes")
	for _, channels := range []string{``, `,"channels":[]`, `,"channels":["c"]`, `,"channels":["a","c"]`} {
		e.problem(e.do(as(some, "POST", path, `{"name":"x","scopes":["read"]`+channels+`}`)), 403, "channel-forbidden", "channels")
	}
	_, own := e.makeKey(some, `{"name":"own","scopes":["admin"],"channels":["a"]}`)

	// Nor does anybody see or revoke those of others, or make a second key of their name.
	foreign, _ := e.makeKey(boss, `{"name":"foreign","scopes":["read"],"channels":["a","c"]}`)
	names, _ := e.keyNames(some, "")
	require.ElementsMatch(t, []string{"some", "own"}, names)
	names, _ = e.keyNames(own, "")
	require.Equal(t, []string{"own"}, names)
	absent := e.do(as(own, "DELETE", path+"/nothing", ""))
	refused := e.do(as(own, "DELETE", path+"/"+foreign, ""))
	e.problem(refused, 404, "key-not-found", "")
	require.Equal(t, plain(absent), plain(refused))
	e.problem(e.do(as(own, "POST", path, `{"name":"foreign","scopes":["admin"],"channels":["a"]}`)), 409, "key-name-taken", "name")
	ownID := own[4:20]
	require.Equal(t, http.StatusNoContent, e.do(as(some, "DELETE", path+"/"+ownID, "")).status)
}

func TestAKeyHasTheLimitsThatItWasMadeWith(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	id, key := e.makeKey(boss, `{"name":"slow","scopes":["read","work"],"rate_limit":0.001,"max_waiting":3}`)
	var seen map[string]any
	for _, one := range e.do(as(boss, "GET", "/v1/admin/keys", "")).json(t)["keys"].([]any) {
		if fields := one.(map[string]any); fields["id"] == id {
			seen = fields
		} else {
			require.NotContains(t, fields, "rate_limit")
			require.NotContains(t, fields, "max_waiting")
		}
	}
	require.Equal(t, 0.001, seen["rate_limit"])
	require.Equal(t, 3.0, seen["max_waiting"])
	require.Equal(t, http.StatusOK, e.do(as(key, "GET", "/v1/queues", "")).status)
	e.problem(e.do(as(key, "GET", "/v1/queues", "")), 429, "rate-limited", "")
	require.Equal(t, http.StatusOK, e.do(as(boss, "GET", "/v1/queues", "")).status)
}

func TestAKeyOfSomebodyForSomeChannelsHasTheirLimits(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	_, some := e.makeKey(boss, `{"name":"some","scopes":["admin"],"channels":["a","b"],"rate_limit":1000,"max_waiting":4}`)
	for field, body := range map[string]string{"rate_limit": `"rate_limit":1`, "max_waiting": `"max_waiting":1`} {
		e.problem(e.do(as(some, "POST", "/v1/admin/keys", `{"name":"x","scopes":["admin"],"channels":["a"],`+body+`}`)), 403, "channel-forbidden", field)
	}
	made := e.do(as(some, "POST", "/v1/admin/keys", `{"name":"own","scopes":["admin"],"channels":["a"]}`)).json(t)
	require.Equal(t, 1000.0, made["rate_limit"])
	require.Equal(t, 4.0, made["max_waiting"])
}

func TestAnIdempotencyKeyMakesOneKey(t *testing.T) {
	t.Parallel()
	e, boss := newKeysEdge(t)
	ask := func(by, key, body string) answer {
		r := as(by, "POST", "/v1/admin/keys", body)
		r.Header.Set("Idempotency-Key", key)
		return e.do(r)
	}
	body := `{"name":"ci","scopes":["admin"]}`
	first := ask(boss, "one", body)
	require.Equal(t, http.StatusCreated, first.status)
	made := first.json(t)
	again := ask(boss, "one", body)
	e.problem(again, 409, "key-exists", "")
	require.Contains(t, again.body, made["id"])
	names, _ := e.keyNames(boss, "")
	require.ElementsMatch(t, []string{"boss", "ci"}, names)
	// It is each principal's own, and that of a call.
	require.Equal(t, http.StatusCreated, ask(made["key"].(string), "one", `{"name":"x","scopes":["admin"]}`).status)
	require.Equal(t, http.StatusCreated, ask(boss, "two", body).status)
	e.problem(ask(boss, "three", body), 409, "key-name-taken", "name")
}

func TestBadKeysAreNotMade(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for body, field := range map[string]string{
		`{}`:                                   "name",
		`{"name":"a"}`:                         "scopes",
		`{"name":"a","scopes":[]}`:             "scopes",
		`{"name":"a","scopes":["root"]}`:       "scopes",
		`{"name":"a b","scopes":["read"]}`:     "name",
		`{"name":"a","scopes":["read"],"x":1}`: "x",
		`{"name":"a","scopes":["read"],"channels":["a","*"]}`:      "channels[1]",
		`{"name":"a","scopes":["read"],"channels":[]}`:             "channels",
		`{"name":"a","scopes":["read"],"expires_in_seconds":0}`:    "expires_in_seconds",
		`{"name":"a","scopes":["read"],"expires_in_seconds":1e99}`: "expires_in_seconds",
		`{"name":"a","scopes":["read"],"rate_limit":0}`:            "rate_limit",
		`{"name":"a","scopes":["read"],"rate_limit":1e7}`:          "rate_limit",
		`{"name":"a","scopes":["read"],"max_waiting":0}`:           "max_waiting",
		`{"name":"a","scopes":["read"],"max_waiting":1.5}`:         "max_waiting",
	} {
		e.problem(e.send("POST", "/v1/admin/keys", body), 400, "invalid-request", field)
	}
	names, _ := e.keyNames("", "")
	require.Empty(t, names)
	// Nobody is asked who they are, so anybody may make the first key.
	e.makeKey("", `{"name":"a","scopes":["admin"]}`)
	names, _ = e.keyNames("", "")
	require.Equal(t, []string{"a"}, names)
}

func TestWhereNoKeysAreKeptNoneAreMade(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{Authenticator: credentials{principals: map[string]*auth.Principal{
		"a": {Name: "test:a", Scopes: auth.Admin, Channels: auth.AllChannels()},
	}}})
	e.problem(e.do(as("a", "POST", "/v1/admin/keys", `{"name":"a","scopes":["admin"]}`)), 503, "unavailable", "")
	e.problem(e.do(as("a", "GET", "/v1/admin/keys", "")), 503, "unavailable", "")
	e.problem(e.do(as("a", "DELETE", "/v1/admin/keys/a", "")), 503, "unavailable", "")
}
