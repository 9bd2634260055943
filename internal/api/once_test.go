package api_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// with sends a request with headers, given as names and values.
func (e *edge) with(method, target, body string, header ...string) answer {
	e.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return e.do(r)
}

const keyHeader = "Idempotency-Key"

func TestBadIdempotencyKeys(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"empty":       {keyHeader, ""},
		"long":        {keyHeader, strings.Repeat("x", 256)},
		"space":       {keyHeader, "a b"},
		"tab":         {keyHeader, "a\tb"},
		"not ASCII":   {keyHeader, "ä"},
		"delete":      {keyHeader, "a\x7f"},
		"twice":       {keyHeader, "a", keyHeader, "b"},
		"twice alike": {keyHeader, "a", "idempotency-key", "a"},
	} {
		for _, call := range []struct{ path, body string }{
			{"/v1/jobs", `{"type":"t"}`}, {"/v1/jobs/batch", `{"jobs":[{"type":"t"}]}`}, {"/v1/dequeue", `{"types":["t"]}`},
			{"/v1/jobs/" + uuid.NewString() + "/dequeue", ``}, {"/v1/dequeue/batch", `{"types":["t"],"max":1}`},
		} {
			t.Run(name+call.path, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, &stub{}, api.Options{})
				e.problem(e.with("POST", call.path, call.body, header...), 400, "invalid-request", keyHeader)
			})
		}
	}
}

// Where a key means nothing it is not looked at.
func TestIdempotencyKeyElsewhere(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	id := e.create(`{"type":"t"}`)["id"].(string)
	require.Equal(t, http.StatusOK, e.with("GET", "/v1/jobs/"+id, "", keyHeader, "").status)
	require.Equal(t, http.StatusOK, e.with("GET", "/v1/jobs", "", keyHeader, "ä").status)
	require.Equal(t, http.StatusOK, e.with("PATCH", "/v1/jobs/"+id, `{}`, keyHeader, "a", keyHeader, "b").status)
	e.problem(e.with("GET", "/nowhere", "", keyHeader, ""), 404, "route-not-found", "")
	e.problem(e.with("PUT", "/v1/jobs", "", keyHeader, ""), 405, "method-not-allowed", "")
	require.Equal(t, http.StatusOK, e.with("POST", "/v1/jobs/"+id+"/cancel", `{}`, keyHeader, "").status)
}

