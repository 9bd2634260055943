package api_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	contract "github.com/longshore-queue/longshore/api"
	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// calls is one valid request for each operation that reaches the queue.
func calls() []struct{ name, method, path, body string } {
	const id, lease = "01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03", "5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10"
	return []struct{ name, method, path, body string }{
		{"createJob", "POST", "/v1/jobs", `{"type":"resize"}`},
		{"createJobs", "POST", "/v1/jobs/batch", `{"jobs":[{"type":"resize"}]}`},
		{"listJobs", "GET", "/v1/jobs", ""},
		{"getJob", "GET", "/v1/jobs/" + id, ""},
		{"getJob waiting", "GET", "/v1/jobs/" + id + "?wait_seconds=1", ""},
		{"updateJob", "PATCH", "/v1/jobs/" + id, `{"priority":1}`},
		{"updateJob to nothing", "PATCH", "/v1/jobs/" + id, `{}`},
		{"cancelJob", "POST", "/v1/jobs/" + id + "/cancel", ""},
		{"retryJob", "POST", "/v1/jobs/" + id + "/retry", ""},
		{"dequeueJob", "POST", "/v1/jobs/" + id + "/dequeue", ""},
		{"dequeue", "POST", "/v1/dequeue", `{"types":["resize"]}`},
		{"dequeue with a report", "POST", "/v1/dequeue", `{"types":["resize"],"finish":{"token":"` + lease + `"}}`},
		{"dequeueBatch", "POST", "/v1/dequeue/batch", `{"types":["resize"],"max":2,"finish":[{"token":"` + lease + `"}]}`},
		{"getLease", "GET", "/v1/leases/" + lease, ""},
		{"heartbeat", "POST", "/v1/leases/" + lease + "/heartbeat", ""},
		{"finishLease", "POST", "/v1/leases/" + lease + "/finish", ""},
		{"failLease", "POST", "/v1/leases/" + lease + "/fail", `{"error":{"reason":"broken"}}`},
		{"releaseLease", "POST", "/v1/leases/" + lease + "/release", ""},
	}
}

