package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// exchange reports and asks for leases, and returns the entries of both lists of the answer.
func (e *edge) exchange(body string, header ...string) (finished, leases []map[string]any) {
	e.t.Helper()
	got := e.with("POST", "/v1/dequeue/batch", body, header...)
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	var lists struct{ Finished, Leases []map[string]any }
	require.NoError(e.t, json.Unmarshal([]byte(got.body), &lists))
	require.NotNil(e.t, lists.Finished, got.body)
	require.NotNil(e.t, lists.Leases, got.body)
	return lists.Finished, lists.Leases
}

// report is an item about a lease, with more members.
func report(lease map[string]any, members string) string {
	return fmt.Sprintf(`{"token":%q%s}`, lease["token"], members)
}

func outcome(lease map[string]any, state string) map[string]any {
	return map[string]any{"token": lease["token"], "state": state}
}

func TestDequeueBatch(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	jobs := make([]map[string]any, 5)
	for i := range jobs {
		jobs[i] = e.create(fmt.Sprintf(`{"type":"t","channel":"acme","args":%d,"retry":{"max_attempts":2,"initial_seconds":0}}`, i))
	}
	const ask = `{"types":["t","u"],"channels":["acme"],"worker":"rack4","max":2`
	finished, first := e.exchange(ask + `}`)
	require.Empty(t, finished)
	require.Len(t, first, 2)
	for i, lease := range first {
		require.Equal(t, jobs[i]["id"], lease["id"])
		require.Equal(t, lease, e.send("GET", "/v1/leases/"+lease["token"].(string), "").json(t), "as the single call shows it")
		require.Equal(t, "rack4", e.job(lease["id"])["worker"])
	}
	body := ask + `,"finish":[` + report(first[0], `,"error":{"reason":"no-space","details":[1]}`) + `,` + report(first[1], `,"result":{"a":"\u0000"}`) + `]}`
	finished, second := e.exchange(body)
	require.Equal(t, []map[string]any{outcome(first[0], "failed"), outcome(first[1], "finished")}, finished)
	require.Len(t, second, 2)
	require.Equal(t, jobs[2]["id"], second[0]["id"])
	require.Equal(t, map[string]any{"reason": "no-space", "details": []any{1.0}}, e.job(jobs[0]["id"])["error"])
	require.Equal(t, map[string]any{"a": "\u0000"}, e.job(jobs[1]["id"])["result"])

	finished, third := e.exchange(body)
	require.Equal(t, []map[string]any{outcome(first[0], "failed"), outcome(first[1], "finished")}, finished, "the same again")
	require.Len(t, third, 1)
	finished, none := e.exchange(ask + `,"finish":[` + report(third[0], ``) + `,` + report(second[0], `,"error":{"reason":"x"},"retryable":true,"retry_after_seconds":3600`) + `]}`)
	require.Equal(t, []map[string]any{outcome(third[0], "finished"), outcome(second[0], "scheduled")}, finished)
	require.Empty(t, none)
	require.Nil(t, e.job(third[0]["id"])["result"])
}

// Each report is answered as it would be alone, and none harms another.
func TestEachReportHasItsOwnOutcome(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{MaxResultBytes: 100})
	for range 11 {
		e.create(`{"type":"t"}`)
	}
	_, leases := e.exchange(`{"types":["t"],"max":10}`)
	e.send("POST", "/v1/jobs/"+leases[0]["id"].(string)+"/cancel", "")
	e.on(leases[1], "release", `{"delay_seconds":3600}`)
	e.on(leases[2], "finish", `{"result":1}`)
	unknown := map[string]any{"token": uuid.NewString()}
	cases := []struct {
		lease             map[string]any
		members, alone    string // in the batch, and of the call alone
		operation, state  string
		code, says, field string
	}{
		{lease: leases[0], operation: "finish", code: "job-canceled"},
		{lease: leases[1], operation: "finish", code: "lease-lost"},
		{lease: leases[2], members: `,"result":2`, alone: `"result":2`, operation: "finish", code: "already-reported"},
		{lease: unknown, operation: "finish", code: "lease-not-found"},
		{lease: leases[3], members: `,"error":{"reason":"timeout"}`, alone: `"error":{"reason":"timeout"}`, operation: "fail", code: "invalid-request"},
		{lease: leases[4], members: `,"result":` + sized(101), alone: `"result":` + sized(101), operation: "finish", code: "value-too-large"},
		{lease: leases[5], members: `,"error":{"reason":"x","details":` + sized(101) + `}`, alone: `"error":{"reason":"x","details":` + sized(101) + `}`, operation: "fail", code: "value-too-large"},
		{lease: leases[6], members: `,"result":1,"error":{"reason":"x"}`, code: "invalid-request", says: "result: makes no sense together with error"},
		{lease: leases[7], members: `,"retryable":true`, code: "invalid-request", says: "retryable: makes no sense without error"},
		{lease: leases[8], members: `,"retry_after_seconds":1`, code: "invalid-request", says: "retry_after_seconds: makes no sense without error"},
		{lease: leases[9], members: `,"result":` + sized(100), state: "finished"},
	}
	items := make([]string, len(cases))
	for i, c := range cases {
		items[i] = report(c.lease, c.members)
	}
	finished, next := e.exchange(`{"types":["t"],"max":1,"finish":[` + strings.Join(items, ",") + `]}`)
	require.Len(t, finished, len(cases))
	require.Len(t, next, 1)
	for i, c := range cases {
		want := map[string]any{"token": c.lease["token"]}
		switch {
		case c.state != "":
			want["state"] = c.state
		case c.operation != "":
			alone := e.on(c.lease, c.operation, "{"+c.alone+"}").json(t)
			require.Equal(t, c.code, alone["code"])
			want["code"], want["detail"] = c.code, alone["detail"]
		default:
			want["code"], want["detail"] = c.code, c.says
		}
		require.Equal(t, want, finished[i])
		if i >= 4 && c.code != "" {
			require.Equal(t, "running", e.job(c.lease["id"])["state"], "nothing was changed")
		}
	}
	require.NotContains(t, e.log.String(), leases[9]["token"])
}

