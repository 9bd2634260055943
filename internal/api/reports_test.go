package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// What a worker says besides an outcome is refused under the name of the field.
func TestBadReports(t *testing.T) {
	t.Parallel()
	lease := "/v1/leases/" + uuid.NewString()
	for _, c := range []struct{ name, operation, body, field string }{
		{"retryable is text", "fail", `{"error":{"reason":"x"},"retryable":"true"}`, "retryable"},
		{"retryable is null", "fail", `{"error":{"reason":"x"},"retryable":null}`, "retryable"},
		{"retryable is a number", "fail", `{"error":{"reason":"x"},"retryable":1}`, "retryable"},
		{"retryable is an object", "fail", `{"error":{"reason":"x"},"retryable":{}}`, "retryable"},
		{"retry after without retryable", "fail", `{"error":{"reason":"x"},"retry_after_seconds":1}`, "retry_after_seconds"},
		{"retry after with retryable false", "fail", `{"error":{"reason":"x"},"retryable":false,"retry_after_seconds":0}`, "retry_after_seconds"},
		{"retry after negative", "fail", `{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":-1}`, "retry_after_seconds"},
		{"retry after too long", "fail", `{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":315360001}`, "retry_after_seconds"},
		{"retry after beyond a duration", "fail", `{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":1e200}`, "retry_after_seconds"},
		{"retry after is text", "fail", `{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":"1"}`, "retry_after_seconds"},
		{"reason is timeout", "fail", `{"error":{"reason":"timeout"},"retryable":true}`, "error.reason"},
		{"reason is expired", "fail", `{"error":{"reason":"expired"}}`, "error.reason"},
		{"delay negative", "release", `{"delay_seconds":-0.000001}`, "delay_seconds"},
		{"delay too long", "release", `{"delay_seconds":315360001}`, "delay_seconds"},
		{"delay beyond a duration", "release", `{"delay_seconds":1e300}`, "delay_seconds"},
		{"delay is null", "release", `{"delay_seconds":null}`, "delay_seconds"},
		{"unknown field of a release", "release", `{"delay":1}`, "delay"},
		{"progress is a number", "heartbeat", `{"progress":40}`, "progress"},
		{"progress is null", "heartbeat", `{"progress":null}`, "progress"},
		{"progress with an unknown field", "heartbeat", `{"progress":{"done":1}}`, "progress.done"},
		{"percent negative", "heartbeat", `{"progress":{"percent":-1}}`, "progress.percent"},
		{"percent too much", "heartbeat", `{"progress":{"percent":100.0001}}`, "progress.percent"},
		{"percent is text", "heartbeat", `{"progress":{"percent":"40"}}`, "progress.percent"},
		{"message too long", "heartbeat", `{"progress":{"message":"` + strings.Repeat("ä", 513) + `"}}`, "progress.message"},
		{"message of half a character", "heartbeat", `{"progress":{"message":"\ud800"}}`, "progress.message"},
		{"partial result with a name twice", "heartbeat", `{"partial_result":{"a":1,"a":2}}`, "partial_result.a"},
		{"unknown field of a heartbeat", "heartbeat", `{"result":1}`, "result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			e.problem(e.send("POST", lease+"/"+c.operation, c.body), 400, "invalid-request", c.field)
		})
	}
}

// What a worker may say reaches the queue as it was meant.
func TestGoodReports(t *testing.T) {
	t.Parallel()
	var failure queue.Failure
	var delay time.Duration
	var beat queue.Beat
	q := &stub{
		fail: func(_ context.Context, _ uuid.UUID, f queue.Failure) (queue.State, error) {
			failure = f
			return queue.Scheduled, nil
		},
		release: func(_ context.Context, _ uuid.UUID, d time.Duration) (queue.State, error) {
			delay = d
			return queue.Scheduled, nil
		},
		refresh: func(_ context.Context, _ uuid.UUID, b queue.Beat) (queue.BeatAnswer, error) {
			beat = b
			return queue.BeatAnswer{}, nil
		},
	}
	e := newEdge(t, q, api.Options{})
	lease := "/v1/leases/" + uuid.NewString()
	send := func(operation, body string) {
		t.Helper()
		require.Equal(t, http.StatusOK, e.send("POST", lease+"/"+operation, body).status)
	}
	after := func(d time.Duration) *time.Duration { return &d }
	x := queue.JobError{Reason: "x"}
	for body, want := range map[string]queue.Failure{
		`{"error":{"reason":"x"}}`:                                                       {Error: x},
		`{"error":{"reason":"x"},"retryable":false}`:                                     {Error: x},
		`{"error":{"reason":"x"},"retryable":true}`:                                      {Error: x, Retryable: true},
		`{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":0}`:              {Error: x, Retryable: true, RetryAfter: after(0)},
		`{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":1.5}`:            {Error: x, Retryable: true, RetryAfter: after(1500 * time.Millisecond)},
		`{"error":{"reason":"x"},"retryable":true,"retry_after_seconds":315360000}`:      {Error: x, Retryable: true, RetryAfter: after(queue.MaxDelay)},
		`{"error":{"reason":"x","details":null},"retryable":true}`:                       {Error: queue.JobError{Reason: "x", Details: []byte("null")}, Retryable: true},
		`{"error":{"reason":"\u0000","details":{ "a" :1.0}}, "retryable" :true,"x":0}`:   {},
		`{"error":{"reason":"exit-code","details":{"z":1,"a":[]}}, "retryable" : true }`: {Error: queue.JobError{Reason: "exit-code", Details: []byte(`{"z":1,"a":[]}`)}, Retryable: true},
	} {
		if want.Error.Reason == "" {
			e.problem(e.send("POST", lease+"/fail", body), 400, "invalid-request", "x")
			continue
		}
		send("fail", body)
		require.Equal(t, want, failure)
	}
	for body, want := range map[string]time.Duration{
		``: 0, `{}`: 0, `{"delay_seconds":0}`: 0, `{"delay_seconds":0.25}`: 250 * time.Millisecond, `{"delay_seconds":315360000}`: queue.MaxDelay,
	} {
		send("release", body)
		require.Equal(t, want, delay, body)
	}
	percent := func(p float64) *float64 { return &p }
	for body, want := range map[string]queue.Beat{
		``:                           {},
		`{}`:                         {},
		`{"progress":{}}`:            {Progress: &queue.Progress{}},
		`{"progress":{"percent":0}}`: {Progress: &queue.Progress{Percent: percent(0)}},
		`{"progress":{"percent":1e2,"message":"` + strings.Repeat("x", 1024) + `"}}`: {Progress: &queue.Progress{Percent: percent(100), Message: strings.Repeat("x", 1024)}},
		`{"partial_result":null}`:    {PartialResult: []byte("null")},
		`{"partial_result": [ 1 ] }`: {PartialResult: []byte("[ 1 ]")},
	} {
		send("heartbeat", body)
		require.Equal(t, want, beat, body)
	}
}

