package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

func (e *edge) create(body string) map[string]any {
	e.t.Helper()
	got := e.send("POST", "/v1/jobs", body)
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	job := got.json(e.t)
	require.Equal(e.t, "/v1/jobs/"+job["id"].(string), got.header.Get("Location"))
	return job
}

func (e *edge) job(id any) map[string]any {
	e.t.Helper()
	got := e.send("GET", "/v1/jobs/"+id.(string), "")
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	return got.json(e.t)
}

func (e *edge) lease(body string) map[string]any {
	e.t.Helper()
	got := e.send("POST", "/v1/dequeue", body)
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	lease := got.json(e.t)
	require.Equal(e.t, "/v1/leases/"+lease["token"].(string), got.header.Get("Location"))
	return lease
}

// on posts to an operation of the lease.
func (e *edge) on(lease map[string]any, operation, body string) answer {
	e.t.Helper()
	return e.send("POST", "/v1/leases/"+lease["token"].(string)+"/"+operation, body)
}

func TestCreateJobWithDefaults(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"resize"}`)
	id, err := uuid.Parse(job["id"].(string))
	require.NoError(t, err)
	require.EqualValues(t, 7, id.Version())
	delete(job, "id")
	queued, err := time.Parse(time.RFC3339Nano, job["queued_at"].(string))
	require.NoError(t, err)
	require.Equal(t, time.UTC, queued.Location())
	delete(job, "queued_at")
	require.Equal(t, map[string]any{
		"type": "resize", "channel": "default", "state": "pending", "args": nil, "canceled": false,
		"attempt": 0.0, "retries": 0.0, "failures": 0.0, "timeouts": 0.0, "generation": 0.0, "priority": 0.0,
		"run_if":       "all_succeeded",
		"dependencies": []any{}, "dependents": []any{},
	}, job)
}

func TestCreatedJobReadsAsItWasAnswered(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	first := e.create(`{"type":"resize"}`)["id"].(string)
	second := e.create(`{"type":"resize"}`)["id"].(string)
	job := e.create(`{"type":"merge","channel":"acme","args":{"z":1,"a":[2]},"run_if":"all_finished","max_retries":0,` +
		`"dependencies":["` + second + `","` + first + `","` + second + `"]}`)
	require.Equal(t, "blocked", job["state"])
	require.Equal(t, []any{second, first}, job["dependencies"])
	require.Equal(t, 0.0, job["max_retries"])
	require.Equal(t, job, e.job(job["id"]))
	require.Equal(t, []any{job["id"]}, e.job(first)["dependents"])
}

// Opaque values come out as they went in, on every way through the server.
func TestOpaqueValuesAreKept(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"null":            `null`,
		"NUL":             `"a\u0000b"`,
		"lone surrogate":  `"\ud800"`,
		"surrogate pair":  `"\ud83d\ude00"`,
		"raw emoji":       `"😀"`,
		"escaped slash":   `"<\/script>&"`,
		"huge number":     `123456789012345678901234567890.12345678901234567890e+0200`,
		"negative zero":   `-0.0`,
		"order of keys":   `{"z":1,"a":2,"m":{"y":[],"b":{}}}`,
		"empty key":       `{"":0}`,
		"white space":     "{ \"a\" :\r\n\t[ ] }",
		"line separator":  "\"\u2028\"",
		"deepest":         strings.Repeat("[", 63) + strings.Repeat("]", 63),
		"brackets inside": `"` + strings.Repeat("[{", 100) + `\"]"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngineEdge(t, api.Options{})
			has := func(got answer, field string) {
				t.Helper()
				var fields map[string]json.RawMessage
				require.NoError(t, json.Unmarshal([]byte(got.body), &fields), got.body)
				require.Equal(t, value, string(fields[field]))
			}
			created := e.send("POST", "/v1/jobs", `{"type":"t","args": `+value+` }`)
			require.Equal(t, http.StatusCreated, created.status, created.body)
			has(created, "args")
			path := "/v1/jobs/" + created.json(t)["id"].(string)
			has(e.send("GET", path, ""), "args")
			leased := e.send("POST", "/v1/dequeue", `{"types":["t"]}`)
			has(leased, "args")
			lease := leased.json(t)
			has(e.send("GET", "/v1/leases/"+lease["token"].(string), ""), "args")
			require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":`+value+`}`).status)
			has(e.send("GET", path, ""), "result")
		})
	}
}

