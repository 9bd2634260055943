package api_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
)

func TestBadPathsAndQueries(t *testing.T) {
	t.Parallel()
	id := "01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"
	for _, c := range []struct {
		name, method, target string
		status               int
		code, field          string
	}{
		{"not a UUID", "GET", "/v1/jobs/x", 400, "invalid-request", "id"},
		{"URN", "GET", "/v1/jobs/urn:uuid:" + id, 400, "invalid-request", "id"},
		{"braces", "GET", "/v1/jobs/%7B" + id + "%7D", 400, "invalid-request", "id"},
		{"no dashes", "GET", "/v1/jobs/" + strings.ReplaceAll(id, "-", ""), 400, "invalid-request", "id"},
		{"36 other characters", "POST", "/v1/jobs/" + strings.Repeat("g", 36) + "/cancel", 400, "invalid-request", "id"},
		{"bad token", "POST", "/v1/leases/secret/finish", 400, "invalid-request", "token"},
		{"empty id", "GET", "/v1/jobs/", 404, "route-not-found", ""},
		{"empty token", "GET", "/v1/leases/", 404, "route-not-found", ""},
		{"root", "GET", "/", 404, "route-not-found", ""},
		{"unknown", "GET", "/v2/jobs", 404, "route-not-found", ""},
		{"below", "POST", "/v1/leases/" + id + "/finish/now", 404, "route-not-found", ""},
		{"trailing slash", "POST", "/v1/dequeue/", 404, "route-not-found", ""},
		{"escaped slash", "POST", "/v1/jobs/" + id + "%2Fcancel", 404, "route-not-found", ""},
		{"escaped slash before", "GET", "/v1/jobs%2f" + id, 404, "route-not-found", ""},
		{"escaped letter", "GET", "/v1/%6aobs/" + id, 404, "route-not-found", ""},
		{"dots", "GET", "/v1/jobs/../leases/" + id, 404, "route-not-found", ""},
		{"unknown parameter", "GET", "/v1/jobs/" + id + "?wait=1", 400, "invalid-request", "wait"},
		{"parameter elsewhere", "POST", "/v1/dequeue?wait_seconds=1", 400, "invalid-request", "wait_seconds"},
		{"parameter to a lease", "POST", "/v1/leases/" + id + "/finish?force=1", 400, "invalid-request", "force"},
		{"parameter twice", "GET", "/v1/jobs/" + id + "?wait_seconds=1&wait_seconds=2", 400, "invalid-request", "wait_seconds"},
		{"malformed query", "GET", "/v1/jobs/" + id + "?a;b=%zz", 400, "invalid-request", ""},
		{"wait is text", "GET", "/v1/jobs/" + id + "?wait_seconds=soon", 400, "invalid-request", "wait_seconds"},
		{"wait is empty", "GET", "/v1/jobs/" + id + "?wait_seconds=", 400, "invalid-request", "wait_seconds"},
		{"wait is NaN", "GET", "/v1/jobs/" + id + "?wait_seconds=NaN", 400, "invalid-request", "wait_seconds"},
		{"wait is infinite", "GET", "/v1/jobs/" + id + "?wait_seconds=Inf", 400, "invalid-request", "wait_seconds"},
		{"wait overflows", "GET", "/v1/jobs/" + id + "?wait_seconds=1e999", 400, "invalid-request", "wait_seconds"},
		{"wait has an underscore", "GET", "/v1/jobs/" + id + "?wait_seconds=1_0", 400, "invalid-request", "wait_seconds"},
		{"wait is hexadecimal", "GET", "/v1/jobs/" + id + "?wait_seconds=0x1p4", 400, "invalid-request", "wait_seconds"},
		{"wait has a plus", "GET", "/v1/jobs/" + id + "?wait_seconds=%2B5", 400, "invalid-request", "wait_seconds"},
		{"wait begins with a point", "GET", "/v1/jobs/" + id + "?wait_seconds=.5", 400, "invalid-request", "wait_seconds"},
		{"wait ends with a point", "GET", "/v1/jobs/" + id + "?wait_seconds=5.", 400, "invalid-request", "wait_seconds"},
		{"wait has a leading zero", "GET", "/v1/jobs/" + id + "?wait_seconds=05", 400, "invalid-request", "wait_seconds"},
		{"wait is negative", "GET", "/v1/jobs/" + id + "?wait_seconds=-1", 400, "invalid-request", "wait_seconds"},
		{"unknown with a query", "GET", "/nope?x=1", 404, "route-not-found", ""},
		{"unknown with a malformed query", "GET", "/v1?a;b=%zz", 404, "route-not-found", ""},
		{"below with a query", "POST", "/v1/leases/" + id + "/finish/now?x=1", 404, "route-not-found", ""},
		{"method with a query", "PUT", "/v1/jobs?x=1", 405, "method-not-allowed", ""},
		{"method on a job with a query", "PUT", "/v1/jobs/" + id + "?wait_seconds=soon", 405, "method-not-allowed", ""},
		{"method", "PUT", "/v1/jobs", 405, "method-not-allowed", ""},
		{"method on a batch", "PUT", "/v1/dequeue/batch", 405, "method-not-allowed", ""},
		{"method on heartbeats", "PUT", "/v1/leases/heartbeat", 405, "method-not-allowed", ""},
		{"heartbeat is no token", "POST", "/v1/leases/heartbeat/heartbeat", 400, "invalid-request", "token"},
		{"heartbeat is no token to look at", "GET", "/v1/leases/heartbeat", 400, "invalid-request", "token"},
		{"parameter to a batch", "POST", "/v1/dequeue/batch?max=1", 400, "invalid-request", "max"},
		{"below a batch", "POST", "/v1/dequeue/batch/", 404, "route-not-found", ""},
		{"method on a lease", "DELETE", "/v1/leases/" + id, 405, "method-not-allowed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			got := e.send(c.method, c.target, "")
			e.problem(got, c.status, c.code, c.field)
			require.NotContains(t, got.body, "secret")
			require.Equal(t, c.status == http.StatusMethodNotAllowed, got.header.Get("Allow") != "")
		})
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	put := e.send("PUT", "/v1/errors", "")
	e.problem(put, 405, "method-not-allowed", "")
	require.Equal(t, "OPTIONS, GET, HEAD", put.header.Get("Allow"))
	options := e.send("OPTIONS", "/v1/dequeue", "")
	require.Equal(t, http.StatusNoContent, options.status)
	require.Equal(t, "OPTIONS, POST", options.header.Get("Allow"))
	require.Equal(t, put.header.Get("Allow"), e.send("OPTIONS", "/v1/errors", "").header.Get("Allow"))
	require.Equal(t, put.header.Get("Allow"), e.send("OPTIONS", "/v1/errors?x=1", "").header.Get("Allow"))

	server := httptest.NewServer(e.handler)
	defer server.Close()
	head, err := server.Client().Head(server.URL + "/healthz")
	require.NoError(t, err)
	require.NoError(t, head.Body.Close())
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Equal(t, "application/json", head.Header.Get("Content-Type"))
	logged := e.log.lines(t, "request")
	require.Equal(t, "HEAD", logged[len(logged)-1]["method"])
	require.Equal(t, "/healthz", logged[len(logged)-1]["route"])

	missing, err := server.Client().Head(server.URL + "/v1/jobs/" + uuid.NewString() + "?wait=1")
	require.NoError(t, err)
	require.NoError(t, missing.Body.Close())
	require.Equal(t, http.StatusBadRequest, missing.StatusCode)
}

