package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

func TestManyJobsAreCanceledRetriedAndDeleted(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	call := func(path, body string, matched, changed float64) map[string]any {
		t.Helper()
		got := e.send("POST", "/v1/jobs/"+path, body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		answer := got.json(t)
		require.Equal(t, matched, answer["matched"], got.body)
		require.Equal(t, changed, answer["changed"], got.body)
		return answer
	}
	for range 300 { // more than one step
		e.create(`{"type":"a"}`)
	}
	for range 5 {
		e.create(`{"type":"b","labels":{"team":"print"}}`)
	}
	one := e.create(`{"type":"b","channel":"x","unique_key":"k"}`)
	call("cancel", `{"filter":{"types":["b"]},"dry_run":true}`, 6, 0)
	call("cancel", `{"filter":{"types":["b"],"labels":["team=print"]}}`, 5, 5)
	call("cancel", `{"filter":{"types":["b"],"labels":["team"]}}`, 0, 0)
	call("cancel", `{"filter":{"channels":["x"],"states":["pending","running"]}}`, 1, 1)
	other := e.create(`{"type":"b","channel":"x","unique_key":"k"}`)
	call("retry", `{"filter":{"types":["b"]}}`, 6, 5) // the unique key is taken
	require.Equal(t, "canceled", e.job(one["id"])["state"])
	require.Equal(t, "pending", e.job(other["id"])["state"])

	total, body := 0.0, `{"all":true,"limit":100}`
	for calls := 1; ; calls++ {
		got := e.send("POST", "/v1/jobs/cancel", body).json(t)
		total += got["changed"].(float64)
		if got["next_cursor"] == nil {
			require.Equal(t, 4, calls)
			break
		}
		e.create(`{"type":"late"}`)
		body = `{"all":true,"limit":100,"cursor":"` + got["next_cursor"].(string) + `"}`
	}
	require.Equal(t, 306.0, total)
	call("delete", `{"filter":{"types":["late"]}}`, 0, 0)
	call("delete", `{"filter":{"queued_before":"2000-01-01T00:00:00Z"}}`, 0, 0)
	call("delete", `{"all":true,"dry_run":true}`, 307, 0)
	call("delete", `{"all":true}`, 307, 307)
	require.Len(t, flat(e.pages("")), 3)
}

func TestBadCallsAboutManyJobs(t *testing.T) {
	t.Parallel()
	q := &stub{list: func(context.Context, queue.Listing) (queue.Page, error) { return queue.Page{Next: uuid.New()}, nil }}
	e := newEdge(t, q, api.Options{MaxWait: 1})
	for body, field := range map[string]string{
		`{}`:                                           "filter",
		`{"filter":{}}`:                                "filter",
		`{"all":false}`:                                "filter",
		`{"all":true,"filter":{"types":["a"]}}`:        "all",
		`{"filter":{"types":[]}}`:                      "filter.types",
		`{"filter":{"channels":[]}}`:                   "filter.channels",
		`{"filter":{"labels":[]}}`:                     "filter.labels",
		`{"filter":{"labels":["a","a=1"]}}`:            "filter.labels",
		`{"filter":{"states":[]}}`:                     "filter.states",
		`{"filter":{"states":["over"]}}`:               "filter.states[0]",
		`{"filter":{"states":["pending","finished"]}}`: "filter.states[1]",
		`{"filter":{"states":["pending","pending"]}}`:  "filter.states[1]",
		`{"filter":{"types":["a","b c"]}}`:             "filter.types[1]",
		`{"filter":{"channels":["b c"]}}`:              "filter.channels[0]",
		`{"filter":{"queued_from":"2026-01-02T00:00:00Z","queued_before":"2026-01-01T00:00:00Z"}}`: "filter.queued_before",
		`{"filter":{"type":"a"}}`:                                      "filter.type",
		`{"all":true,"limit":0}`:                                       "limit",
		`{"all":true,"limit":1000001}`:                                 "limit",
		`{"all":true,"cursor":"x"}`:                                    "cursor",
		`{"all":true,"dry_run":1}`:                                     "dry_run",
		`{"filter":{"types":["` + strings.Repeat(`a","`, 64) + `b"]}}`: "filter.types",
	} {
		got := e.send("POST", "/v1/jobs/cancel", body)
		require.Equal(t, 400, got.status, "%s: %s", body, got.body)
		e.problem(got, 400, "invalid-request", field)
	}
	for path, state := range map[string]string{"cancel": "failed", "retry": "finished", "delete": "running"} {
		got := e.send("POST", "/v1/jobs/"+path, `{"filter":{"states":["`+state+`"]}}`)
		e.problem(got, 400, "invalid-request", "filter.states[0]")
	}
}

func TestACursorIsGoodForItsCallOnly(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for range 2 {
		e.create(`{"type":"a"}`)
	}
	next := e.send("POST", "/v1/jobs/cancel", `{"filter":{"types":["a"]},"limit":1}`).json(t)["next_cursor"].(string)
	for path, filter := range map[string]string{"cancel": `{"types":["b"]}`, "delete": `{"types":["a"]}`} {
		got := e.send("POST", "/v1/jobs/"+path, `{"filter":`+filter+`,"cursor":"`+next+`"}`)
		e.problem(got, 400, "invalid-request", "cursor")
	}
	require.Equal(t, 1.0, e.send("POST", "/v1/jobs/cancel", `{"filter":{"types":["a"]},"cursor":"`+next+`"}`).json(t)["changed"])
}
