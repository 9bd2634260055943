package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// announcing tells when somebody begins to wait.
type announcing struct {
	api.Queue
	waits chan struct{}
}

func (a announcing) Await(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	a.waits <- struct{}{}
	return a.Queue.Await(ctx, id)
}

func (a announcing) AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error) {
	a.waits <- struct{}{}
	return a.Queue.AwaitChange(ctx, id, version)
}

func (a announcing) AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error) {
	a.waits <- struct{}{}
	return a.Queue.AwaitAll(ctx, ids)
}

func (a announcing) AwaitLease(ctx context.Context, token uuid.UUID) error {
	a.waits <- struct{}{}
	return a.Queue.AwaitLease(ctx, token)
}

// waitingEdge is an edge whose queue tells when somebody begins to wait.
func waitingEdge(t *testing.T) (*edge, announcing) {
	t.Helper()
	q := announcing{newStore(t), make(chan struct{}, 100)}
	return newEdge(t, q, api.Options{}), q
}

// heldBack sends a request and, once it waits, does something that it should be answered for.
func (e *edge) heldBack(q announcing, r *http.Request, then func()) answer {
	e.t.Helper()
	for len(q.waits) > 0 {
		<-q.waits
	}
	answered := make(chan answer, 1)
	go func() { answered <- e.do(r) }()
	<-q.waits
	then()
	return <-answered
}

func get(target string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", target, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func post(target, body string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestGetJobWaitsUntilItIsOver(t *testing.T) {
	t.Parallel()
	e, q := waitingEdge(t)
	path := "/v1/jobs/" + e.create(`{"type":"t"}`)["id"].(string)
	lease := e.lease(`{"types":["t"]}`)
	got := e.heldBack(q, get(path+"?wait_seconds=30"), func() {
		require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":7}`).status)
	})
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, e.send("GET", path, "").body, got.body)
	require.Contains(t, got.body, `"result":7`)
}

func TestGetJobWaitsUntilItHasChanged(t *testing.T) {
	t.Parallel()
	e, q := waitingEdge(t)
	path := "/v1/jobs/" + e.create(`{"type":"t"}`)["id"].(string)
	tag := e.send("GET", path, "").header.Get("Etag")
	for _, known := range []string{tag, "W/" + tag, "*", `"0", ` + tag} {
		for _, query := range []string{"", "?wait_seconds=0.001"} {
			got := e.do(get(path+query, "If-None-Match", known))
			require.Equal(t, http.StatusNotModified, got.status, got.body)
			require.Empty(t, got.body)
			require.Equal(t, tag, got.header.Get("Etag"))
		}
	}
	require.Equal(t, http.StatusOK, e.do(get(path+"?wait_seconds=30", "If-None-Match", `"0"`)).status)
	e.problem(e.do(get(path, "If-None-Match", "3")), http.StatusBadRequest, "invalid-request", "If-None-Match")

	var lease map[string]any
	for _, change := range []struct {
		state string
		do    func()
	}{
		{"pending", func() { e.send("PATCH", path, `{"priority":3}`) }},
		{"running", func() { lease = e.lease(`{"types":["t"]}`) }},
		{"running", func() { e.on(lease, "heartbeat", `{"progress":{"percent":5}}`) }},
		{"finished", func() { e.on(lease, "finish", `{}`) }},
	} {
		got := e.heldBack(q, get(path+"?wait_seconds=30", "If-None-Match", tag), change.do)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, change.state, got.json(t)["state"])
		require.NotEqual(t, tag, got.header.Get("Etag"))
		tag = got.header.Get("Etag")
	}
	require.Equal(t, http.StatusNotFound, e.do(get("/v1/jobs/"+uuid.NewString()+"?wait_seconds=30", "If-None-Match", tag)).status)
}

func TestWaitForJobs(t *testing.T) {
	t.Parallel()
	e, q := waitingEdge(t)
	first := e.create(`{"type":"t"}`)["id"].(string)
	second := e.create(`{"type":"t","dependencies":["` + first + `"]}`)["id"].(string)
	ids := `{"ids":["` + second + `","` + first + `"]`
	want := func(over bool, open float64, states ...string) map[string]any {
		return map[string]any{"over": over, "open": open, "jobs": []any{
			map[string]any{"id": second, "state": states[0]}, map[string]any{"id": first, "state": states[1]},
		}}
	}
	for _, wait := range []string{"}", `,"wait_seconds":0}`, `,"wait_seconds":0.001}`} {
		require.Equal(t, want(false, 2, "blocked", "pending"), e.send("POST", "/v1/jobs/wait", ids+wait).json(t))
	}
	e.on(e.lease(`{"types":["t"]}`), "finish", `{}`)
	require.Equal(t, want(false, 1, "pending", "finished"), e.send("POST", "/v1/jobs/wait", ids+"}").json(t))
	got := e.heldBack(q, post("/v1/jobs/wait", ids+`,"wait_seconds":30}`), func() {
		e.send("POST", "/v1/jobs/"+second+"/cancel", "")
	})
	require.Equal(t, want(true, 0, "canceled", "finished"), got.json(t))

	unknown := uuid.NewString()
	got = e.send("POST", "/v1/jobs/wait", `{"ids":["`+first+`","`+unknown+`"],"wait_seconds":30}`)
	e.problem(got, http.StatusNotFound, "job-not-found", "ids[1]")
	require.Contains(t, got.json(t)["detail"], unknown)
	for body, field := range map[string]string{
		`{}`:                      "ids",
		`{"ids":[]}`:              "ids",
		`{"ids":["x"]}`:           "ids[0]",
		`{"ids":"` + first + `"}`: "ids",
		`{"ids":["` + first + `"],"wait_seconds":-1}`:                            "wait_seconds",
		`{"ids":["` + first + `"],"wait":1}`:                                     "wait",
		`{"ids":["` + strings.Repeat(first+`","`, queue.MaxJobs) + first + `"]}`: "ids",
	} {
		e.problem(e.send("POST", "/v1/jobs/wait", body), http.StatusBadRequest, "invalid-request", field)
	}
}

func TestAHeartbeatWaitsUntilTheLeaseIsOver(t *testing.T) {
	t.Parallel()
	e, q := waitingEdge(t)
	for range 2 {
		e.create(`{"type":"t"}`)
	}
	lease := e.lease(`{"types":["t"]}`)
	path := "/v1/leases/" + lease["token"].(string) + "/heartbeat"
	got := e.send("POST", path, `{"wait_seconds":0.001}`)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, false, got.json(t)["canceled"])
	got = e.heldBack(q, post(path, `{"progress":{"percent":5},"wait_seconds":30}`), func() {
		require.Equal(t, map[string]any{"percent": 5.0}, e.job(lease["id"])["progress"], "it is told at once")
		e.send("POST", "/v1/jobs/"+lease["id"].(string)+"/cancel", "")
	})
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, true, got.json(t)["canceled"])
	require.Equal(t, true, e.send("POST", path, `{"wait_seconds":30}`).json(t)["canceled"], "at once")

	lease = e.lease(`{"types":["t"]}`)
	path = "/v1/leases/" + lease["token"].(string) + "/heartbeat"
	got = e.heldBack(q, post(path, `{"wait_seconds":30}`), func() { e.on(lease, "release", "") })
	e.problem(got, http.StatusConflict, "lease-lost", "")
	e.problem(e.send("POST", path, `{"wait_seconds":-1}`), http.StatusBadRequest, "invalid-request", "wait_seconds")
}