// The queue is asked for one call of one operation: its key is the client's, apart for each
// operation and job, and its digest is of the body as it was sent.
func TestKeysAndDigests(t *testing.T) {
	t.Parallel()
	var once queue.Once
	status := queue.Status{Type: "t", Channel: "c", State: queue.Pending}
	q := &stub{
		once: func(_ context.Context, _ []queue.NewJob, o queue.Once) ([]queue.Enqueued, error) {
			once = o
			return nil, errors.New("nobody looks at the jobs")
		},
		enqueue: func(context.Context, []queue.NewJob) ([]queue.Enqueued, error) {
			once = queue.Once{}
			return enqueued(status), nil
		},
		dequeue: func(_ context.Context, request queue.DequeueRequest) (queue.Lease, error) {
			once = request.Once
			return queue.Lease{}, queue.ErrDequeueTimeout
		},
		batch: func(_ context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
			once = request.Once
			return queue.BatchAnswer{}, queue.ErrLeaseLost
		},
		byID: func(_ context.Context, _ uuid.UUID, _ queue.Holder, o queue.Once) (queue.Lease, error) {
			once = o
			return queue.Lease{}, queue.ErrNotPending
		},
	}
	e := newEdge(t, q, api.Options{})
	seen := make(map[queue.Once]string)
	first, second := "/v1/jobs/01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03/dequeue", "/v1/jobs/01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b04/dequeue"
	for _, call := range []struct{ path, body, key, scope string }{
		{"/v1/jobs", `{"type":"t"}`, "k", "createJob"},
		{"/v1/jobs", `{"type":"t"}`, "l", "createJob"},
		{"/v1/jobs", `{"type":"t" }`, "k", "createJob"},
		{"/v1/jobs", `{"type":"u"}`, "k", "createJob"},
		{"/v1/jobs/batch", `{"jobs":[{"type":"t"}]}`, "k", "createJobs"},
		{"/v1/jobs/batch", `{"jobs":[{"type":"` + strings.Repeat("t", 128) + `","args":` + sized(100_000) + `}]}`, strings.Repeat("k", 255), "createJobs"},
		{"/v1/dequeue", `{"types":["t"]}`, "k", "dequeue"},
		{"/v1/dequeue", `{"types":["t"]}`, "!~,\"", "dequeue"},
		{"/v1/dequeue", `{"types":["t"],"finish":{"token":"01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"}}`, "k", "dequeue"},
		{"/v1/dequeue/batch", `{"types":["t"],"max":1}`, "k", "dequeueBatch"},
		{"/v1/dequeue/batch", `{"types":["t"],"max":2}`, "k", "dequeueBatch"},
		{first, ``, "k", "dequeueJob 01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"},
		{first, `{}`, "k", "dequeueJob 01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"},
		{second, ``, "k", "dequeueJob 01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b04"},
	} {
		e.with("POST", call.path, call.body, keyHeader, call.key)
		require.Equal(t, call.scope+" "+call.key, once.Key)
		require.Equal(t, sha256.Sum256([]byte(call.scope+"\n"+call.body)), once.Digest)
		require.NotContains(t, seen, once, call)
		seen[once] = call.path
		last := once

		// In chunks, with another trace context, and with capitals in the path it is the same.
		r := httptest.NewRequest("POST", strings.Replace(call.path, "a6e", "A6E", 1), strings.NewReader(call.body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(keyHeader, call.key)
		r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		r.ContentLength = -1
		e.do(r)
		require.Equal(t, last, once)
	}
	e.with("POST", "/v1/jobs", `{"type":"t"}`)
	require.False(t, once.Given())
	e.with("POST", "/v1/dequeue", `{"types":["t"]}`)
	require.False(t, once.Given())
}

// The same call again is answered the same, to the byte, whatever happened meanwhile.
func TestCreatingOnce(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	body := `{"type":"t","args":{"a":1},"labels":{"l":"1"},"delay_seconds":0}`
	first := e.with("POST", "/v1/jobs", body, keyHeader, "k", "traceparent", trace)
	require.Equal(t, http.StatusCreated, first.status, first.body)
	require.Equal(t, trace, first.json(t)["traceparent"])
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["t"]}`), "finish", "").status)
	for _, other := range []string{trace, strings.Replace(trace, "b7ad", "b7ae", 1)} {
		again := e.with("POST", "/v1/jobs", body, keyHeader, "k", "traceparent", other)
		require.Equal(t, first.status, again.status)
		require.Equal(t, first.body, again.body)
		require.Equal(t, first.header["Location"], again.header["Location"])
		require.Equal(t, first.header["Etag"], again.header["Etag"])
	}
	e.problem(e.with("POST", "/v1/jobs", body+" ", keyHeader, "k"), 422, "idempotency-key-reused", "")
	require.Len(t, e.send("GET", "/v1/jobs", "").json(t)["jobs"], 1)

	jobs := `{"jobs":[{"type":"u","name":"a"},{"type":"u","needs":["a"],"unique_key":"k"}]}`
	first = e.with("POST", "/v1/jobs/batch", jobs, keyHeader, "k")
	require.Equal(t, http.StatusCreated, first.status, "another operation has other keys: %s", first.body)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["u"]}`), "finish", "").status)
	again := e.with("POST", "/v1/jobs/batch", jobs, keyHeader, "k")
	require.Equal(t, first.status, again.status)
	require.Equal(t, first.body, again.body)
	e.problem(e.with("POST", "/v1/jobs/batch", strings.Replace(jobs, `"k"`, `"l"`, 1), keyHeader, "k"), 422, "idempotency-key-reused", "")

	// What was refused has not used its key.
	e.problem(e.with("POST", "/v1/jobs", `{"type":"t","dependencies":["`+uuid.NewString()+`"]}`, keyHeader, "n"), 422, "dependency-not-found", "dependencies[0]")
	e.problem(e.with("POST", "/v1/jobs", `{"type":""}`, keyHeader, "n"), 400, "invalid-request", "type")
	require.Equal(t, http.StatusCreated, e.with("POST", "/v1/jobs", `{"type":"t"}`, keyHeader, "n").status)
}

