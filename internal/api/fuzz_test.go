package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Whatever a body is, it is accepted or refused with a problem, and what is accepted means
// what encoding/json takes it to mean.
func FuzzCreateJob(f *testing.F) {
	for _, seed := range []string{
		`{"type":"t"}`,
		`{"type":"merge","channel":"acme","args":{"a":[1,"\u0000",{"b":null}]},"dependencies":["01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"],"run_if":"all_finished","max_retries":3}`,
		"{\"type\":\"t\",\"args\":\"\xff\"}",
		`{"type":"t","args":1,"args":2}`,
		`{"type":"t","priority":-7,"run_at":"2026-11-17T22:00:00.0000001+01:00","expires_at":"2999-01-01T00:00:00Z","timeout_seconds":1.5,"max_timeouts":2}`,
		`{"type":"t","delay_seconds":1e-9,"heartbeat_timeout_seconds":604800,"retry":{"max_attempts":3,"factor":1.5,"jitter":0}}`,
		`{"type":"t","unique_key":"ä","labels":{"a":"b","c":""},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`,
		`{"type":"t","name":"a","needs":["b",{"name":"c","if":"finished"}]}`,
		`{"typ\u0065":"t","args":"\ud800"}`,
		`{"type":"t"} {`,
		`null`,
		strings.Repeat(`{"args":`, 70),
	} {
		f.Add([]byte(seed))
	}
	// Inputs come one at a time, so one server serves them all.
	var got *queue.NewJob
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		if _, err := queue.NewGraph(jobs); err != nil {
			return nil, err
		}
		got = &jobs[0]
		lane := got.Lane()
		return enqueued(queue.Status{
			ID: uuid.New(), Type: lane.Type, Channel: lane.Channel, State: queue.Pending, Dependencies: got.Dependencies,
		}), nil
	}}
	handler, err := api.New(q, api.Options{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		got = nil
		r := httptest.NewRequest(http.MethodPost, "/v1/jobs", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)

		if w.Code != http.StatusCreated {
			require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.True(t, json.Valid(w.Body.Bytes()))
			require.Nil(t, got)
			return
		}
		var want struct {
			Type         string
			Channel      string
			Args         json.RawMessage
			Dependencies []uuid.UUID
			Priority     int
			RunAt        time.Time `json:"run_at"`
			UniqueKey    string    `json:"unique_key"`
			Labels       map[string]string
		}
		require.NoError(t, json.Unmarshal(body, &want))
		if want.Args == nil {
			want.Args = json.RawMessage("null")
		}
		require.Equal(t, want.Type, got.Type)
		require.Equal(t, want.Channel, got.Channel)
		require.Equal(t, string(want.Args), string(got.Args))
		require.ElementsMatch(t, want.Dependencies, got.Dependencies)
		require.Equal(t, want.Priority, got.Priority)
		require.Less(t, got.RunAt.Sub(want.RunAt), time.Microsecond)
		require.GreaterOrEqual(t, got.RunAt.Sub(want.RunAt), time.Duration(0))
		require.Equal(t, want.UniqueKey, got.UniqueKey)
		require.Equal(t, want.Labels, got.Labels)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}

// Whatever a batch is, it is accepted as a whole and as it is meant, or refused as a whole.
func FuzzCreateJobs(f *testing.F) {
	for _, seed := range []string{
		`{"jobs":[{"type":"t"}]}`,
		`{"jobs":[{"type":"t","name":"a","args":[1, 2]},{"type":"u","needs":["a"]},{"needs":[{"if":"succeeded","name":"a"}],"type":"u"}]}`,
		`{"jobs":[{"type":"t","name":"a","needs":["b"]},{"type":"t","name":"b","needs":["a"]}]}`,
		`{"jobs":[{"type":"t","args":"` + strings.Repeat("x", 200) + `"}` + strings.Repeat(`,{"type":"t","args":{"x":1}}`, 9) + `]}`,
		`{"jobs":[]}`,
		`{"jobs":[{"type":"t","needs":["\ud800"]},null]}`,
	} {
		f.Add([]byte(seed))
	}
	var got []queue.NewJob
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		if _, err := queue.NewGraph(jobs); err != nil {
			return nil, err
		}
		got = jobs
		return slices.Repeat(enqueued(queue.Status{State: queue.Pending}), len(jobs)), nil
	}}
	handler, err := api.New(q, api.Options{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		got = nil
		r := httptest.NewRequest(http.MethodPost, "/v1/jobs/batch", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.True(t, json.Valid(w.Body.Bytes()))
		if w.Code != http.StatusCreated {
			require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Nil(t, got)
			return
		}
		var want struct {
			Jobs []struct {
				Type  string
				Name  string
				Args  json.RawMessage
				Needs []any
			}
		}
		require.NoError(t, json.Unmarshal(body, &want))
		require.Len(t, got, len(want.Jobs))
		for i, job := range want.Jobs {
			if job.Args == nil {
				job.Args = json.RawMessage("null")
			}
			require.Equal(t, job.Type, got[i].Type)
			require.Equal(t, job.Name, got[i].Name)
			require.Equal(t, string(job.Args), string(got[i].Args))
			require.Len(t, got[i].Needs, len(job.Needs))
			for k, need := range job.Needs {
				if object, ok := need.(map[string]any); ok {
					need = object["name"]
				}
				require.Equal(t, need, got[i].Needs[k].Name)
			}
		}
	})
}