// What is wrong with the body as a whole names the field, and changes nothing.
func TestBadExchanges(t *testing.T) {
	t.Parallel()
	const token, other = "5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10", "5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d11"
	one := func(members string) string { return `{"types":["t"],"max":1,"finish":[` + members + `]}` }
	for _, c := range []struct{ name, body, field string }{
		{"no body", ``, ""},
		{"no types", `{"max":1}`, "types"},
		{"empty types", `{"types":[],"max":1}`, "types"},
		{"bad type", `{"types":["t",""],"max":1}`, "types[1]"},
		{"no channel", `{"types":["t"],"max":1,"channels":[]}`, "channels"},
		{"bad worker", `{"types":["t"],"max":1,"worker":"\u0000"}`, "worker"},
		{"bad wait", `{"types":["t"],"max":1,"wait_seconds":-1}`, "wait_seconds"},
		{"no max", `{"types":["t"]}`, "max"},
		{"max of 0", `{"types":["t"],"max":0}`, "max"},
		{"negative max", `{"types":["t"],"max":-1}`, "max"},
		{"large max", `{"types":["t"],"max":1001}`, "max"},
		{"max of a fraction", `{"types":["t"],"max":1.5}`, "max"},
		{"max beyond 64 bits", `{"types":["t"],"max":18446744073709551617}`, "max"},
		{"max is text", `{"types":["t"],"max":"1"}`, "max"},
		{"unknown field", `{"types":["t"],"max":1,"finished":[]}`, "finished"},
		{"finish is null", `{"types":["t"],"max":1,"finish":null}`, "finish"},
		{"finish is an object", `{"types":["t"],"max":1,"finish":{"token":"` + token + `"}}`, "finish"},
		{"an item that is none", one(`1`), "finish[0]"},
		{"an item without token", one(`{"token":"` + token + `"},{"result":1}`), "finish[1].token"},
		{"a token that is none", one(`{"token":"secret"}`), "finish[0].token"},
		{"unknown field of an item", one(`{"token":"` + token + `","state":"x"}`), "finish[0].state"},
		{"error without reason", one(`{"token":"` + token + `","error":{}}`), "finish[0].error.reason"},
		{"result with a name twice", one(`{"token":"` + token + `","result":{"a":1,"a":2}}`), "finish[0].result.a"},
		{"a token twice", one(`{"token":"` + token + `"},{"token":"` + other + `","retryable":true},{"token":"` + strings.ToUpper(token) + `"}`), "finish[2].token"},
		{"too many", one(strings.Repeat(`{"token":"`+token+`"},`, 1000) + `{"token":"` + token + `"}`), "finish"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			got := e.send("POST", "/v1/dequeue/batch", c.body)
			e.problem(got, 400, "invalid-request", c.field)
			require.NotContains(t, got.body, "secret")
			require.NotContains(t, got.body, token)
		})
	}
}

