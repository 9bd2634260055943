package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

func TestDequeueHandsOverTheJob(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{HeartbeatTimeout: 90 * time.Second})
	first := e.create(`{"type":"part"}`)["id"]
	second := e.create(`{"type":"part"}`)["id"]
	job := e.create(`{"type":"merge","channel":"acme","args":{"out":1},"run_if":"all_finished","dependencies":["` +
		first.(string) + `","` + second.(string) + `"]}`)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["part"]}`), "finish", `{"result":{"pages":12}}`).status)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["part"]}`), "fail", `{"error":{"reason":"broken","details":[1]}}`).status)

	lease := e.lease(`{"types":["other","merge"],"channels":["acme"],"wait_seconds":1.5,"worker":"rack4"}`)
	token := lease["token"].(string)
	id, err := uuid.Parse(token)
	require.NoError(t, err)
	require.EqualValues(t, 4, id.Version())
	require.Equal(t, map[string]any{
		"token": token, "id": job["id"], "type": "merge", "channel": "acme", "args": map[string]any{"out": 1.0},
		"attempt": 1.0, "canceled": false, "heartbeat_timeout_seconds": 90.0, "heartbeat_in_seconds": 30.0,
		"dependencies": []any{
			map[string]any{"id": first, "type": "part", "state": "finished", "result": map[string]any{"pages": 12.0}},
			map[string]any{"id": second, "type": "part", "state": "failed", "error": map[string]any{"reason": "broken", "details": []any{1.0}}},
		},
	}, lease)
	require.Equal(t, lease, e.send("GET", "/v1/leases/"+token, "").json(t))
	require.Equal(t, "rack4", e.job(job["id"])["worker"])
	beat := e.on(lease, "heartbeat", "")
	require.JSONEq(t, `{"canceled":false,"heartbeat_timeout_seconds":90,"heartbeat_in_seconds":30}`, beat.body)
}

func TestHeartbeatComesInWholeMilliseconds(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]string{
		4 * time.Second:          `"heartbeat_in_seconds":1.333,"heartbeat_timeout_seconds":4`,
		20 * time.Second:         `"heartbeat_in_seconds":6.666,"heartbeat_timeout_seconds":20`,
		90100 * time.Millisecond: `"heartbeat_in_seconds":30.033,"heartbeat_timeout_seconds":90.1`,
		3 * time.Millisecond:     `"heartbeat_in_seconds":0.001,"heartbeat_timeout_seconds":0.003`,
		1500 * time.Microsecond:  `"heartbeat_in_seconds":0.0005,"heartbeat_timeout_seconds":0.0015`,
	} {
		e := newEngineEdge(t, api.Options{HeartbeatTimeout: timeout})
		e.create(`{"type":"t"}`)
		got := e.send("POST", "/v1/dequeue", `{"types":["t"]}`)
		require.Contains(t, got.body, want)
		require.Contains(t, e.on(got.json(t), "heartbeat", "").body, want)
	}
}