func TestGetUnknownJob(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := uuid.NewString()
	got := e.send("GET", "/v1/jobs/"+id, "")
	e.problem(got, 404, "job-not-found", "")
	require.Equal(t, "no job has the id "+id, got.json(t)["detail"])
	e.problem(e.send("GET", "/v1/jobs/"+id+"?wait_seconds=5", ""), 404, "job-not-found", "")
	e.problem(e.send("POST", "/v1/jobs/"+id+"/cancel", ""), 404, "job-not-found", "")
	e.problem(e.send("POST", "/v1/jobs/"+id+"/dequeue", `{}`), 404, "job-not-found", "")
}

func TestUnknownDependencyCreatesNothing(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	e := newEdge(t, store, api.Options{})
	known := e.create(`{"type":"other"}`)["id"].(string)
	got := e.send("POST", "/v1/jobs", `{"type":"t","dependencies":["`+known+`","`+uuid.NewString()+`"]}`)
	e.problem(got, 422, "dependency-not-found", "dependencies[1]")
	requireNoJob(t, store, "t")
	require.Empty(t, e.job(known)["dependents"])
}

func TestCancelJob(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t"}`)
	path := "/v1/jobs/" + job["id"].(string) + "/cancel"
	first := e.send("POST", path, "")
	require.Equal(t, http.StatusOK, first.status, first.body)
	require.Equal(t, "canceled", first.json(t)["state"])
	require.Equal(t, true, first.json(t)["canceled"])
	require.NotEmpty(t, first.json(t)["finished_at"])
	require.Equal(t, first.body, e.send("POST", path, "{}").body, "the same again is answered the same")
	require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["t"]}`).status)

	done := e.create(`{"type":"t"}`)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["t"]}`), "finish", "").status)
	e.problem(e.send("POST", "/v1/jobs/"+done["id"].(string)+"/cancel", ""), 409, "job-not-running", "")
}

func TestDequeueJob(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	e.create(`{"type":"t"}`)
	job := e.create(`{"type":"t"}`)
	path := "/v1/jobs/" + job["id"].(string) + "/dequeue"
	got := e.send("POST", path, `{"worker":"laptop-7"}`)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	lease := got.json(t)
	require.Equal(t, job["id"], lease["id"])
	require.Equal(t, "/v1/leases/"+lease["token"].(string), got.header.Get("Location"))
	require.Equal(t, "laptop-7", e.job(job["id"])["worker"])
	e.problem(e.send("POST", path, ""), 409, "job-not-pending", "")
	e.problem(e.send("POST", path, `{"worker":"`+strings.Repeat("x", 129)+`"}`), 400, "invalid-request", "worker")
}

// A GET that waits is answered when the job is over, with the job as it is then.
// What is asked for by wait_seconds is capped, and becomes the deadline of the queue's call.
func TestWaitSecondsBecomeADeadline(t *testing.T) {
	t.Parallel()
	const most = 20 * time.Second
	for _, c := range []struct {
		wait string
		want time.Duration
	}{
		{"0", 0}, {"0.5", 500 * time.Millisecond}, {"20", most}, {"21", most}, {"1e300", most},
	} {
		t.Run(c.wait, func(t *testing.T) {
			t.Parallel()
			var left time.Duration
			seen := func(ctx context.Context) {
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				left = time.Until(deadline)
			}
			q := &stub{
				dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
					seen(ctx)
					return queue.Lease{}, queue.ErrDequeueTimeout
				},
				await: func(ctx context.Context, id uuid.UUID) (queue.Status, error) {
					seen(ctx)
					return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
				},
				status: func(_ context.Context, id uuid.UUID) (queue.Status, error) {
					return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
				},
				job: func(_ context.Context, id uuid.UUID) (queue.Job, error) {
					return queue.Job{ID: id, Type: "t", Channel: "c"}, nil
				},
			}
			e := newEdge(t, q, api.Options{MaxWait: most})
			require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["t"],"wait_seconds":`+c.wait+`}`).status)
			require.InDelta(t, c.want.Seconds(), left.Seconds(), 5)
			left = 0
			require.Equal(t, http.StatusOK, e.send("GET", "/v1/jobs/"+uuid.NewString()+"?wait_seconds="+c.wait, "").status)
			require.InDelta(t, c.want.Seconds(), left.Seconds(), 5)
		})
	}
}