// Every sentinel of the domain has its answer on every route.
func TestSentinels(t *testing.T) {
	t.Parallel()
	type want struct {
		status int
		code   string
	}
	answers := map[string]struct {
		err        error
		job, lease want
	}{
		"ErrNotExist":         {queue.ErrNotExist, want{404, "job-not-found"}, want{404, "lease-not-found"}},
		"ErrNotPending":       {queue.ErrNotPending, want{409, "job-not-pending"}, want{409, "job-not-pending"}},
		"ErrNotRunning":       {queue.ErrNotRunning, want{409, "job-not-running"}, want{409, "job-not-running"}},
		"ErrCanceled":         {queue.ErrCanceled, want{409, "job-canceled"}, want{409, "job-canceled"}},
		"ErrLeaseLost":        {queue.ErrLeaseLost, want{409, "lease-lost"}, want{409, "lease-lost"}},
		"ErrAlreadyReported":  {queue.ErrAlreadyReported, want{409, "already-reported"}, want{409, "already-reported"}},
		"ErrChanged":          {queue.ErrChanged, want{412, "job-changed"}, want{412, "job-changed"}},
		"ErrBackupExists":     {queue.ErrBackupExists, want{409, "backup-exists"}, want{409, "backup-exists"}},
		"ErrBackupUnderWay":   {queue.ErrBackupUnderWay, want{409, "backup-under-way"}, want{409, "backup-under-way"}},
		"ErrNotOver":          {queue.ErrNotOver, want{409, "job-not-over"}, want{409, "job-not-over"}},
		"ErrDeleted":          {queue.ErrDeleted, want{409, "job-deleted"}, want{409, "job-deleted"}},
		"ErrNotFailed":        {queue.ErrNotFailed, want{409, "job-not-failed"}, want{409, "job-not-failed"}},
		"ErrDependencyFailed": {queue.ErrDependencyFailed, want{409, "dependency-not-succeeded"}, want{409, "dependency-not-succeeded"}},
		"ErrUniqueKeyTaken":   {queue.ErrUniqueKeyTaken, want{409, "unique-key-taken"}, want{409, "unique-key-taken"}},
		"ErrKeyReused":        {queue.ErrKeyReused, want{422, "idempotency-key-reused"}, want{422, "idempotency-key-reused"}},
		"ErrKeyInUse":         {queue.ErrKeyInUse, want{409, "idempotency-key-in-use"}, want{409, "idempotency-key-in-use"}},
		"ErrNoAPIKey":         {queue.ErrNoAPIKey, want{404, "key-not-found"}, want{404, "key-not-found"}},
		"ErrAPIKeyExists":     {queue.ErrAPIKeyExists, want{409, "key-exists"}, want{409, "key-exists"}},
		"ErrTwoAPIKeys":       {queue.ErrTwoAPIKeys, want{409, "key-name-taken"}, want{409, "key-name-taken"}},
		"ErrAPIKeyName":       {queue.ErrAPIKeyName, want{409, "key-name-taken"}, want{409, "key-name-taken"}},
		"ErrTooManyAPIKeys":   {queue.ErrTooManyAPIKeys, want{409, "too-many-keys"}, want{409, "too-many-keys"}},
		"ErrUnavailable":      {queue.ErrUnavailable, want{503, "unavailable"}, want{503, "unavailable"}},
		"ErrDamaged":          {queue.ErrDamaged, want{500, "internal"}, want{500, "internal"}},
		"ErrDequeueTimeout":   {queue.ErrDequeueTimeout, want{500, "internal"}, want{500, "internal"}},
	}
	for _, name := range sentinels(t) {
		require.Contains(t, answers, name, "a sentinel without an answer")
	}
	require.Len(t, answers, len(sentinels(t)))

	for name, answer := range answers {
		for _, call := range calls() {
			t.Run(name+"/"+call.name, func(t *testing.T) {
				t.Parallel()
				e := newEdge(t, allFail(fmt.Errorf("secret cause: %w", answer.err)), api.Options{})
				got := e.send(call.method, call.path, call.body)
				if call.name == "dequeue" && errors.Is(answer.err, queue.ErrDequeueTimeout) {
					require.Equal(t, http.StatusNoContent, got.status)
					require.Empty(t, got.body)
					return
				}
				want := answer.job
				if strings.HasPrefix(call.path, "/v1/leases/") || strings.Contains(call.body, "finish") {
					want = answer.lease
				}
				e.problem(got, want.status, want.code, "")
				require.NotContains(t, got.body, "secret cause")
				again := want.status == http.StatusServiceUnavailable || want.code == "idempotency-key-in-use"
				require.Equal(t, again, got.header.Get("Retry-After") == "1")
			})
		}
	}
}

// sentinels reads the names of the domain's sentinel errors from its source.
func sentinels(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../queue/errors.go", nil, 0)
	require.NoError(t, err)
	var names []string
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.VAR {
			continue
		}
		for _, spec := range general.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	require.NotEmpty(t, names)
	return names
}