func TestNothingToDequeue(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	e.create(`{"type":"t"}`)
	for _, body := range []string{`{"types":["u"]}`, `{"types":["t"],"channels":["acme"]}`, `{"types":["u"],"wait_seconds":0.001}`} {
		got := e.send("POST", "/v1/dequeue", body)
		require.Equal(t, http.StatusNoContent, got.status, got.body)
		require.Empty(t, got.body)
		require.NotContains(t, got.header, "Content-Type")
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, operation, body string
		same, other           string
		state                 string
	}{
		{"finish without body", "finish", ``, `{"result":null}`, `{"result":0}`, "finished"},
		{"finish with empty object", "finish", `{}`, ``, `{"result":""}`, "finished"},
		{"finish with result", "finish", `{"result":{"a":1}}`, `{"result":{"a":1}}`, ``, "finished"},
		{"fail", "fail", `{"error":{"reason":"x"}}`, `{"error":{"reason":"x"}}`, `{"error":{"reason":"y"}}`, "failed"},
		{"fail with details", "fail", `{"error":{"reason":"x","details":"d"}}`, `{"error":{"details":"d","reason":"x"}}`, `{"error":{"reason":"x"}}`, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEngineEdge(t, api.Options{})
			job := e.create(`{"type":"t"}`)
			lease := e.lease(`{"types":["t"]}`)
			for _, body := range []string{c.body, c.same} {
				got := e.on(lease, c.operation, body)
				require.Equal(t, http.StatusOK, got.status, got.body)
				require.JSONEq(t, `{"state":"`+c.state+`"}`, got.body)
			}
			e.problem(e.on(lease, c.operation, c.other), 409, "already-reported", "")
			e.problem(e.on(lease, "heartbeat", ""), 409, "lease-lost", "")
			e.problem(e.on(lease, "release", ""), 409, "lease-lost", "")
			e.problem(e.send("GET", "/v1/leases/"+lease["token"].(string), ""), 409, "lease-lost", "")
			require.Equal(t, c.state, e.job(job["id"])["state"])
		})
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t"}`)
	lease := e.lease(`{"types":["t"]}`)
	for range 2 {
		got := e.on(lease, "release", "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, `{"state":"pending"}`, got.body)
	}
	require.Equal(t, 0.0, e.job(job["id"])["retries"])
	e.problem(e.on(lease, "finish", ""), 409, "lease-lost", "")
	require.Equal(t, 2.0, e.lease(`{"types":["t"]}`)["attempt"])
}

func TestCanceledUnderALease(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t"}`)
	lease := e.lease(`{"types":["t"]}`)
	require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs/"+job["id"].(string)+"/cancel", "").status)
	require.Equal(t, true, e.on(lease, "heartbeat", "{}").json(t)["canceled"])
	require.Equal(t, true, e.send("GET", "/v1/leases/"+lease["token"].(string), "").json(t)["canceled"])
	e.problem(e.on(lease, "finish", ""), 409, "job-canceled", "")
	require.JSONEq(t, `{"state":"canceled"}`, e.on(lease, "release", "").body)
}

func TestUnknownToken(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	path := "/v1/leases/" + uuid.NewString()
	e.problem(e.send("GET", path, ""), 404, "lease-not-found", "")
	for _, operation := range []string{"heartbeat", "finish", "release"} {
		e.problem(e.send("POST", path+"/"+operation, ""), 404, "lease-not-found", "")
	}
	e.problem(e.send("POST", path+"/fail", `{"error":{"reason":"x"}}`), 404, "lease-not-found", "")
}

// Whoever waits when the server begins to stop is answered at once, and nobody waits after.
func TestStoppingEndsWaits(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	asked := make(chan struct{}, 2)
	q := &stub{
		dequeue: func(ctx context.Context, _ queue.DequeueRequest) (queue.Lease, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return queue.Lease{}, queue.ErrDequeueTimeout
		},
		await: func(ctx context.Context, id uuid.UUID) (queue.Status, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
		},
		status: func(_ context.Context, id uuid.UUID) (queue.Status, error) {
			return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
		},
		job: func(_ context.Context, id uuid.UUID) (queue.Job, error) {
			return queue.Job{ID: id, Type: "t", Channel: "c"}, nil
		},
	}
	e := newEdge(t, q, api.Options{Stopping: stopping})
	path := "/v1/jobs/" + uuid.NewString() + "?wait_seconds=60"
	waiting := make(chan int, 2)
	ask := func(method, target, body string) {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		e.handler.ServeHTTP(recorder, r)
		waiting <- recorder.Code
	}
	go ask("POST", "/v1/dequeue", `{"types":["t"],"wait_seconds":60}`)
	go ask("GET", path, "")
	<-asked
	<-asked
	require.Equal(t, http.StatusOK, e.send("GET", "/readyz", "").status)
	stop()
	require.ElementsMatch(t, []int{http.StatusNoContent, http.StatusOK}, []int{<-waiting, <-waiting})

	require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["t"],"wait_seconds":60}`).status)
	require.Equal(t, http.StatusOK, e.send("GET", path, "").status)
	e.problem(e.send("GET", "/readyz", ""), 503, "unavailable", "")
	require.Equal(t, http.StatusOK, e.send("GET", "/healthz", "").status)
}

// What is ready when the server stops is for the next one: a lease would outlive this one.
func TestNothingIsGrantedWhileStopping(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	e := newEngineEdge(t, api.Options{Stopping: stopping})
	job := e.create(`{"type":"t"}`)
	stop()
	for _, body := range []string{`{"types":["t"]}`, `{"types":["t"],"wait_seconds":1}`} {
		require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", body).status)
	}
	require.Equal(t, "pending", e.job(job["id"])["state"])
}

func TestNobodyWaitsForAJobWhileStopping(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(context.Background())
	stop()
	q := &stub{ // without an await
		status: func(_ context.Context, id uuid.UUID) (queue.Status, error) {
			return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Running}, nil
		},
		job: func(_ context.Context, id uuid.UUID) (queue.Job, error) {
			return queue.Job{ID: id, Type: "t", Channel: "c"}, nil
		},
	}
	e := newEdge(t, q, api.Options{Stopping: stopping})
	got := e.send("GET", "/v1/jobs/"+uuid.NewString()+"?wait_seconds=60", "")
	require.Equal(t, http.StatusOK, got.status, got.body)
}
