package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// everything is all scopes.
const everything = auth.Enqueue | auth.Work | auth.Read | auth.Admin

// newTenantsEdge returns an API whose callers have every scope: "a" and "b" in the channel of their
// name, "ab" in both, "a-default" in a and the default one, "none" in none, and "all" in all.
func newTenantsEdge(t *testing.T) *edge {
	t.Helper()
	return newEngineEdge(t, api.Options{Authenticator: credentials{principals: map[string]*auth.Principal{
		"a":         {Name: "test:a", Scopes: everything, Channels: auth.SomeChannels("a")},
		"b":         {Name: "test:b", Scopes: everything, Channels: auth.SomeChannels("b")},
		"ab":        {Name: "test:ab", Scopes: everything, Channels: auth.SomeChannels("a", "b")},
		"a-default": {Name: "test:a-default", Scopes: everything, Channels: auth.SomeChannels("a", queue.DefaultChannel)},
		"none":      {Name: "test:none", Scopes: everything},
		"all":       {Name: "test:all", Scopes: everything, Channels: auth.AllChannels()},
	}}})
}

// create creates a job, and returns its id.
func (e *edge) createAs(who, body string) uuid.UUID {
	e.t.Helper()
	got := e.do(as(who, "POST", "/v1/jobs", body))
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	return uuid.MustParse(got.json(e.t)["id"].(string))
}

func TestCredentialDecidesTheChannelOfAJob(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	for _, c := range []struct {
		who, named string
		want       string // the channel; or a code
	}{
		{"a", "", "a"},
		{"a", "a", "a"},
		{"a", "b", "channel-forbidden"},
		{"a", "no-such", "channel-forbidden"},
		{"a", queue.DefaultChannel, "channel-forbidden"},
		{"ab", "b", "b"},
		{"ab", "", "invalid-request"},
		{"a-default", "", queue.DefaultChannel},
		{"none", "", "channel-forbidden"},
		{"all", "", queue.DefaultChannel},
		{"all", "any", "any"},
	} {
		body := `{"type":"x"}`
		if c.named != "" {
			body = `{"type":"x","channel":"` + c.named + `"}`
		}
		got := e.do(as(c.who, "POST", "/v1/jobs", body))
		if got.status == http.StatusCreated {
			require.Equal(t, c.want, got.json(t)["channel"], "%s naming %q", c.who, c.named)
			continue
		}
		require.Equal(t, c.want, got.json(t)["code"], "%s naming %q", c.who, c.named)
		require.Equal(t, "channel", got.json(t)["field"])
		got = e.do(as(c.who, "POST", "/v1/jobs/batch", `{"jobs":[`+body+`]}`))
		require.Equal(t, c.want, got.json(t)["code"], "%s naming %q", c.who, c.named)
		require.Equal(t, "jobs[0].channel", got.json(t)["field"])
	}
}

func TestWorkerLooksInTheChannelsOfItsCredential(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	for _, channel := range []string{"a", "b", queue.DefaultChannel} {
		e.createAs("all", `{"type":"x","channel":"`+channel+`"}`)
	}
	leased := func(who, body string) any {
		got := e.do(as(who, "POST", "/v1/dequeue", body))
		switch got.status {
		case http.StatusNoContent:
			return nil
		case http.StatusCreated:
			return got.json(t)["channel"]
		default:
			return got.json(t)["code"]
		}
	}
	require.Equal(t, "channel-forbidden", leased("a", `{"types":["x"],"channels":["a","b"]}`))
	require.Equal(t, "channel-forbidden", leased("none", `{"types":["x"]}`))
	require.Equal(t, "b", leased("b", `{"types":["x"]}`))
	require.Nil(t, leased("b", `{"types":["x"]}`))
	require.Equal(t, "a", leased("ab", `{"types":["x"]}`))
	require.Equal(t, queue.DefaultChannel, leased("all", `{"types":["x"]}`))
}

func TestIdempotencyKeysOfTwoPrincipalsDoNotMeet(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	create := func(who string) any {
		r := as(who, "POST", "/v1/jobs", `{"type":"x","channel":"a"}`)
		r.Header.Set("Idempotency-Key", "k")
		got := e.do(r)
		require.Equal(t, http.StatusCreated, got.status, got.body)
		return got.json(t)["id"]
	}
	a, ab := create("a"), create("ab")
	require.NotEqual(t, a, ab)
	require.Equal(t, a, create("a"))
	require.Equal(t, ab, create("ab"))
}

