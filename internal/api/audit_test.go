package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
)

func TestWhoDidWhatIsInTheLog(t *testing.T) {
	t.Parallel()
	e := newTenantsEdge(t)
	seen := 0
	// last returns the audit line of the call before, and requires that there is but one.
	last := func() map[string]any {
		lines := e.log.lines(t, "audit")
		require.Len(t, lines, seen+1)
		seen++
		line := lines[seen-1]
		require.NotEmpty(t, line["request_id"])
		require.Equal(t, "192.0.2.1", line["remote_ip"])
		return line
	}
	requireLine := func(operation, principal string, jobs int, job any) {
		t.Helper()
		line := last()
		require.Equal(t, operation, line["audit"])
		require.Equal(t, principal, line["principal"])
		require.EqualValues(t, jobs, line["jobs"])
		require.Equal(t, job, line["job"])
	}
	id := e.createAs("a", `{"type":"x"}`).String()
	requireLine("createJob", "test:a", 1, id)
	require.Equal(t, "a", e.log.lines(t, "audit")[0]["channel"])
	for _, c := range []struct{ operation, method, path, body string }{
		{"updateJob", "PATCH", "/v1/jobs/" + id, `{"priority":1}`},
		{"cancelJob", "POST", "/v1/jobs/" + id + "/cancel", ""},
		{"retryJob", "POST", "/v1/jobs/" + id + "/retry", ""},
		{"cancelJob", "POST", "/v1/jobs/" + id + "/cancel", ""},
		{"deleteJob", "DELETE", "/v1/jobs/" + id, ""},
	} {
		require.Less(t, e.do(as("all", c.method, c.path, c.body)).status, 300)
		requireLine(c.operation, "test:all", 1, id)
	}
	require.Equal(t, http.StatusCreated, e.do(as("b", "POST", "/v1/jobs/batch", `{"jobs":[{"type":"x"},{"type":"x"},{"type":"x"}]}`)).status)
	requireLine("createJobs", "test:b", 3, nil)
	require.Equal(t, http.StatusOK, e.do(as("b", "POST", "/v1/jobs/cancel", `{"all":true}`)).status)
	requireLine("cancelJobs", "test:b", 3, nil)

	// What is refused, what only looks, and what workers do is in the access log alone.
	e.do(as("a", "POST", "/v1/jobs", `{"type":"x","channel":"b"}`))
	e.do(as("a", "DELETE", "/v1/jobs/"+id, ""))
	e.do(as("a", "GET", "/v1/jobs", ""))
	e.do(as("a", "POST", "/v1/dequeue", `{"types":["x"]}`))
	require.Len(t, e.log.lines(t, "audit"), seen)
}

// Whatever is done with secrets, well or badly, none of them is in the log or in what others are
// answered.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	const key, idempotencyKey, args, result = "planted-credential", "planted-idempotency", "planted-args", "planted-result"
	e := newEngineEdge(t, api.Options{Authenticator: credentials{principals: map[string]*auth.Principal{
		key:     {Name: "test:a", Scopes: everything, Channels: auth.SomeChannels("a")},
		"other": {Name: "test:b", Scopes: everything, Channels: auth.SomeChannels("b")},
	}}})
	var shown strings.Builder
	do := func(who, method, path, body string) answer {
		r := as(who, method, path, body)
		r.Header.Set("Idempotency-Key", idempotencyKey)
		got := e.do(r)
		if who != key || got.status >= 400 {
			shown.WriteString(got.body)
		}
		return got
	}
	do(key, "POST", "/v1/jobs", `{"type":"x","args":"`+args+`"}`)
	do(key, "POST", "/v1/jobs", `{"type":"x","args":"other"}`) // the idempotency key is reused
	lease := do(key, "POST", "/v1/dequeue", `{"types":["x"]}`).json(t)
	token, id := lease["token"].(string), lease["id"].(string)
	// Who may see it is told who asked, and not with what.
	for _, path := range []string{"/v1/workers", "/v1/jobs/" + id + "/attempts"} {
		body := do(key, "GET", path, "").body
		require.Contains(t, body, `"principal":"test:a"`, path)
		shown.WriteString(body)
	}
	for _, who := range []string{"other", "", key + "-misspelt", key} {
		do(who, "GET", "/v1/jobs/"+id, "")
		do(who, "GET", "/v1/jobs/"+id+"/attempts", "")
		do(who, "GET", "/v1/workers", "")
		do(who, "GET", "/v1/leases/"+token, "")
		do(who, "POST", "/v1/leases/"+token+"/heartbeat", `{"progress":{"percent":"`+result+`"}}`)
		do(who, "POST", "/v1/leases/"+token+"/no-such", "")
		do(who, "POST", "/v1/leases/"+token+"x/finish", `{"result":1}`)
		do(who, "POST", "/v1/leases/"+token+"/finish", `{"result":"`+result+`"}`)
		do(who, "POST", "/v1/leases/"+token+"/finish", `{"result":"another"}`)
		do(who, "POST", "/v1/dequeue", `{"types":["x"],"finish":{"token":"`+token+`","result":1}}`)
	}
	for name, secret := range map[string]string{
		"a credential": key, "an idempotency key": idempotencyKey, "args": args, "a result": result, "a token": token,
	} {
		require.NotContains(t, e.log.String(), secret, "%s is in the log", name)
		require.NotContains(t, shown.String(), secret, "%s is in an answer", name)
	}
}