// Whatever reports are, each reaches the queue as it is meant or is answered with a code, in order.
func FuzzDequeueBatch(f *testing.F) {
	const token = `"token":"01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"`
	for _, seed := range []string{
		`{"types":["t"],"max":1}`,
		`{"types":["t"],"max":1000,"finish":[{` + token + `,"result":[1, 2]},{"token":"01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b04","error":{"reason":"x"}}]}`,
		`{"types":["t"],"max":1,"finish":[{` + token + `,"error":{"reason":"timeout"},"retryable":true,"retry_after_seconds":1e300}]}`,
		`{"types":["t"],"max":1,"finish":[{` + token + `,"result":null,"error":{"reason":"x"}},{` + token + `}]}`,
		`{"types":["t"],"max":-1,"finish":[]}`,
	} {
		f.Add([]byte(seed))
	}
	var got *queue.BatchRequest
	q := &stub{batch: func(_ context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
		if err := request.Validate(); err != nil {
			return queue.BatchAnswer{}, err
		}
		got = &request
		return queue.BatchAnswer{Reported: make([]queue.Reported, len(request.Reports))}, nil
	}}
	handler, err := api.New(q, api.Options{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		got = nil
		r := httptest.NewRequest(http.MethodPost, "/v1/dequeue/batch", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.True(t, json.Valid(w.Body.Bytes()))
		if w.Code != http.StatusOK {
			require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
			require.Nil(t, got)
			return
		}
		var want struct {
			Finish []struct {
				Token  uuid.UUID
				Result json.RawMessage
			}
		}
		require.NoError(t, json.Unmarshal(body, &want))
		var answer struct {
			Finished []struct {
				Token uuid.UUID
				Code  string
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Len(t, answer.Finished, len(want.Finish))
		reports := got.Reports
		for i, item := range want.Finish {
			require.Equal(t, item.Token, answer.Finished[i].Token)
			if answer.Finished[i].Code != "" {
				continue // it did not reach the queue
			}
			require.Equal(t, item.Token, reports[0].Token)
			if item.Result != nil {
				require.Equal(t, string(item.Result), string(reports[0].Result))
			}
			reports = reports[1:]
		}
		require.Empty(t, reports)
	})
}

// Whatever an If-Match or a cursor is, it is read or refused.
func FuzzTexts(f *testing.F) {
	for _, seed := range []string{`*`, `"1"`, `W/"1", "2"`, `"1" "2"`, `,`, "AX5hcmU", `failed,canceled`, "10"} {
		f.Add(seed)
	}
	q := allFail(queue.ErrNotExist)
	handler, err := api.New(q, api.Options{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		patch := httptest.NewRequest(http.MethodPatch, "/v1/jobs/"+testID, strings.NewReader(`{"priority":1}`))
		patch.Header.Set("Content-Type", "application/json")
		patch.Header["If-Match"] = []string{text}
		list := httptest.NewRequest(http.MethodGet, "/v1/jobs", http.NoBody)
		list.URL.RawQuery = url.Values{"cursor": {text}, "state": {text}, "limit": {text}}.Encode()
		for _, r := range []*http.Request{patch, list} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, w.Code, w.Body.String())
			require.True(t, json.Valid(w.Body.Bytes()))
		}
	})
}
