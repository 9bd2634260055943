package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// The channels of a world.
const (
	ownChannel     = "own"
	secondChannel  = "second"
	foreignChannel = "foreign"
	absentChannel  = "absent"
)

// world is a server with jobs of several tenants.
type world struct {
	*edge
	known credentials
	// Jobs and tokens by what they are: "foreign pending" and so on.
	jobs   map[string]uuid.UUID
	tokens map[string]uuid.UUID
}

// newWorld returns a world in which the channels given have a job in every state, with leases that
// ended in every way, of the same types, unique keys, idempotency keys and workers.
func newWorld(t *testing.T, q api.Queue, channels ...string) *world {
	t.Helper()
	w := &world{
		known: credentials{principals: make(map[string]*auth.Principal)}, jobs: make(map[string]uuid.UUID), tokens: make(map[string]uuid.UUID),
	}
	for scopes := range auth.Scopes(16) {
		w.known.principals[fmt.Sprintf("own %d", scopes)] = &auth.Principal{Name: "test:own", Scopes: scopes, Channels: auth.SomeChannels(ownChannel)}
		w.known.principals[fmt.Sprintf("two %d", scopes)] = &auth.Principal{
			Name: "test:two", Scopes: scopes, Channels: auth.SomeChannels(ownChannel, secondChannel),
		}
	}
	w.edge = newEdge(t, q, api.Options{Authenticator: w.known})
	for _, channel := range channels {
		w.populate(t, q, channel)
	}
	return w
}

