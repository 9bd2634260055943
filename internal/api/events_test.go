package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// event is one server-sent event.
type event struct{ kind, id, data string }

// eventReader reads a stream of a server.
type eventReader struct {
	t     *testing.T
	e     *edge
	resp  *http.Response
	lines *bufio.Scanner
}

// stream opens a stream of events.
func (e *edge) stream(server *httptest.Server, query, lastID string) *eventReader {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	e.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/events"+query, http.NoBody)
	require.NoError(e.t, err)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := server.Client().Do(r)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(e.t, http.StatusOK, resp.StatusCode)
	require.Equal(e.t, "text/event-stream", resp.Header.Get("Content-Type"))
	return newEventReader(e.t, e, resp)
}

func newEventReader(t *testing.T, e *edge, resp *http.Response) *eventReader {
	t.Helper()
	return &eventReader{t: t, e: e, resp: resp, lines: bufio.NewScanner(resp.Body)}
}

// next returns the next event, and holds its data to the contract; false if the stream has ended.
func (r *eventReader) next() (got event, ok bool) {
	r.t.Helper()
	for r.lines.Scan() {
		name, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch {
		case name == "" && got.kind != "":
			schema := map[string]string{"job": "JobEvent", "deleted": "JobEvent", "missed": "MissedEvents"}[got.kind]
			var data any
			require.NoError(r.t, json.Unmarshal([]byte(got.data), &data))
			require.NoError(r.t, r.e.doc.Components.Schemas[schema].Value.VisitJSON(data))
			return got, true
		case name == "event":
			got.kind = value
		case name == "id":
			got.id = value
		case name == "data":
			got.data = value
		}
	}
	return event{}, false
}

func (r *eventReader) requireNext(kind string, job any, state string) event {
	r.t.Helper()
	got, ok := r.next()
	require.True(r.t, ok)
	require.Equal(r.t, kind, got.kind)
	var data map[string]any
	require.NoError(r.t, json.Unmarshal([]byte(got.data), &data))
	require.Equal(r.t, job, data["id"])
	require.Equal(r.t, state, data["state"])
	return got
}

func TestEventsAreStreamed(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	all, channel := e.stream(server, "", ""), e.stream(server, "?channel=x&type=t,u", "")
	first := e.create(`{"type":"t"}`)["id"]
	second := e.create(`{"type":"t","channel":"x"}`)["id"]
	one := e.stream(server, "?id="+first.(string), "")
	all.requireNext("job", first, "pending")
	seen := all.requireNext("job", second, "pending")
	require.Regexp(t, `^[0-9a-f]+-2$`, seen.id)
	channel.requireNext("job", second, "pending")
	e.send("POST", "/v1/jobs/"+second.(string)+"/cancel", "")
	e.send("DELETE", "/v1/jobs/"+second.(string), "")
	all.requireNext("job", second, "canceled")
	all.requireNext("deleted", second, "canceled")
	channel.requireNext("job", second, "canceled")
	e.lease(`{"types":["t"]}`)
	one.requireNext("job", first, "running")

	again := e.stream(server, "", seen.id)
	again.requireNext("job", second, "canceled")
	again.requireNext("deleted", second, "canceled")
	again.requireNext("job", first, "running")

	late := e.stream(server, "", "1-1")
	got, ok := late.next()
	require.True(t, ok)
	require.Equal(t, event{kind: "missed", id: strings.TrimSuffix(seen.id, "2") + "5", data: "{}"}, got)
	e.send("POST", "/v1/jobs/"+first.(string)+"/cancel", "")
	late.requireNext("job", first, "canceled")
}

// A reader whose connection breaks before the first event would not know from where to go on.
func TestAReaderIsToldWhereItBegins(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	e.create(`{"type":"t"}`)
	r := e.stream(server, "?type=u", "")
	require.True(t, r.lines.Scan())
	require.Equal(t, "retry: 1000", r.lines.Text())
	require.True(t, r.lines.Scan())
	require.Regexp(t, `^id: [0-9a-f]+-1$`, r.lines.Text())
	id := strings.TrimPrefix(r.lines.Text(), "id: ")
	require.NoError(t, r.resp.Body.Close())
	job := e.create(`{"type":"u"}`)["id"]
	again := e.stream(server, "?type=u", id)
	require.True(t, again.lines.Scan())
	require.True(t, again.lines.Scan())
	require.Equal(t, "id: "+id, again.lines.Text(), "it has seen nothing since")
	again.requireNext("job", job, "pending")
}

func TestAReaderIsToldWhatItMissed(t *testing.T) {
	t.Parallel()
	calls := 0
	q := &stub{
		position: queue.EventPosition{Epoch: 15, Number: 3},
		events: func(_ context.Context, _ queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error) {
			calls++
			if calls > 1 {
				return queue.Events{}, queue.ErrUnavailable
			}
			require.Equal(t, queue.EventPosition{Epoch: 15, Number: 3}, after)
			require.Equal(t, 1024, most)
			return queue.Events{
				Missed: true, MissedUpTo: 6, Next: queue.EventPosition{Epoch: 15, Number: 12},
				Events: []queue.Event{{Number: 10, State: queue.Pending, Lane: queue.Lane{Channel: "c", Type: "t"}}},
			}, nil
		},
	}
	e := newEdge(t, q, api.Options{})
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	r := e.stream(server, "", "")
	got, ok := r.next()
	require.True(t, ok)
	require.Equal(t, event{kind: "missed", id: "f-9", data: `{"up_to":6}`}, got)
	got, ok = r.next()
	require.True(t, ok)
	require.Equal(t, "f-10", got.id)
	_, ok = r.next()
	require.False(t, ok, "the store is closing")
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	stopping, stop := context.WithCancel(t.Context())
	e := newEngineEdge(t, api.Options{Stopping: stopping})
	server := httptest.NewServer(e.handler)
	t.Cleanup(server.Close)
	r := e.stream(server, "", "")
	stop()
	_, ok := r.next()
	require.False(t, ok)
	e.problem(e.send("GET", "/v1/events", ""), http.StatusServiceUnavailable, "unavailable", "")
}

func TestBadStreams(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	for query, field := range map[string]string{
		"channel=": "channel", "type=a,a": "type", "type=%20": "type[0]", "id=7": "id", "id=" + testID + "," + testID: "id", "state=failed": "state",
	} {
		e.problem(e.send("GET", "/v1/events?"+query, ""), 400, "invalid-request", field)
	}
	for _, id := range []string{"x", "1", "-", "1-", "-1", "g-1", "1-x", "1--1", "1-99999999999999999999"} {
		e.problem(e.do(get("/v1/events", "Last-Event-ID", id)), 400, "invalid-request", "Last-Event-ID")
	}
	twice := get("/v1/events", "Last-Event-ID", "1-1")
	twice.Header.Add("Last-Event-ID", "1-2")
	e.problem(e.do(twice), 400, "invalid-request", "Last-Event-ID")
	require.Equal(t, http.StatusMethodNotAllowed, e.send("HEAD", "/v1/events", "").status)
}