func TestFinishWithTheNextDequeue(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{MaxResultBytes: 100})
	for range 3 {
		e.create(`{"type":"t"}`)
	}
	first := e.lease(`{"types":["t"]}`)
	next := `{"types":["t"],"finish":` + report(first, `,"result":{"n":1}`) + `}`
	second := e.lease(next)
	require.Equal(t, map[string]any{"n": 1.0}, e.job(first["id"])["result"])

	// What is refused leases nothing: the third job is there for the last call.
	for _, c := range []struct {
		item        string
		status      int
		code, field string
	}{
		{report(first, `,"result":2`), 409, "already-reported", ""},
		{report(first, `,"error":{"reason":"x"}`), 409, "already-reported", ""},
		{`{"token":"` + uuid.NewString() + `"}`, 404, "lease-not-found", ""},
		{report(second, `,"error":{"reason":"expired"}`), 400, "invalid-request", "finish.error.reason"},
		{report(second, `,"error":{"reason":"x"},"retry_after_seconds":1`), 400, "invalid-request", "finish.retry_after_seconds"},
		{report(second, `,"error":{"reason":"x"},"result":null`), 400, "invalid-request", "finish.result"},
		{report(second, `,"retryable":false`), 400, "invalid-request", "finish.retryable"},
		{report(second, `,"result":`+sized(101)), 413, "value-too-large", "finish.result"},
		{`[]`, 400, "invalid-request", "finish"},
		{`null`, 400, "invalid-request", "finish"},
		{`{}`, 400, "invalid-request", "finish.token"},
	} {
		e.problem(e.send("POST", "/v1/dequeue", `{"types":["t"],"finish":`+c.item+`}`), c.status, c.code, c.field)
	}
	require.Equal(t, "running", e.job(second["id"])["state"])
	third := e.lease(next) // the same report again
	last := `{"types":["t"],"wait_seconds":0.001,"finish":` + report(third, `,"error":{"reason":"x"}`) + `}`
	for range 2 {
		require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", last).status)
	}
	require.Equal(t, "failed", e.job(third["id"])["state"])
	e.send("POST", "/v1/jobs/"+second["id"].(string)+"/cancel", "")
	e.problem(e.send("POST", "/v1/dequeue", `{"types":["t"],"finish":`+report(second, ``)+`}`), 409, "job-canceled", "")
}

// A call with a key that is repeated is answered the same, and makes its reports once more.
func TestExchangeOnce(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for range 6 {
		e.create(`{"type":"t"}`)
	}
	held := e.lease(`{"types":["t"]}`)
	body := `{"types":["t"],"max":3,"finish":[` + report(held, `,"result":1`) + `]}`
	finished, leases := e.exchange(body, keyHeader, "k")
	require.Len(t, leases, 3)
	again, same := e.exchange(body, keyHeader, "k")
	require.Equal(t, finished, again)
	require.Equal(t, leases, same)
	e.on(leases[1], "finish", "")
	_, same = e.exchange(body, keyHeader, "k")
	require.Equal(t, []map[string]any{leases[0], leases[2]}, same)
	e.problem(e.with("POST", "/v1/dequeue/batch", body+" ", keyHeader, "k"), 422, "idempotency-key-reused", "")
	e.on(leases[0], "finish", "")
	e.on(leases[2], "finish", "")
	e.problem(e.with("POST", "/v1/dequeue/batch", body, keyHeader, "k"), 409, "lease-lost", "")

	next := `{"types":["t"],"finish":` + report(leases[0], ``) + `}`
	one := e.with("POST", "/v1/dequeue", next, keyHeader, "k")
	require.Equal(t, http.StatusCreated, one.status, one.body)
	require.JSONEq(t, one.body, e.with("POST", "/v1/dequeue", next, keyHeader, "k").body)
}

// While the server stops, work that is done is accepted, and nothing is leased; but who has
// leases already is told so.
func TestReportsWhileStopping(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	e := newEngineEdge(t, api.Options{Stopping: stopping})
	for range 6 {
		e.create(`{"type":"t"}`)
	}
	_, held := e.exchange(`{"types":["t"],"max":4}`)
	keyed := `{"types":["t"],"max":1,"finish":[` + report(held[0], ``) + `]}`
	_, leased := e.exchange(keyed, keyHeader, "before")
	require.Len(t, leased, 1)
	stop()
	for i, header := range [][]string{nil, {keyHeader, "after"}} {
		for range 2 {
			require.Equal(t, http.StatusNoContent, e.with("POST", "/v1/dequeue", `{"types":["t"],"wait_seconds":60,"finish":`+report(held[1+i], ``)+`}`, header...).status)
			require.Equal(t, "finished", e.job(held[1+i]["id"])["state"])
		}
	}
	finished, none := e.exchange(`{"types":["t"],"max":10,"wait_seconds":60,"finish":[` + report(held[3], ``) + `]}`)
	require.Equal(t, []map[string]any{outcome(held[3], "finished")}, finished)
	require.Empty(t, none)
	_, same := e.exchange(keyed, keyHeader, "before")
	require.Equal(t, leased, same)
}