// A unique key that was taken then is answered so again.
func TestCreatingOnceWithAUniqueKey(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	there := e.create(`{"type":"t","unique_key":"k","args":1}`)
	body := `{"type":"t","unique_key":"k","args":2}`
	for range 2 {
		got := e.with("POST", "/v1/jobs", body, keyHeader, "k")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, there, got.json(t))
	}
	e.on(e.lease(`{"types":["t"]}`), "finish", "")
	again := e.with("POST", "/v1/jobs", body, keyHeader, "k")
	require.Equal(t, http.StatusOK, again.status, again.body)
	require.Equal(t, there["id"], again.json(t)["id"])
}

// A dequeue that is repeated is handed the same lease, as long as it lasts.
func TestDequeuingOnce(t *testing.T) {
	t.Parallel()
	const body = `{"types":["t"],"worker":"w"}`
	for _, by := range []string{"dequeue", "id"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			e := newEngineEdge(t, api.Options{})
			id := e.create(`{"type":"t","args":{"a":1}}`)["id"].(string)
			path, refused := "/v1/dequeue", strings.Replace(body, `"w"`, `"v"`, 1)
			if by == "id" {
				path, refused = "/v1/jobs/"+id+"/dequeue", `{}`
			}
			ask := func(key string) answer {
				if by == "id" {
					return e.with("POST", path, "", keyHeader, key)
				}
				return e.with("POST", path, body, keyHeader, key)
			}
			first := ask("k")
			require.Equal(t, http.StatusCreated, first.status, first.body)
			again := ask("k")
			require.Equal(t, http.StatusCreated, again.status, again.body)
			require.Equal(t, first.body, again.body)
			require.Equal(t, first.header["Location"], again.header["Location"])
			e.problem(e.with("POST", path, refused, keyHeader, "k"), 422, "idempotency-key-reused", "")
			require.Equal(t, 1.0, e.job(id)["attempt"])
			if by == "id" {
				e.problem(ask("l"), 409, "job-not-pending", "")
			} else {
				require.Equal(t, http.StatusNoContent, ask("l").status)
			}
			lease := first.json(t)
			require.Equal(t, http.StatusOK, e.on(lease, "finish", "").status)
			e.problem(ask("k"), 409, "lease-lost", "")
		})
	}
}

// A lease that was canceled is handed over as such, and one that was released is not.
func TestDequeuingOnceAfterTheEndOfTheLease(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	const body = `{"types":["t"]}`
	id := e.create(`{"type":"t"}`)["id"].(string)
	first := e.with("POST", "/v1/dequeue", body, keyHeader, "k").json(t)
	require.Equal(t, http.StatusOK, e.on(first, "release", "").status)
	second := e.with("POST", "/v1/dequeue", body, keyHeader, "k").json(t)
	require.NotEqual(t, first["token"], second["token"])
	require.Equal(t, 2.0, second["attempt"])
	require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs/"+id+"/cancel", "").status)
	third := e.with("POST", "/v1/dequeue", body, keyHeader, "k")
	require.Equal(t, http.StatusCreated, third.status, third.body)
	require.Equal(t, second["token"], third.json(t)["token"])
	require.Equal(t, true, third.json(t)["canceled"])
}

// While the first call waits, another one with its key is told so.
func TestKeyInUse(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	const body = `{"types":["t"],"wait_seconds":60}`
	answered := make(chan *httptest.ResponseRecorder, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/dequeue", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(keyHeader, "k")
		recorder := httptest.NewRecorder()
		e.handler.ServeHTTP(recorder, r)
		answered <- recorder
	}()
	// Until the first one has the key.
	for began := time.Now(); e.with("POST", "/v1/dequeue", `{"types":["t"]}`, keyHeader, "k").status == http.StatusNoContent; runtime.Gosched() {
		require.Less(t, time.Since(began), soon)
	}
	got := e.with("POST", "/v1/dequeue", body, keyHeader, "k")
	e.problem(got, 409, "idempotency-key-in-use", "")
	require.Equal(t, "1", got.header.Get("Retry-After"))
	stop() // the first one goes away, and has not used the key
	receive(t, answered, "the answer to the first call")
	id := e.create(`{"type":"t"}`)["id"]
	lease := e.with("POST", "/v1/dequeue", body, keyHeader, "k")
	require.Equal(t, http.StatusCreated, lease.status, lease.body)
	require.Equal(t, id, lease.json(t)["id"])
}