// Every JSON answer ends its line: people have shells.
func TestAnswersEndWithANewline(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t"}`)
	lease := e.lease(`{"types":["t"]}`)
	for _, got := range []answer{
		e.send("GET", "/healthz", ""), e.send("GET", "/v1/errors", ""), e.send("GET", "/v1/errors/internal", ""),
		e.send("GET", "/openapi.json", ""), e.send("GET", "/openapi.yml", ""),
		e.send("GET", "/v1/jobs/"+job["id"].(string), ""), e.send("GET", "/v1/jobs/x", ""), e.send("GET", "/", ""),
		e.on(lease, "heartbeat", ""), e.on(lease, "finish", ""),
	} {
		require.Regexp(t, `[^\n]\n$`, got.body)
		if length := got.header.Get("Content-Length"); length != "" {
			require.Equal(t, strconv.Itoa(len(got.body)), length)
		}
	}
}

func TestService(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	require.JSONEq(t, `{"status":"ok"}`, e.send("GET", "/healthz", "").body)
	require.JSONEq(t, `{"status":"ok"}`, e.send("GET", "/readyz", "").body)
	require.Equal(t, "3.0.3", e.send("GET", "/openapi.json", "").json(t)["openapi"])
	document := e.send("GET", "/openapi.yml", "")
	require.Equal(t, "application/yaml", document.header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(document.body, "openapi: 3.0.3\n"))
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	own := func() string { return e.send("GET", "/healthz", "").header.Get("X-Request-Id") }
	first := own()
	require.NotEqual(t, first, own())
	for id, kept := range map[string]bool{
		"":                       false,
		"abc.DEF_1-2":            true,
		strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false,
		"a b":                    false,
		"a\"}":                   false,
		"ä":                      false,
	} {
		r := httptest.NewRequest("GET", "/healthz", http.NoBody)
		r.Header.Set("X-Request-Id", id)
		got := e.do(r).header.Get("X-Request-Id")
		if kept {
			require.Equal(t, id, got)
		} else {
			require.Regexp(t, "^[0-9a-f]{16}$", got)
		}
	}
}

