package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
	at := time.Date(2026, 11, 17, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		first, second string
		want          queue.Listing
	}{
		{"", "limit=1000", queue.Listing{Limit: 1000}},
		{"limit=1", "", queue.Listing{Limit: 100}},
		{"", all + "&order=newest", queue.Listing{Limit: 100}},
		{all, "limit=7", queue.Listing{Limit: 7}},
		{"state=failed", "state=failed&limit=5", queue.Listing{Limit: 5, Filter: queue.Filter{States: []queue.State{queue.Failed}}}},
		{
			"state=failed,pending", "state=pending,failed",
			queue.Listing{Limit: 100, Filter: queue.Filter{States: []queue.State{queue.Pending, queue.Failed}}},
		},
		{"type=a,b&channel=x", "channel=x&type=b,a", queue.Listing{Limit: 100, Filter: queue.Filter{Types: []string{"b", "a"}, Channels: []string{"x"}}}},
		{
			"label=a&label=b%3D%3D1", "label=b==1&label=a",
			queue.Listing{Limit: 100, Filter: queue.Filter{Labels: []queue.LabelFilter{{Name: "b", Value: new("=1")}, {Name: "a"}}}},
		},
		{
			"queued_from=2026-11-17T10:00:00%2B01:00&queued_before=2026-11-18T00:00:00Z", "queued_before=2026-11-18T00:00:00.000Z&queued_from=2026-11-17T09:00:00Z",
			queue.Listing{Limit: 100, Filter: queue.Filter{QueuedFrom: at, QueuedBefore: at.Add(15 * time.Hour)}},
		},
		{"order=oldest", "order=oldest&fields=type,args", queue.Listing{
			Limit: 100, OldestFirst: true, Omit: queue.Parts{Outcome: true, Reported: true, Dependents: true},
		}},
		{"fields=id", "fields=result,progress,dependents", queue.Listing{Limit: 100, Omit: queue.Parts{Args: true}}},
	} {
		cursor := cursorOf(c.first)
		got := e.send("GET", "/v1/jobs?"+c.second+"&cursor="+cursor, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		c.want.After = before
		require.Equal(t, c.want, asked)
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
		"cursor of a type":       "state=failed&type=b&cursor=" + cursorOf("state=failed&type=a"),
		"cursor of a label":      "label=b&cursor=" + cursorOf("label=b%3D"),
		"cursor of a time":       "queued_from=2026-11-17T09:00:00Z&cursor=" + cursorOf("queued_before=2026-11-17T09:00:00Z"),
		"cursor of the oldest":   "state=failed&cursor=" + cursorOf("state=failed&order=oldest"),
		"empty":                  "state=failed&cursor=",
		"garbage":                "state=failed&cursor=%00%ff",
		"an id":                  "state=failed&cursor=" + uuid.NewString(),
		"cut":                    "state=failed&cursor=" + good[:len(good)-1],
		"long":                   "state=failed&cursor=" + good + "A",
		"very long":              "state=failed&cursor=" + strings.Repeat("A", 10_000),
		"other letters":          "state=failed&cursor=" + strings.Repeat("+", len(good)),
		"with a line's end":      "state=failed&cursor=" + good[:len(good)-1] + "%0A",
		"another version":        "state=failed&cursor=" + changed(0, 1),
		"another digest":         "state=failed&cursor=" + changed(1, raw[1]+1),
		"no id":                  "state=failed&cursor=" + base64.RawURLEncoding.EncodeToString(append(append([]byte{}, raw[:9]...), make([]byte, 16)...)),
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
		"state=":                             "state",
		"state=dead":                         "state",
		"state=Failed":                       "state",
		"state=failed,":                      "state",
		"state=,failed":                      "state",
		"state=failed,failed":                "state",
		"state=failed%20":                    "state",
		"state=failed;canceled":              "",
		"state=invalid":                      "state",
		"state=failed&state=canceled":        "state",
		"limit=":                             "limit",
		"limit=0":                            "limit",
		"limit=1001":                         "limit",
		"limit=-1":                           "limit",
		"limit=%2B5":                         "limit",
		"limit=1e2":                          "limit",
		"limit=1.0":                          "limit",
		"limit=0x10":                         "limit",
		"limit=ten":                          "limit",
		"limit=1_0":                          "limit",
		"limit=18446744073709551617":         "limit",
		"limit=1&limit=1":                    "limit",
		"cursor=x&cursor=y":                  "cursor",
		"type=":                              "type",
		"type=a,,b":                          "type",
		"type=a,a":                           "type",
		"type=a&type=b":                      "type",
		"type=a%20b":                         "type[0]",
		"channel=b,%00":                      "channel[1]",
		"label=":                             "label",
		"label==x":                           "label",
		"label=a&label=a%3D1":                "label",
		"label=a%3D%ff":                      "label",
		"queued_from=yesterday":              "queued_from",
		"queued_from=1":                      "queued_from",
		"queued_before=2026-13-01T00:00:00Z": "queued_before",
		"queued_from=0001-01-01T00:00:00Z":   "queued_from",
		"queued_from=2026-11-17T9:30:00Z":    "queued_from", // as in a body, it is RFC 3339 or nothing
		"queued_from=2026-11-17T09:30:00,5Z": "queued_from",
		"queued_before=2026-11-17T09:30:00%2B24:00":                           "queued_before",
		"queued_from=2026-11-18T00:00:00Z&queued_before=2026-11-17T00:00:00Z": "queued_before",
		"order=":              "order",
		"order=random":        "order",
		"fields=":             "fields",
		"fields=args,nothing": "fields",
		"fields=args,args":    "fields",
		"fields=*":            "fields",
		"kind=t":              "kind",
		"wait_seconds=1":      "wait_seconds",
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

func TestListsAreFilteredAndCutToFields(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	first := e.create(`{"type":"a","channel":"x","args":{"b":[1]},"labels":{"team":"print"}}`)
	second := e.create(`{"type":"b","labels":{"team":"web"}}`)
	third := e.create(`{"type":"a"}`)
	for query, want := range map[string][]any{
		"type=a":                           {third["id"], first["id"]},
		"type=a&order=oldest":              {first["id"], third["id"]},
		"type=a,b&channel=default":         {third["id"], second["id"]},
		"label=team":                       {second["id"], first["id"]},
		"label=team%3Dweb":                 {second["id"]},
		"label=team=web&label=size":        {},
		"type=c":                           {},
		"queued_from=2100-01-01T00:00:00Z": {},
		"queued_before=2100-01-01T00:00:00Z&queued_from=2000-01-01T00:00:00Z&limit=1": {third["id"], second["id"], first["id"]},
	} {
		require.Equal(t, want, flat(e.pages(query)), query)
	}
	got := e.send("GET", "/v1/jobs?fields=type,args,result&channel=x", "")
	require.Equal(t, `{"jobs":[{"args":{"b":[1]},"id":"`+first["id"].(string)+`","type":"a"}]}`+"\n", got.body)
	got = e.send("GET", "/v1/jobs?fields=id&label=team=web", "")
	require.Equal(t, `{"jobs":[{"id":"`+second["id"].(string)+`"}]}`+"\n", got.body)
}