// A lease whose answer could not be written is kept for the one who asks again with its key:
// the same lease, at no cost.
func TestLeaseIsKeptForAKey(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	for name, writer := range map[string]*brokenWriter{"write": {write: broken}, "flush": {flush: broken}, "gone": {}} {
		for _, by := range []string{"dequeue", "id"} {
			t.Run(name+"/"+by, func(t *testing.T) {
				t.Parallel()
				store := newStore(t)
				e := newEdge(t, store, api.Options{})
				id := e.create(`{"type":"t"}`)["id"].(string)
				path := "/v1/dequeue"
				if by == "id" {
					path = "/v1/jobs/" + id + "/dequeue"
				}
				body := map[string]string{"dequeue": `{"types":["t"]}`, "id": `{}`}[by]
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if name == "gone" {
					leave()
				}
				r := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set(keyHeader, "k")
				e.handler.ServeHTTP(&brokenWriter{httptest.NewRecorder(), writer.write, writer.flush}, r)
				tokens, err := store.Heartbeats(t.Context(), 0)
				require.NoError(t, err)
				require.Len(t, tokens, 1)
				got := e.with("POST", path, body, keyHeader, "k")
				require.Equal(t, http.StatusCreated, got.status, got.body)
				require.Equal(t, tokens[0].String(), got.json(t)["token"])
				require.Equal(t, 1.0, got.json(t)["attempt"])
				require.NotContains(t, e.log.String(), tokens[0].String())
			})
		}
	}
}

// A server that stops does not tell a client that its call has no lease, which it may have.
func TestDequeuingOnceWhileStopping(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	e := newEngineEdge(t, api.Options{Stopping: stopping})
	e.create(`{"type":"t"}`)
	require.Equal(t, http.StatusCreated, e.with("POST", "/v1/dequeue", `{"types":["t"]}`, keyHeader, "k").status)
	stop()
	got := e.with("POST", "/v1/dequeue", `{"types":["t"]}`, keyHeader, "k")
	e.problem(got, 503, "unavailable", "")
	require.Equal(t, "1", got.header.Get("Retry-After"))
}

// The header traceparent is for the jobs that have none of their own, if it is sound.
func TestTraceContext(t *testing.T) {
	t.Parallel()
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const own = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, c := range map[string]struct {
		header []string
		want   any // of the job without one of its own
	}{
		"sound":       {[]string{"traceparent", header}, header},
		"in capitals": {[]string{"TraceParent", header}, header},
		"none":        {nil, nil},
		"empty":       {[]string{"traceparent", ""}, nil},
		"malformed":   {[]string{"traceparent", "00-" + header}, nil},
		"long":        {[]string{"traceparent", strings.Repeat("x", 5000)}, nil},
		"twice":       {[]string{"traceparent", header, "traceparent", header}, nil},
		"a list":      {[]string{"traceparent", header + "," + header}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngineEdge(t, api.Options{})
			got := e.with("POST", "/v1/jobs", `{"type":"a"}`, c.header...)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			require.Equal(t, c.want, got.json(t)["traceparent"])
			got = e.with("POST", "/v1/jobs", `{"type":"b","traceparent":"`+own+`"}`, c.header...)
			require.Equal(t, own, got.json(t)["traceparent"])
			got = e.with("POST", "/v1/jobs/batch", `{"jobs":[{"type":"c"},{"type":"d","traceparent":"`+own+`"}]}`, c.header...)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			for jobType, want := range map[string]any{"a": c.want, "b": own, "c": c.want, "d": own} {
				require.Equal(t, want, e.lease(`{"types":["` + jobType + `"]}`)["traceparent"], jobType)
			}
		})
	}
}