// Every request has one line in the log, which holds no token and no path.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	e.create(`{"type":"t"}`)
	lease := e.lease(`{"types":["t"]}`)
	token := lease["token"].(string)
	e.on(lease, "heartbeat", "")
	e.send("DELETE", "/v1/leases/"+token, "")
	e.send("GET", "/v1/leases/"+token+"/nothing", "")
	e.send("GET", "/v1/leases/"+token+"%2F", "")
	e.send("GET", "/elsewhere/"+token, "")
	e.on(lease, "finish?token="+token, "")
	e.on(lease, "finish", `{"result":1}`)
	e.on(lease, "finish", `{"result":2}`)
	e.send("GET", "/v1/leases/"+token+"x", "")
	claims := httptest.NewRequest("GET", "/v1/leases/"+uuid.NewString(), http.NoBody)
	for _, header := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip"} {
		claims.Header.Set(header, "203.0.113.7") // not believed
	}
	e.do(claims)

	lines := e.log.lines(t, "request")
	type line struct {
		method, route, code string
		status              float64
	}
	var got []line
	for _, fields := range lines {
		code, _ := fields["code"].(string)
		got = append(got, line{fields["method"].(string), fields["route"].(string), code, fields["status"].(float64)})
		require.Equal(t, "192.0.2.1", fields["remote_ip"])
		require.NotEmpty(t, fields["request_id"])
		require.Contains(t, fields, "duration_ms")
		require.Contains(t, fields, "bytes")
	}
	require.Equal(t, []line{
		{"POST", "/v1/jobs", "", 201},
		{"POST", "/v1/dequeue", "", 201},
		{"POST", "/v1/leases/{token}/heartbeat", "", 200},
		{"DELETE", "/v1/leases/{token}", "method-not-allowed", 405},
		{"GET", "", "route-not-found", 404},
		{"GET", "", "route-not-found", 404},
		{"GET", "", "route-not-found", 404},
		{"POST", "/v1/leases/{token}/finish", "invalid-request", 400},
		{"POST", "/v1/leases/{token}/finish", "", 200},
		{"POST", "/v1/leases/{token}/finish", "already-reported", 409},
		{"GET", "/v1/leases/{token}", "invalid-request", 400},
		{"GET", "/v1/leases/{token}", "lease-not-found", 404},
	}, got)
	require.NotContains(t, e.log.String(), token)
	require.NotContains(t, e.log.String(), "203.0.113.7")
}
