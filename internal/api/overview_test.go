package api_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

func TestAttempts(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t","retry":{"max_attempts":3,"initial_seconds":0,"max_seconds":0}}`)
	path := "/v1/jobs/" + job["id"].(string) + "/attempts"
	require.JSONEq(t, `{"attempts":[]}`, e.send("GET", path, "").body)
	lease := e.lease(`{"types":["t"],"worker":"w"}`)
	e.on(lease, "fail", `{"error":{"reason":"full","details":{"a": [1]}},"retryable":true}`)
	lease = e.lease(`{"types":["t"]}`)
	require.NotContains(t, e.send("GET", path, "").body, lease["token"])
	got := e.send("GET", path, "").json(t)["attempts"].([]any)
	require.Len(t, got, 2)
	first, second := got[0].(map[string]any), got[1].(map[string]any)
	require.Contains(t, first, "ended_at")
	delete(first, "ended_at")
	for _, attempt := range []map[string]any{first, second} {
		require.Contains(t, attempt, "started_at")
		delete(attempt, "started_at")
	}
	require.Equal(t, map[string]any{
		"attempt": 1.0, "worker": "w", "end": "reported", "state": "pending",
		"error": map[string]any{"reason": "full", "details": map[string]any{"a": []any{1.0}}},
	}, first)
	require.Equal(t, map[string]any{"attempt": 2.0}, second)
	require.Contains(t, e.send("GET", path, "").body, `"details":{"a": [1]}`, "as it was sent")
	e.problem(e.send("GET", "/v1/jobs/"+uuid.NewString()+"/attempts", ""), 404, "job-not-found", "")
}