// A principal whose channels have changed repeats a call: what it was answered then is not for it now.
func TestRepeatedCallShowsNothingOfAChannelThatWasTaken(t *testing.T) {
	t.Parallel()
	known := credentials{principals: map[string]*auth.Principal{"p": {Name: "test:p", Scopes: everything, Channels: auth.SomeChannels("a")}}}
	e := newEngineEdge(t, api.Options{Authenticator: known})
	repeated := func(path, body string) answer {
		r := as("p", "POST", path, body)
		r.Header.Set("Idempotency-Key", "k")
		return e.do(r)
	}
	require.Equal(t, http.StatusCreated, repeated("/v1/jobs", `{"type":"x"}`).status)
	require.Equal(t, http.StatusCreated, repeated("/v1/dequeue", `{"types":["x"]}`).status)
	known.principals["p"] = &auth.Principal{Name: "test:p", Scopes: everything, Channels: auth.SomeChannels("b")}
	e.problem(repeated("/v1/jobs", `{"type":"x"}`), 409, "job-deleted", "")
	e.problem(repeated("/v1/dequeue", `{"types":["x"]}`), 409, "lease-lost", "")
}

func TestForeignDependentsAreNotShown(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	id := e.createAs("a", `{"type":"x"}`)
	own := e.createAs("a", `{"type":"x","dependencies":["`+id.String()+`"]}`)
	e.createAs("ab", `{"type":"x","channel":"b","dependencies":["`+id.String()+`"]}`)
	for who, want := range map[string]int{"a": 1, "ab": 2, "all": 2} {
		got := e.do(as(who, "GET", "/v1/jobs/"+id.String(), "")).json(t)
		require.Len(t, got["dependents"], want, who)
		require.Contains(t, got["dependents"], own.String())
		jobs := e.do(as(who, "GET", "/v1/jobs?order=oldest", "")).json(t)["jobs"].([]any)
		require.Len(t, jobs[0].(map[string]any)["dependents"], want, who)
	}
}

func TestEventsOfOthersAreNeitherSeenNorCounted(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	open := func(lastID string) *eventReader {
		r := as("a", "GET", server.URL+"/v1/events", "")
		r.RequestURI = ""
		if lastID != "" {
			r.Header.Set("Last-Event-ID", lastID)
		}
		resp, err := server.Client().Do(r.WithContext(t.Context()))
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != http.StatusOK {
			return nil
		}
		return newEventReader(t, e, resp)
	}
	reader := open("")
	for _, line := range []string{"retry: 1000", ""} {
		require.True(t, reader.lines.Scan())
		require.Equal(t, line, reader.lines.Text(), "where it begins: two that begin would tell whether others did anything between")
	}
	for range 10 {
		e.createAs("b", `{"type":"x"}`)
	}
	first := e.createAs("a", `{"type":"x"}`)
	e.createAs("b", `{"type":"x"}`)
	second := e.createAs("a", `{"type":"x"}`)
	got := reader.requireNext("job", first.String(), "pending")
	reader.requireNext("job", second.String(), "pending")
	require.Regexp(t, `^[0-9a-f]{32}$`, got.id, "an id that counts")
	open(got.id).requireNext("job", second.String(), "pending")
	for _, id := range []string{"1-1", strings.Repeat("z", 32)} {
		require.Nil(t, open(id), "an id that counts can be tried")
	}
	open(strings.Repeat("0", 32)).next() // one of another server has missed everything
}

// Whoever leases a job is told with its attempts and with what is held: by its credential, whatever it
// calls itself.
func TestLeasesNameThePrincipal(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	ids := make([]uuid.UUID, 3)
	for i := range ids {
		ids[i] = e.createAs("a", `{"type":"t"}`)
	}
	for i, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/dequeue", `{"types":["t"],"channels":["a"],"worker":"test:all"}`, http.StatusCreated},
		{"/v1/jobs/" + ids[1].String() + "/dequeue", `{"worker":"test:all"}`, http.StatusCreated},
		{"/v1/dequeue/batch", `{"types":["t"],"channels":["a"],"worker":"test:all","max":1}`, http.StatusOK},
	} {
		got := e.do(as("ab", "POST", c.path, c.body))
		require.Equal(t, c.status, got.status, got.body)
		got = e.do(as("a", "GET", "/v1/jobs/"+ids[i].String()+"/attempts", ""))
		require.Equal(t, http.StatusOK, got.status, got.body)
		attempt := got.json(t)["attempts"].([]any)[0].(map[string]any)
		require.Equal(t, "test:ab", attempt["principal"])
		require.Equal(t, "test:all", attempt["worker"])
		require.Equal(t, http.StatusNotFound, e.do(as("b", "GET", "/v1/jobs/"+ids[i].String()+"/attempts", "")).status)
	}
	worker := e.do(as("a", "GET", "/v1/workers", "")).json(t)["workers"].([]any)[0].(map[string]any)
	require.Equal(t, "test:all", worker["worker"])
	require.Len(t, worker["leases"], len(ids))
	for _, held := range worker["leases"].([]any) {
		require.Equal(t, "test:ab", held.(map[string]any)["principal"])
	}
}

func TestLeasesNameNobodyWhereNobodyIsAsked(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := e.create(`{"type":"t"}`)["id"].(string)
	e.lease(`{"types":["t"],"worker":"w"}`)
	for _, path := range []string{"/v1/jobs/" + id + "/attempts", "/v1/workers"} {
		got := e.do(as("", "GET", path, ""))
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.NotContains(t, got.body, "principal")
	}
}