func (w *world) populate(t *testing.T, q api.Queue, channel string) {
	t.Helper()
	ctx := t.Context()
	add := func(name string, job queue.NewJob) uuid.UUID {
		job.Type, job.Channel = name, channel
		added, err := q.EnqueueOnce(ctx, []queue.NewJob{job}, queue.Once{Key: "createJob " + name + " test:" + channel})
		require.NoError(t, err)
		w.jobs[channel+" "+name] = added[0].ID
		return added[0].ID
	}
	lease := func(name string) uuid.UUID {
		look, cancel := context.WithDeadline(ctx, time.Now())
		defer cancel()
		l, err := q.Dequeue(look, queue.DequeueRequest{Types: []string{name}, Channels: []string{channel}, Worker: "worker"})
		require.NoError(t, err)
		w.tokens[channel+" "+name] = l.Token
		return l.Token
	}
	pending := add("pending", queue.NewJob{UniqueKey: "one", Labels: map[string]string{"a": "b"}})
	add("scheduled", queue.NewJob{Delay: time.Hour})
	add("blocked", queue.NewJob{Dependencies: []uuid.UUID{pending}})
	add("running", queue.NewJob{})
	lease("running")
	for _, name := range []string{"finished", "failed", "canceled", "released"} {
		id := add(name, queue.NewJob{Priority: 1})
		var err error
		switch token := lease(name); name {
		case "finished":
			_, err = q.RequeueOrFinishJob(ctx, token, 0, queue.Outcome{Result: []byte(`"` + channel + `"`)})
		case "failed":
			_, err = q.Fail(ctx, token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
		case "canceled":
			err = q.CancelJob(ctx, id)
		default:
			_, err = q.Release(ctx, token, 0)
		}
		require.NoError(t, err)
	}
}

// target is what a request is about.
type target struct {
	job, token uuid.UUID
	channel    string
}

// request is one that an operation of the contract can get.
type request struct{ target, body string }

// requestsAbout are requests for an operation about a target, each of which a caller must be refused
// who may not see it, or be answered as if it were not there.
func requestsAbout(op contractOperation, of target) []request {
	path := strings.NewReplacer("{id}", of.job.String(), "{token}", of.token.String(), "{code}", "internal", "{key}", "key-of-"+of.channel).Replace(op.path)
	id, token := `"`+of.job.String()+`"`, `"`+of.token.String()+`"`
	filter := request{path, `{"dry_run":true,"filter":{"channels":["` + of.channel + `"]}}`}
	switch op.id {
	case "createJob":
		return []request{
			{path, `{"type":"x","dependencies":[` + id + `]}`},
			{path, `{"type":"x","channel":"` + ownChannel + `","dependencies":[` + id + `,` + id + `]}`},
			{path, `{"type":"x","channel":"` + of.channel + `"}`},
		}
	case "createJobs":
		return []request{
			{path, `{"jobs":[{"type":"x"},{"type":"x","dependencies":[` + id + `]}]}`},
			{path, `{"jobs":[{"name":"a","type":"x","dependencies":[` + id + `]},{"type":"x","needs":["b"]}]}`},
			{path, `{"jobs":[{"type":"x"},{"type":"x","channel":"` + of.channel + `"}]}`},
		}
	case "createKey":
		return []request{
			{path, `{"name":"mine","scopes":["admin"],"channels":["` + of.channel + `"]}`},
			{path, `{"name":"mine","scopes":["admin"],"channels":["` + ownChannel + `","` + of.channel + `"]}`},
			{path, `{"name":"mine","scopes":["admin"]}`},
		}
	case "cancelJobs", "retryJobs", "deleteJobs":
		return []request{filter, {path, strings.Replace(filter.body, `"dry_run":true,`, "", 1)}}
	case "waitForJobs":
		return []request{{path, `{"ids":[` + id + `]}`}, {path, `{"ids":[` + id + `],"wait_seconds":0.2}`}}
	case "updateJob":
		return []request{{path, `{"priority":1}`}, {path, `{}`}, {path, `{"run_at":null}`}}
	case "getJob":
		return []request{{path, ""}, {path + "?wait_seconds=0.2", ""}}
	case "dequeue":
		return []request{
			{path, `{"types":["pending"],"channels":["` + of.channel + `"]}`},
			{path, `{"types":["none"],"finish":{"token":` + token + `,"result":1}}`},
		}
	case "dequeueBatch":
		return []request{
			{path, `{"types":["pending"],"max":5,"channels":["` + of.channel + `"]}`},
			{path, `{"types":["none"],"max":5,"finish":[{"token":` + token + `,"result":1}]}`},
			{path, `{"types":["none"],"max":5,"finish":[{"token":` + token + `,"error":{"reason":"r"}}]}`},
		}
	case "heartbeats":
		return []request{{path, `{"heartbeats":[{"token":` + token + `},{"token":"` + uuid.Max.String() + `","progress":{"percent":1}}]}`}}
	case "heartbeat":
		return []request{{path, ""}, {path, `{"progress":{"percent":1}}`}, {path, `{"wait_seconds":0.2}`}}
	case "finishLease":
		return []request{{path, `{"result":1}`}, {path, `{"result":"` + foreignChannel + `"}`}}
	case "failLease":
		return []request{{path, `{"error":{"reason":"broken"}}`}}
	case "releaseLease":
		return []request{{path, ""}, {path, `{"delay_seconds":1}`}}
	case "listJobs", "listQueues":
		return []request{{path + "?channel=" + of.channel, ""}, {path + "?limit=1&channel=" + of.channel + ",other", ""}}
	case "getDemand":
		return []request{{path + "?types=pending&channels=" + of.channel, ""}}
	case "streamEvents":
		return []request{{path + "?no=such", ""}} // has no end: see the test of its own
	default:
		return []request{{path, ""}}
	}
}

// varying is what differs from one call to the other, and what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`lsk_[\w.-]+|"id":"[0-9a-v]{16}"`), "KEY"},
	{regexp.MustCompile(`"next_cursor":"[^"]*"`), "CURSOR"},
	{regexp.MustCompile(`\d+\.\d+(e-?\d+)?|\d+e-?\d+`), "MEASURED"},
}

// plain is an answer without what differs from one call to the other: ids, tokens, times, and
// what is measured.
func plain(got answer) string {
	text := unnumbered(got)
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return text
}

// unnumbered is an answer without the id of its request.
func unnumbered(got answer) string {
	got.header.Del("Content-Length") // a time has as many digits as it needs
	return strings.ReplaceAll(fmt.Sprint(got.status, got.header, got.body), got.header.Get("X-Request-Id"), "REQUEST")
}

// requireAlike requires that two answers differ in nothing but what plain leaves out.
func requireAlike(t *testing.T, want, got answer, about string, args ...any) {
	t.Helper()
	if unnumbered(want) != unnumbered(got) { // most are the same, and patterns are slow
		require.Equalf(t, plain(want), plain(got), about, args...)
	}
}

// Of every operation, with every set of scopes: what is somebody else's is answered as what is
// not there, to the byte, and changes nothing.
func TestForeignIsAnsweredAsAbsent(t *testing.T) {
	t.Parallel()
	onEveryEngine(t, foreignIsAnsweredAsAbsent)
}