func TestExplain(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	explain := func(job map[string]any) map[string]any {
		t.Helper()
		got := e.send("GET", "/v1/jobs/"+job["id"].(string)+"/explain", "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		explanation := got.json(t)
		require.Equal(t, job["id"], explanation["id"])
		require.NotEmpty(t, explanation["sentence"])
		delete(explanation, "id")
		delete(explanation, "sentence")
		return explanation
	}
	first := e.create(`{"type":"t"}`)
	second := e.create(`{"type":"t"}`)
	blocked := e.create(`{"type":"u","dependencies":["` + first["id"].(string) + `","` + second["id"].(string) + `"]}`)
	later := e.create(`{"type":"u","run_at":"2100-01-01T00:00:00Z","expires_at":"2100-01-02T00:00:00Z"}`)
	require.Equal(t, map[string]any{
		"state": "pending", "reason": "no-worker", "ahead": 1.0, "workers": map[string]any{"asked": 0.0, "waiting": 0.0},
	}, explain(second))
	require.Equal(t, map[string]any{
		"state": "blocked", "reason": "dependencies", "open": 2.0, "open_dependencies": []any{first["id"], second["id"]},
	}, explain(blocked))
	require.Equal(t, map[string]any{
		"state": "scheduled", "reason": "not-yet", "waits_until": "2100-01-01T00:00:00Z", "expires_at": "2100-01-02T00:00:00Z",
	}, explain(later))

	lease := e.lease(`{"types":["t"],"worker":"w"}`)
	waiting := explain(second)
	require.Equal(t, "in-line", waiting["reason"])
	require.Equal(t, 1.0, waiting["workers"].(map[string]any)["asked"])
	running := explain(first)
	require.Equal(t, "running", running["reason"])
	require.Equal(t, "w", running["worker"])
	require.Contains(t, running, "last_heartbeat_at")
	require.Equal(t, 1.0, running["last_attempt"].(map[string]any)["attempt"])
	e.on(lease, "fail", `{"error":{"reason":"broken"}}`)
	over := explain(blocked)
	require.Equal(t, map[string]any{"state": "failed", "reason": "over"}, over)
	e.problem(e.send("GET", "/v1/jobs/"+uuid.NewString()+"/explain", ""), 404, "job-not-found", "")
}

func TestQueues(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	none := map[string]any{
		"scheduled": 0.0, "blocked": 0.0, "pending": 0.0, "running": 0.0, "finished": 0.0, "failed": 0.0, "canceled": 0.0,
	}
	require.Equal(t, map[string]any{"queues": []any{}, "total": none}, e.send("GET", "/v1/queues", "").json(t))
	for _, body := range []string{`{"type":"b"}`, `{"type":"a"}`, `{"type":"a"}`, `{"type":"a","channel":"x"}`} {
		e.create(body)
	}
	e.on(e.lease(`{"types":["b"]}`), "fail", `{"error":{"reason":"broken"}}`)
	var names []string
	for target := "/v1/queues?limit=1"; ; {
		page := e.send("GET", target, "").json(t)
		require.Equal(t, 3.0, page["total"].(map[string]any)["pending"])
		require.Len(t, page["queues"], 1)
		q := page["queues"].([]any)[0].(map[string]any)
		names = append(names, q["channel"].(string)+"/"+q["type"].(string))
		if q["type"] == "b" {
			require.Equal(t, 1.0, q["counts"].(map[string]any)["failed"])
			require.NotContains(t, q, "oldest_ready_seconds")
			require.Equal(t, map[string]any{"m1": 0.017, "m5": 0.003, "m15": 0.001}, q["failed_per_second"])
		} else {
			require.Contains(t, q, "oldest_ready_seconds")
			require.Equal(t, map[string]any{"m1": 0.0, "m5": 0.0, "m15": 0.0}, q["finished_per_second"])
		}
		next, more := page["next_cursor"]
		if !more {
			break
		}
		target = "/v1/queues?limit=1&cursor=" + next.(string)
	}
	require.Equal(t, []string{"default/a", "default/b", "x/a"}, names)
	page := e.send("GET", "/v1/queues?type=a,c&channel=x&limit=1000", "").json(t)
	require.Len(t, page["queues"], 1)
	require.Equal(t, 1.0, page["total"].(map[string]any)["pending"])

	cursor := e.send("GET", "/v1/queues?type=a&limit=1", "").json(t)["next_cursor"].(string)
	require.Equal(t, http.StatusOK, e.send("GET", "/v1/queues?type=a&cursor="+cursor, "").status)
	other := base64.RawURLEncoding.EncodeToString([]byte("\x03only one word"))
	for query, field := range map[string]string{
		"cursor=" + cursor:        "cursor",
		"type=b&cursor=" + cursor: "cursor",
		"cursor=":                 "cursor",
		"cursor=" + other:         "cursor",
		"cursor=%00":              "cursor",
		"limit=0":                 "limit",
		"type=,":                  "type",
		"type=%20":                "type[0]",
		"state=failed":            "state",
		"channel=" + strings.Repeat("a,", 64) + "b": "channel",
	} {
		e.problem(e.send("GET", "/v1/queues?"+query, ""), 400, "invalid-request", field)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	require.Equal(t, map[string]any{"workers": []any{}}, e.send("GET", "/v1/workers", "").json(t))
	job := e.create(`{"type":"t"}`)
	lease := e.lease(`{"types":["t","u"],"worker":"w <1>","labels":{"os":"linux"}}`)
	require.Equal(t, 204, e.send("POST", "/v1/dequeue", `{"types":["u"],"channels":["x"]}`).status)
	got := e.send("GET", "/v1/workers", "")
	require.NotContains(t, got.body, lease["token"])
	workers := got.json(t)["workers"].([]any)
	require.Len(t, workers, 2)
	for _, worker := range workers {
		for _, at := range []string{"first_asked_at", "last_asked_at"} {
			require.Contains(t, worker, at)
			delete(worker.(map[string]any), at)
		}
	}
	require.Equal(t, map[string]any{
		"worker": "", "waiting": 0.0, "types": []any{"u"}, "channels": []any{"x"}, "held": 0.0, "leases": []any{},
	}, workers[0])
	second := workers[1].(map[string]any)
	held := second["leases"].([]any)[0].(map[string]any)
	require.Contains(t, held, "started_at")
	delete(held, "started_at")
	require.Equal(t, map[string]any{
		"worker": "w <1>", "waiting": 0.0, "types": []any{"t", "u"}, "channels": []any{"default"}, "labels": map[string]any{"os": "linux"},
		"held": 1.0, "leases": []any{map[string]any{"id": job["id"], "type": "t", "channel": "default", "attempt": 1.0}},
	}, second)

	page := e.send("GET", "/v1/workers?limit=1", "").json(t)
	require.Len(t, page["workers"], 1)
	page = e.send("GET", "/v1/workers?limit=1&cursor="+page["next_cursor"].(string), "").json(t)
	require.Equal(t, "w <1>", page["workers"].([]any)[0].(map[string]any)["worker"])
	require.NotContains(t, page, "next_cursor")
	e.problem(e.send("GET", "/v1/workers?cursor=AAA", ""), 400, "invalid-request", "cursor")
	e.problem(e.send("POST", "/v1/dequeue", `{"types":["u"],"labels":{"a b":"c"}}`), 400, "invalid-request", "labels")
}

func TestDemand(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for _, body := range []string{`{"type":"a","labels":{"os":"linux"}}`, `{"type":"a"}`, `{"type":"b","channel":"x"}`} {
		e.create(body)
	}
	for query, want := range map[string]float64{
		"types=a": 2, "types=a,b": 2, "types=a,b&channels=x,default": 3, "types=c": 0, "types=a&labels=os": 1,
		"types=a&labels=os%3Dlinux": 1, "types=a&labels=os=linux,arch": 0,
	} {
		require.Equal(t, map[string]any{"ready": want, "exact": true}, e.send("GET", "/v1/demand?"+query, "").json(t), query)
	}
	for query, field := range map[string]string{
		"": "", "types=": "types", "types=a,a": "types", "types=a&types=b": "types", "types=%20": "types[0]", "types=a&labels=": "labels",
		"types=a&labels==": "label", "types=a&channels=,": "channels", "types=a&wait_seconds=1": "wait_seconds",
		"types=a" + strings.Repeat(",b", 64): "types",
	} {
		got := e.send("GET", "/v1/demand?"+query, "")
		require.Equal(t, 400, got.status, "%s: %s", query, got.body)
		e.problem(got, 400, "invalid-request", field)
	}
}

// What a page says is as of the store's time.
func TestOldestReadyIsByTheStoresClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	q := &stub{queues: func(context.Context, queue.LaneListing) (queue.LanePage, error) {
		return queue.LanePage{Now: at, Queues: []queue.LaneInfo{
			{Lane: queue.Lane{Channel: "c", Type: "t"}, OldestReady: at.Add(-90 * time.Second)},
			{Lane: queue.Lane{Channel: "c", Type: "u"}, OldestReady: at.Add(time.Second)},
		}}, nil
	}}
	queues := newEdge(t, q, api.Options{}).send("GET", "/v1/queues", "").json(t)["queues"].([]any)
	require.Equal(t, 90.0, queues[0].(map[string]any)["oldest_ready_seconds"])
	require.Equal(t, 0.0, queues[1].(map[string]any)["oldest_ready_seconds"])
}