// Progress and partial results are shown with the job, each until it is replaced; a finished
// job has neither.
func TestProgress(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := e.create(`{"type":"t"}`)["id"]
	lease := e.lease(`{"types":["t"]}`)
	job := e.job(id)
	require.NotContains(t, job, "progress")
	require.NotContains(t, job, "partial_result")
	for _, c := range []struct {
		body              string
		progress, partial any
	}{
		{`{"progress":{"percent":12.5,"message":"page 1"}}`, map[string]any{"percent": 12.5, "message": "page 1"}, nil},
		{`{"partial_result":{"pages":1}}`, map[string]any{"percent": 12.5, "message": "page 1"}, map[string]any{"pages": 1.0}},
		{``, map[string]any{"percent": 12.5, "message": "page 1"}, map[string]any{"pages": 1.0}},
		{`{"progress":{"percent":50},"partial_result":[2]}`, map[string]any{"percent": 50.0}, []any{2.0}},
		{`{"progress":{}}`, map[string]any{}, []any{2.0}},
	} {
		require.Equal(t, http.StatusOK, e.on(lease, "heartbeat", c.body).status)
		job = e.job(id)
		require.Equal(t, c.progress, job["progress"], c.body)
		require.Equal(t, c.partial, job["partial_result"], c.body)
	}
	require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":3}`).status)
	job = e.job(id)
	require.NotContains(t, job, "progress")
	require.NotContains(t, job, "partial_result")
}

// A failure that may go away is followed by another run, after the wait that the job's policy
// or the worker asks for; the last attempt fails the job.
func TestRetryableFailures(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := e.create(`{"type":"t","retry":{"max_attempts":3,"initial_seconds":3600,"max_seconds":3600,"jitter":0}}`)["id"]
	fail := func(more string) map[string]any {
		lease := e.lease(`{"types":["t"]}`)
		got := e.on(lease, "fail", `{"error":{"reason":"busy"}`+more+`}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, got.body, e.on(lease, "fail", `{"error":{"reason":"busy"}`+more+`}`).body, "the same again is answered the same")
		e.problem(e.on(lease, "fail", `{"error":{"reason":"other"}`+more+`}`), 409, "already-reported", "")
		return got.json(t)
	}
	require.Equal(t, "pending", fail(`,"retryable":true,"retry_after_seconds":0`)["state"], "the worker's wait wins")
	require.Equal(t, "scheduled", fail(`,"retryable":true`)["state"])
	job := e.job(id)
	require.Equal(t, 2.0, job["failures"])
	at, err := time.Parse(time.RFC3339, job["run_at"].(string))
	require.NoError(t, err)
	require.InDelta(t, 3600, time.Until(at).Seconds(), 60)
	require.Equal(t, http.StatusOK, e.send("PATCH", "/v1/jobs/"+id.(string), `{"run_at":"2020-01-01T00:00:00Z"}`).status)
	require.Equal(t, "failed", fail(`,"retryable":true`)["state"])
	require.Equal(t, map[string]any{"reason": "busy"}, e.job(id)["error"])

	once := e.create(`{"type":"t"}`)["id"]
	require.Equal(t, "failed", fail(`,"retryable":true`)["state"], "without a policy")
	require.Equal(t, "failed", e.job(once)["state"])
}

func TestReleaseWithADelay(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := e.create(`{"type":"t"}`)["id"]
	lease := e.lease(`{"types":["t"]}`)
	for range 2 {
		require.JSONEq(t, `{"state":"scheduled"}`, e.on(lease, "release", `{"delay_seconds":3600}`).body)
	}
	job := e.job(id)
	require.NotEmpty(t, job["run_at"])
	for _, budget := range []string{"retries", "failures", "timeouts"} {
		require.Equal(t, 0.0, job[budget])
	}
	require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["t"]}`).status)
}