// The reports are made before the wait, which ends when the server begins to stop.
func TestExchangeWaits(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	e := newEdge(t, store, api.Options{Stopping: stopping})
	id := uuid.MustParse(e.create(`{"type":"other"}`)["id"].(string))
	body := `{"types":["t"],"max":5,"wait_seconds":60,"finish":[` + report(e.lease(`{"types":["other"]}`), ``) + `]}`
	answered := make(chan *httptest.ResponseRecorder, 2)
	ask := func() {
		r := httptest.NewRequest("POST", "/v1/dequeue/batch", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.handler.ServeHTTP(w, r)
		answered <- w
	}
	go ask()
	status, err := store.Await(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, queue.Finished, status.State)
	job := e.create(`{"type":"t"}`)
	require.Contains(t, receive(t, answered, "the lease").Body.String(), job["id"])
	go ask()
	stop()
	require.Contains(t, receive(t, answered, "the end of the wait").Body.String(), `"leases":[]`)
}

// Leases of a client that is gone are undone, all of them; with a key they are kept.
func TestLeasesAreUndoneWhenTheirAnswerFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for name, writer := range map[string]*brokenWriter{"write": {write: broken}, "flush": {flush: broken}, "gone": {}} {
		for _, key := range []string{"", "k"} {
			t.Run(name+key, func(t *testing.T) {
				t.Parallel()
				store := newStore(t)
				e := newEdge(t, store, api.Options{})
				held := e.create(`{"type":"u"}`)
				e.batch(strings.Split(strings.Repeat(`{"type":"t"};`, 99)+`{"type":"t"}`, ";")...)
				body := `{"types":["t"],"max":100,"finish":[` + report(e.lease(`{"types":["u"]}`), ``) + `]}`
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if name == "gone" {
					leave()
				}
				r := httptest.NewRequestWithContext(ctx, "POST", "/v1/dequeue/batch", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				if key != "" {
					r.Header.Set(keyHeader, key)
				}
				e.handler.ServeHTTP(&brokenWriter{httptest.NewRecorder(), writer.write, writer.flush}, r)

				require.Equal(t, "finished", e.job(held["id"])["state"], "the report counts")
				tokens, err := store.Heartbeats(t.Context(), 0)
				require.NoError(t, err)
				if key != "" {
					require.Len(t, tokens, 100)
					_, leases := e.exchange(body, keyHeader, key)
					require.Len(t, leases, 100)
					return
				}
				require.Empty(t, tokens)
				require.Len(t, e.log.lines(t, "client is gone; its lease was released"), 100)
				_, leases := e.exchange(body)
				require.Len(t, leases, 100)
				require.Equal(t, 2.0, leases[0]["attempt"])
				require.Equal(t, 0.0, e.job(leases[0]["id"])["retries"])
				for _, lease := range leases {
					require.NotContains(t, e.log.String(), lease["token"])
				}
			})
		}
	}
}

// A lease that cannot be released does not keep the others, and a panic is one of the request.
func TestUndoingLeasesFails(t *testing.T) {
	t.Parallel()
	leases := []queue.Lease{testLease(), testLease(), testLease()}
	var mu sync.Mutex
	released := 0
	q := &stub{
		batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) {
			return queue.BatchAnswer{Leases: leases}, nil
		},
		release: func(_ context.Context, token uuid.UUID, _ time.Duration) (queue.State, error) {
			switch token {
			case leases[0].Token:
				return 0, queue.ErrUnavailable
			case leases[1].Token:
				panic("boom")
			}
			mu.Lock()
			defer mu.Unlock()
			released++
			return queue.Pending, nil
		},
	}
	e := newEdge(t, q, api.Options{})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/dequeue/batch", strings.NewReader(`{"types":["t"],"max":3}`))
	r.Header.Set("Content-Type", "application/json")
	e.problem(e.do(r), 500, "internal", "")
	require.Equal(t, 1, released)
	require.Len(t, e.log.lines(t, "client is gone, and its lease could not be released"), 1)
	require.Contains(t, e.log.lines(t, "request failed")[0]["stack"], "exchange_test.go")
}

func TestALeaseThatHasEndedIsUndoneWithoutAWord(t *testing.T) {
	t.Parallel()
	q := &stub{
		batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) {
			return queue.BatchAnswer{Leases: []queue.Lease{testLease()}}, nil
		},
		release: func(context.Context, uuid.UUID, time.Duration) (queue.State, error) { return 0, queue.ErrLeaseLost },
	}
	e := newEdge(t, q, api.Options{})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/dequeue/batch", strings.NewReader(`{"types":["t"],"max":3}`))
	r.Header.Set("Content-Type", "application/json")
	e.do(r)
	require.NotContains(t, e.log.String(), "could not be released")
}