func foreignIsAnsweredAsAbsent(t *testing.T, open func() api.Queue) {
	t.Helper()
	store := open()
	w := newWorld(t, store, ownChannel, secondChannel, foreignChannel)
	before := snapshot(t, store, foreignChannel)
	tokens := make([]string, 0, len(w.tokens))
	for name := range w.tokens {
		if strings.HasPrefix(name, foreignChannel) {
			tokens = append(tokens, name)
		}
	}
	slices.Sort(tokens)
	for _, op := range contractOperations(t) {
		for _, who := range []string{"own", "two"} {
			n := 0
			for _, name := range slices.Sorted(maps.Keys(w.jobs)) {
				if !strings.HasPrefix(name, foreignChannel) {
					continue
				}
				foreign := target{w.jobs[name], w.tokens[tokens[n%len(tokens)]], foreignChannel}
				absent := target{uuid.New(), uuid.New(), absentChannel}
				for scopes := range auth.Scopes(16) {
					if n > 0 && scopes != 15 {
						continue // one of the jobs is enough for these
					}
					token := fmt.Sprintf("%s %d", who, scopes)
					asked := requestsAbout(op, absent)
					for i, r := range requestsAbout(op, foreign) {
						want, got := w.do(as(token, op.method, asked[i].target, asked[i].body)), w.do(as(token, op.method, r.target, r.body))
						requireAlike(t, want, got, "%s as %s about %s: %s %s", op.id, token, name, r.target, r.body)
						if !op.public && op.scopes&^scopes != 0 {
							w.problem(got, http.StatusForbidden, "scope-missing", "")
						}
					}
				}
				n++
			}
			require.Positive(t, n)
		}
	}
	require.Equal(t, before, snapshot(t, store, foreignChannel))
}

// snapshot is what an operator sees of a channel.
func snapshot(t *testing.T, q api.Queue, channel string) []queue.ListedJob {
	t.Helper()
	page, err := q.ListJobs(t.Context(), queue.Listing{Filter: queue.Filter{Channels: []string{channel}}, Limit: 100})
	require.NoError(t, err)
	require.NotEmpty(t, page.Jobs)
	return page.Jobs
}

// Two worlds, in one of which there are others too: whoever does the same in both is answered the
// same, to the byte.
func TestOthersMakeNoDifference(t *testing.T) {
	t.Parallel()
	onEveryEngine(t, othersMakeNoDifference)
}

func othersMakeNoDifference(t *testing.T, open func() api.Queue) {
	t.Helper()
	quiet, busy := open(), open()
	alone := newWorld(t, quiet, ownChannel)
	among := newWorld(t, busy, foreignChannel, ownChannel, "default", "more")
	among.populate(t, busy, "later")
	for _, name := range []string{"pending", "running", "finished", "failed", "canceled", "released", "blocked", "scheduled"} {
		t.Log(name)
		of := [2]target{
			{alone.jobs[ownChannel+" "+name], alone.tokens[ownChannel+" "+name], ownChannel},
			{among.jobs[ownChannel+" "+name], among.tokens[ownChannel+" "+name], ownChannel},
		}
		operations := contractOperations(t)
		slices.SortFunc(operations, func(a, b contractOperation) int { return strings.Compare(a.id, b.id) })
		for _, op := range operations {
			if op.id == "getOpenAPIJSON" || op.id == "getOpenAPIYAML" {
				continue
			}
			asked := requestsAbout(op, of[1])
			for i, r := range requestsAbout(op, of[0]) {
				want := alone.do(as("own 15", op.method, r.target, r.body))
				got := among.do(as("own 15", op.method, asked[i].target, asked[i].body))
				requireAlike(t, want, got, "%s about %s: %s %s", op.id, name, r.target, r.body)
			}
		}
		for _, r := range []request{
			{"/v1/jobs", ""}, {"/v1/jobs?limit=1", ""}, {"/v1/jobs?order=oldest&limit=3", ""}, {"/v1/queues", ""}, {"/v1/queues?limit=2", ""},
			{"/v1/workers", ""}, {"/v1/demand?types=pending,released", ""},
		} {
			require.Equal(t, pages(alone, r.target), pages(among, r.target), "%s after %s", r.target, name)
		}
	}
}

// pages are all pages of a list, as its caller sees them.
func pages(w *world, path string) (all []string) {
	cursor := ""
	for range 100 {
		got := w.do(as("own 15", "GET", path+cursor, ""))
		all = append(all, plain(got))
		next, more := got.json(w.t)["next_cursor"].(string)
		if !more {
			return all
		}
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		cursor = separator + "cursor=" + next
	}
	require.Fail(w.t, "the list has no end")
	return nil
}
