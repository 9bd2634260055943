package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
		`{"typ\u0065":"t","args":"\ud800"}`,
		`{"type":"t"} {`,
		`null`,
		strings.Repeat(`{"args":`, 70),
	} {
		f.Add([]byte(seed))
	}
	// Inputs come one at a time, so one server serves them all.
	var got *queue.NewJob
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Status, error) {
		got = &jobs[0]
		lane := got.Lane()
		return []queue.Status{{
			ID: uuid.New(), Type: lane.Type, Channel: lane.Channel, State: queue.Pending,
			Dependencies: queue.Distinct(got.Dependencies),
		}}, nil
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
		}
		require.NoError(t, json.Unmarshal(body, &want))
		if want.Args == nil {
			want.Args = json.RawMessage("null")
		}
		require.Equal(t, want.Type, got.Type)
		require.Equal(t, want.Channel, got.Channel)
		require.Equal(t, string(want.Args), string(got.Args))
		require.ElementsMatch(t, want.Dependencies, got.Dependencies)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}
