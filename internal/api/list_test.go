package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// pages reads a whole list, and returns the ids of its pages.
func (e *edge) pages(query string) [][]any {
	e.t.Helper()
	var pages [][]any
	cursor := ""
	for {
		target := "/v1/jobs?" + query
		if cursor != "" {
			target += "&cursor=" + cursor
		}
		got := e.send("GET", target, "")
		require.Equal(e.t, http.StatusOK, got.status, got.body)
		page := []any{}
		for _, job := range got.json(e.t)["jobs"].([]any) {
			page = append(page, job.(map[string]any)["id"])
		}
		pages = append(pages, page)
		next, more := got.json(e.t)["next_cursor"]
		if !more {
			return pages
		}
		cursor = next.(string)
		require.Regexp(e.t, `^[A-Za-z0-9_-]+$`, cursor, "it can stand in a URL as it is")
	}
}

func flat(pages [][]any) []any {
	all := []any{}
	for _, page := range pages {
		all = append(all, page...)
	}
	return all
}

func TestListJobs(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	require.JSONEq(t, `{"jobs":[]}`, e.send("GET", "/v1/jobs", "").body)
	var newestFirst, failed []any
	for i := range 7 {
		id := e.create(fmt.Sprintf(`{"type":"t","args":%d}`, i))["id"]
		newestFirst = append([]any{id}, newestFirst...)
		if i%2 == 0 {
			e.on(e.lease(`{"types":["t"]}`), "fail", `{"error":{"reason":"x"}}`)
			failed = append([]any{id}, failed...)
		} else {
			e.send("POST", "/v1/jobs/"+id.(string)+"/cancel", "")
		}
	}
	require.Equal(t, newestFirst, flat(e.pages("")))
	require.Equal(t, newestFirst, flat(e.pages("limit=1000")))
	pages := e.pages("limit=3")
	require.Equal(t, newestFirst, flat(pages))
	for _, page := range pages {
		require.LessOrEqual(t, len(page), 3)
	}
	require.Equal(t, failed, flat(e.pages("state=failed")))
	require.Equal(t, failed, flat(e.pages("state=failed&limit=1")))
	require.Equal(t, newestFirst, flat(e.pages("state=failed,canceled&limit=2")))
	require.Equal(t, newestFirst, flat(e.pages("state=canceled%2Cfailed&limit=2")))
	require.Empty(t, flat(e.pages("state=running,pending,finished,scheduled,blocked")))

	got := e.send("GET", "/v1/jobs?state=failed&limit=1", "")
	require.Equal(t, []any{e.job(failed[0])}, got.json(t)["jobs"], "as it is shown alone")
	require.Regexp(t, `[^\n]\n$`, got.body)
	require.Equal(t, http.StatusOK, e.send("HEAD", "/v1/jobs?state=failed", "").status)
	e.problem(e.send("GET", "/v1/jobs?limit=0", ""), 400, "invalid-request", "limit")
}

// A cursor is good for the list that it is of, whatever its states are called, and its limit.
func TestCursors(t *testing.T) {
	t.Parallel()
	before := uuid.Must(uuid.NewV7())
	var asked queue.Listing
	q := &stub{list: func(_ context.Context, listing queue.Listing) (queue.Page, error) {
		asked = listing
		return queue.Page{Next: before}, nil
	}}
	e := newEdge(t, q, api.Options{})
	cursorOf := func(query string) string {
		return e.send("GET", "/v1/jobs?"+query, "").json(t)["next_cursor"].(string)
	}
	const all = "state=canceled,scheduled,blocked,pending,running,finished,failed"
	all7 := strings.TrimPrefix(all, "state=")
	for _, c := range []struct {
		first, second string
		states        []queue.State
		limit         int
	}{
		{"", "limit=1000", nil, 1000},
		{"limit=1", "", nil, 100},
		{"", all, nil, 100},
		{all, "limit=7", nil, 7},
		{"state=failed", "state=failed&limit=5", []queue.State{queue.Failed}, 5},
		{"state=failed,pending", "state=pending,failed", []queue.State{queue.Pending, queue.Failed}, 100},
	} {
		cursor := cursorOf(c.first)
		got := e.send("GET", "/v1/jobs?"+c.second+"&cursor="+cursor, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, queue.Listing{States: c.states, Before: before, Limit: c.limit}, asked)
	}

	good := cursorOf("state=failed")
	raw, err := base64.RawURLEncoding.DecodeString(good)
	require.NoError(t, err)
	changed := func(at int, to byte) string {
		other := append([]byte{}, raw...)
		other[at] = to
		return base64.RawURLEncoding.EncodeToString(other)
	}
	for name, query := range map[string]string{
		"cursor of another list": "state=canceled&cursor=" + good,
		"cursor of fewer states": "state=failed,canceled&cursor=" + good,
		"cursor of one state":    "cursor=" + good,
		"cursor of all":          "state=failed&cursor=" + cursorOf(""),
		"empty":                  "state=failed&cursor=",
		"garbage":                "state=failed&cursor=%00%ff",
		"an id":                  "state=failed&cursor=" + uuid.NewString(),
		"cut":                    "state=failed&cursor=" + good[:len(good)-1],
		"long":                   "state=failed&cursor=" + good + "A",
		"very long":              "state=failed&cursor=" + strings.Repeat("A", 10_000),
		"other letters":          "state=failed&cursor=" + strings.Repeat("+", len(good)),
		"with a line's end":      "state=failed&cursor=" + good[:len(good)-1] + "%0A",
		"another version":        "state=failed&cursor=" + changed(0, 2),
		"states that are none":   "state=failed&cursor=" + changed(1, 255),
		"no id":                  "state=failed&cursor=" + base64.RawURLEncoding.EncodeToString(append(append([]byte{}, raw[:2]...), make([]byte, 16)...)),
	} {
		got := e.send("GET", "/v1/jobs?"+query, "")
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.body)
		e.problem(got, 400, "invalid-request", "cursor")
		require.LessOrEqual(t, len(got.body), 1000)
	}
	require.NotEmpty(t, all7)
}

func TestBadLists(t *testing.T) {
	t.Parallel()
	for query, field := range map[string]string{
		"state=":                      "state",
		"state=dead":                  "state",
		"state=Failed":                "state",
		"state=failed,":               "state",
		"state=,failed":               "state",
		"state=failed,failed":         "state",
		"state=failed%20":             "state",
		"state=failed;canceled":       "",
		"state=invalid":               "state",
		"state=failed&state=canceled": "state",
		"limit=":                      "limit",
		"limit=0":                     "limit",
		"limit=1001":                  "limit",
		"limit=-1":                    "limit",
		"limit=%2B5":                  "limit",
		"limit=1e2":                   "limit",
		"limit=1.0":                   "limit",
		"limit=0x10":                  "limit",
		"limit=ten":                   "limit",
		"limit=1_0":                   "limit",
		"limit=18446744073709551617":  "limit",
		"limit=1&limit=1":             "limit",
		"cursor=x&cursor=y":           "cursor",
		"type=t":                      "type",
		"wait_seconds=1":              "wait_seconds",
		"state=" + strings.Repeat("failed,", 1000): "state",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			got := e.send("GET", "/v1/jobs?"+query, "")
			e.problem(got, 400, "invalid-request", field)
			require.LessOrEqual(t, len(got.body), 1000)
			if field == "state" || field == "limit" || field == "cursor" {
				// The same names mean nothing to the others.
				e.problem(e.send("POST", "/v1/jobs?"+query, `{"type":"t"}`), 400, "invalid-request", field)
			}
		})
	}
}