// The contract mentions every code of the catalogue, and no other.
func TestCatalogueAndContractAgree(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	var codes []string
	for _, entry := range e.send("GET", "/v1/errors", "").json(t)["errors"].([]any) {
		code := entry.(map[string]any)["code"].(string)
		require.Equal(t, entry, any(e.send("GET", "/v1/errors/"+code, "").json(t)))
		codes = append(codes, code)
	}
	require.IsIncreasing(t, codes)
	for _, code := range codes {
		require.Contains(t, contract.Contract(), "`"+code+"`", "the contract does not mention the code")
	}
	notCodes := []string{queue.ReasonHeartbeatLost, queue.ReasonDependencyFailed, queue.ReasonDependenciesTooLarge, "exit-code"}
	for _, reason := range []queue.Reason{queue.ReasonNotYet, queue.ReasonInLine, queue.ReasonNoWorker} {
		notCodes = append(notCodes, string(reason))
	}
	notCodes = append(notCodes, "x-longshore-scopes", "x-longshore-everywhere")
	for _, match := range regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`").FindAllStringSubmatch(contract.Contract(), -1) {
		require.Contains(t, append(codes, notCodes...), match[1], "the contract mentions an unknown code")
	}
	e.problem(e.send("GET", "/v1/errors/no-such-code", ""), 404, "error-not-found", "")
}

// The table of the document has every code of the catalogue, with its status and title, and no other.
func TestCatalogueAndDocumentAgree(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/protocol.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(document), "| code | status | meaning |\n|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for _, entry := range newEdge(t, &stub{}, api.Options{}).send("GET", "/v1/errors", "").json(t)["errors"].([]any) {
		e := entry.(map[string]any)
		rows = append(rows, fmt.Sprint("| `", e["code"], "` | ", e["status"], " | ", e["title"], " |"))
	}
	require.Equal(t, strings.Join(rows, "\n"), table)
}

// An error that the edge does not know is logged once, under the request's id, and not shown.
func TestInternalErrorIsLoggedAndNotShown(t *testing.T) {
	t.Parallel()
	e := newEdge(t, allFail(errors.New("disk /dev/sda1 is on fire")), api.Options{})
	got := e.send("POST", "/v1/jobs", `{"type":"resize"}`)
	e.problem(got, 500, "internal", "")
	require.NotContains(t, got.body, "fire")
	logged := e.log.lines(t, "request failed")
	require.Len(t, logged, 1)
	require.Equal(t, "disk /dev/sda1 is on fire", logged[0]["error"])
	require.Equal(t, got.header.Get("X-Request-Id"), logged[0]["request_id"])
	require.Equal(t, 1, strings.Count(e.log.String(), "fire"))
}

func TestInvalidErrorNamesTheField(t *testing.T) {
	t.Parallel()
	e := newEdge(t, allFail(&queue.InvalidError{Field: "labels.x", Reason: "must not be so"}), api.Options{})
	got := e.send("POST", "/v1/jobs", `{"type":"resize"}`)
	e.problem(got, 400, "invalid-request", "labels.x")
	require.Equal(t, "labels.x: must not be so", got.json(t)["detail"])
}

func TestMissingDependencyIsNamed(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	e := newEdge(t, allFail(fmt.Errorf("enqueue: %w", &queue.DependencyError{Index: 3, ID: id})), api.Options{})
	got := e.send("POST", "/v1/jobs", `{"type":"resize"}`)
	e.problem(got, 422, "dependency-not-found", "dependencies[3]")
	require.Contains(t, got.json(t)["detail"], id.String())
}

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	q := &stub{enqueue: func(context.Context, []queue.NewJob) ([]queue.Enqueued, error) { panic("boom") }}
	e := newEdge(t, q, api.Options{})
	got := e.send("POST", "/v1/jobs", `{"type":"resize"}`)
	e.problem(got, 500, "internal", "")
	require.NotContains(t, got.body, "boom")
	logged := e.log.lines(t, "request failed")
	require.Len(t, logged, 1)
	require.Equal(t, "panic: boom", logged[0]["error"])
	require.Contains(t, logged[0]["stack"], "problems_test.go")
}

// panicking is a connection whose second half of an answer is a panic.
type panicking struct{ *httptest.ResponseRecorder }

func (panicking) Write([]byte) (int, error) { panic("boom") }

// Half an answer must not look like a whole one: the connection is cut, and the log has why.
func TestPanicWithinAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		e.handler.ServeHTTP(panicking{httptest.NewRecorder()}, httptest.NewRequest("GET", "/openapi.yml", http.NoBody))
	})
	logged := e.log.lines(t, "request failed")
	require.Len(t, logged, 1)
	require.Equal(t, "panic: boom", logged[0]["error"])
}
