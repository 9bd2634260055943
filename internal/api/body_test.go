package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// bodyLimit is what the tests of this file allow a body, in bytes.
const bodyLimit = 4096

// Bad bodies are refused with the field that is wrong, and change nothing: the queue of these
// tests fails the test when it is called.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	const jobs, dequeue = "/v1/jobs", "/v1/dequeue"
	const byID = "/v1/jobs/01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03/dequeue"
	const lease = "/v1/leases/5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10"
	const id = "01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"
	nested := func(depth int) string {
		return `{"type":"t","args":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		code, field      string
	}{
		{"no body", jobs, ``, 400, "invalid-request", ""},
		{"no body to dequeue", dequeue, ``, 400, "invalid-request", ""},
		{"no body to fail", lease + "/fail", ``, 400, "invalid-request", ""},
		{"blank", jobs, ` `, 400, "invalid-json", ""},
		{"not JSON", jobs, `type=t`, 400, "invalid-json", ""},
		{"comment", jobs, `{"type":"t"/**/}`, 400, "invalid-json", ""},
		{"single quotes", jobs, `{'type':'t'}`, 400, "invalid-json", ""},
		{"comma at the end", jobs, `{"type":"t",}`, 400, "invalid-json", ""},
		{"NaN", jobs, `{"type":"t","args":NaN}`, 400, "invalid-json", ""},
		{"leading zero", jobs, `{"type":"t","args":01}`, 400, "invalid-json", ""},
		{"raw control character", jobs, "{\"type\":\"t\",\"args\":\"\x00\"}", 400, "invalid-json", ""},
		{"cut", jobs, `{"type":"t"`, 400, "invalid-json", ""},
		{"cut in a string", jobs, `{"type":"t`, 400, "invalid-json", ""},
		{"two values", jobs, `{"type":"t"}{"type":"u"}`, 400, "invalid-json", ""},
		{"trailing bracket", jobs, `{"type":"t"}}`, 400, "invalid-json", ""},
		{"trailing word", jobs, `{"type":"t"} x`, 400, "invalid-json", ""},
		{"byte order mark", jobs, "\ufeff" + `{"type":"t"}`, 400, "invalid-json", ""},
		{"invalid UTF-8 in a name", jobs, "{\"type\":\"\xff\"}", 400, "invalid-json", ""},
		{"invalid UTF-8 in args", jobs, "{\"type\":\"t\",\"args\":\"\xc3\x28\"}", 400, "invalid-json", ""},
		{"encoded surrogate", jobs, "{\"type\":\"t\",\"args\":\"\xed\xa0\x80\"}", 400, "invalid-json", ""},
		{"depth 65", jobs, nested(65), 400, "invalid-json", ""},
		{"null", jobs, `null`, 400, "invalid-request", ""},
		{"array", jobs, `[]`, 400, "invalid-request", ""},
		{"string", jobs, `"type"`, 400, "invalid-request", ""},
		{"null for nothing", lease + "/release", `null`, 400, "invalid-request", ""},
		{"null for an optional body", lease + "/finish", `null`, 400, "invalid-request", ""},

		{"unknown field", jobs, `{"type":"t","priorty":1}`, 400, "invalid-request", "priorty"},
		{"unknown field inside", lease + "/fail", `{"error":{"reason":"x","code":1}}`, 400, "invalid-request", "error.code"},
		{"unknown field of nothing", "/v1/jobs/" + id + "/cancel", `{"progress":1}`, 400, "invalid-request", "progress"},
		{"unknown field of an optional body", byID, `{"types":["t"]}`, 400, "invalid-request", "types"},
		{"other case", jobs, `{"Type":"t"}`, 400, "invalid-request", "Type"},
		{"long unknown field", jobs, `{"` + strings.Repeat("x", 500) + `":1}`, 400, "invalid-request", strings.Repeat("x", 128) + "..."},
		{"long unknown field of long characters", jobs, `{"x` + strings.Repeat("ä", 250) + `":1}`, 400, "invalid-request", "x" + strings.Repeat("ä", 63) + "..."},
		{"long name twice in args", jobs, `{"type":"t","args":{"` + strings.Repeat("x", 200) + `":1,"` + strings.Repeat("x", 200) + `":1}}`, 400, "invalid-request", "args." + strings.Repeat("x", 123) + "..."},
		{"field twice", jobs, `{"type":"t","type":"u"}`, 400, "invalid-request", "type"},
		{"field twice, escaped", jobs, `{"type":"t","typ\u0065":"u"}`, 400, "invalid-request", "type"},
		{"name twice in args", jobs, `{"type":"t","args":{"a":[0,{"b":1,"b":2}]}}`, 400, "invalid-request", "args.a[1].b"},
		{"names in args that differ in a half character", jobs, `{"type":"t","args":{"\ud800":1,"\ud801":2}}`, 400, "invalid-request", "args.\ufffd"},

		{"missing type", jobs, `{}`, 400, "invalid-request", "type"},
		{"missing types", dequeue, `{"wait_seconds":1}`, 400, "invalid-request", "types"},
		{"missing error", lease + "/fail", `{}`, 400, "invalid-request", "error"},
		{"missing reason", lease + "/fail", `{"error":{"details":1}}`, 400, "invalid-request", "error.reason"},

		{"type is a number", jobs, `{"type":7}`, 400, "invalid-request", "type"},
		{"type is null", jobs, `{"type":null}`, 400, "invalid-request", "type"},
		{"type is empty", jobs, `{"type":""}`, 400, "invalid-request", "type"},
		{"type with a space", jobs, `{"type":"a b"}`, 400, "invalid-request", "type"},
		{"type is a lone surrogate", jobs, `{"type":"\ud800"}`, 400, "invalid-request", "type"},
		{"type too long", jobs, `{"type":"` + strings.Repeat("x", 129) + `"}`, 400, "invalid-request", "type"},
		{"channel is null", jobs, `{"type":"t","channel":null}`, 400, "invalid-request", "channel"},
		{"channel is empty", jobs, `{"type":"t","channel":""}`, 400, "invalid-request", "channel"},
		{"dependencies is an object", jobs, `{"type":"t","dependencies":{}}`, 400, "invalid-request", "dependencies"},
		{"dependencies is null", jobs, `{"type":"t","dependencies":null}`, 400, "invalid-request", "dependencies"},
		{"dependency is no UUID", jobs, `{"type":"t","dependencies":["` + id + `","x"]}`, 400, "invalid-request", "dependencies[1]"},
		{"dependency is a URN", jobs, `{"type":"t","dependencies":["urn:uuid:` + id + `"]}`, 400, "invalid-request", "dependencies[0]"},
		{"dependency is null", jobs, `{"type":"t","dependencies":[null]}`, 400, "invalid-request", "dependencies[0]"},
		{"run_if unknown", jobs, `{"type":"t","run_if":"always"}`, 400, "invalid-request", "run_if"},
		{"run_if is empty", jobs, `{"type":"t","run_if":""}`, 400, "invalid-request", "run_if"},
		{"max_retries negative", jobs, `{"type":"t","max_retries":-1}`, 400, "invalid-request", "max_retries"},
		{"max_retries too many", jobs, `{"type":"t","max_retries":1001}`, 400, "invalid-request", "max_retries"},
		{"max_retries fraction", jobs, `{"type":"t","max_retries":1.5}`, 400, "invalid-request", "max_retries"},
		{"max_retries huge", jobs, `{"type":"t","max_retries":18446744073709551616}`, 400, "invalid-request", "max_retries"},
		{"max_retries is text", jobs, `{"type":"t","max_retries":"1"}`, 400, "invalid-request", "max_retries"},

		{"types empty", dequeue, `{"types":[]}`, 400, "invalid-request", "types"},
		{"types is text", dequeue, `{"types":"t"}`, 400, "invalid-request", "types"},
		{"type of types is a number", dequeue, `{"types":["a","b","c",3]}`, 400, "invalid-request", "types[3]"},
		{"type of types is null", dequeue, `{"types":[null]}`, 400, "invalid-request", "types[0]"},
		{"type of types is bad", dequeue, `{"types":["a","-"]}`, 400, "invalid-request", "types[1]"},
		{"too many types", dequeue, `{"types":["t"` + strings.Repeat(`,"t"`, 64) + `]}`, 400, "invalid-request", "types"},
		{"channels empty", dequeue, `{"types":["t"],"channels":[]}`, 400, "invalid-request", "channels"},
		{"channel of channels is bad", dequeue, `{"types":["t"],"channels":["a",""]}`, 400, "invalid-request", "channels[1]"},
		{"wait_seconds negative", dequeue, `{"types":["t"],"wait_seconds":-0.1}`, 400, "invalid-request", "wait_seconds"},
		{"wait_seconds too large", dequeue, `{"types":["t"],"wait_seconds":1e999}`, 400, "invalid-request", "wait_seconds"},
		{"wait_seconds is text", dequeue, `{"types":["t"],"wait_seconds":"5s"}`, 400, "invalid-request", "wait_seconds"},
		{"worker too long", dequeue, `{"types":["t"],"worker":"` + strings.Repeat("x", 129) + `"}`, 400, "invalid-request", "worker"},
		{"worker is an object", byID, `{"worker":{}}`, 400, "invalid-request", "worker"},

		{"error is text", lease + "/fail", `{"error":"broken"}`, 400, "invalid-request", "error"},
		{"reason is empty", lease + "/fail", `{"error":{"reason":""}}`, 400, "invalid-request", "error.reason"},
		{"reason is ours", lease + "/fail", `{"error":{"reason":"heartbeat-lost"}}`, 400, "invalid-request", "error.reason"},
		{"reason with a NUL", lease + "/fail", `{"error":{"reason":"a\u0000b"}}`, 400, "invalid-request", "error.reason"},
		{"reason too long", lease + "/fail", `{"error":{"reason":"` + strings.Repeat("x", 257) + `"}}`, 400, "invalid-request", "error.reason"},

		{"too large", jobs, `{"type":"t","args":"` + strings.Repeat("x", bodyLimit) + `"}`, 413, "body-too-large", ""},
		{"too large where optional", lease + "/release", strings.Repeat(" ", bodyLimit+1), 413, "body-too-large", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{MaxBodyBytes: bodyLimit})
			for _, chunked := range []bool{false, true} {
				r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
				r.Header.Set("Content-Type", "application/json")
				if chunked {
					r.ContentLength = -1
				}
				got := e.do(r)
				e.problem(got, c.status, c.code, c.field)
				require.LessOrEqual(t, len(got.body), 1000, "what is wrong is named, not repeated")
				require.Equal(t, c.status == http.StatusRequestEntityTooLarge, got.header.Get("Connection") == "close", "what is left of a body is not read")
			}
		})
	}
}

// A body is read to the limit, and no further, however deep and long it is.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{MaxBodyBytes: 4 << 20})
	deep := `{"type":"t","args":` + strings.Repeat("[", 1_000_000)
	e.problem(e.send("POST", "/v1/jobs", deep), 400, "invalid-json", "")
	e.problem(e.send("POST", "/v1/jobs", strings.Repeat(`{"type":`, 500_000)), 400, "invalid-json", "")

	endless := &counted{from: zeros{}}
	r := httptest.NewRequest("POST", "/v1/jobs", endless)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = -1
	e.problem(e.do(r), 413, "body-too-large", "")
	require.Less(t, endless.read, int64(9<<20))

	declared := &counted{from: zeros{}}
	r = httptest.NewRequest("POST", "/v1/jobs", declared)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = 10 << 30
	e.problem(e.do(r), 413, "body-too-large", "")
	require.Zero(t, declared.read)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type counted struct {
	from io.Reader
	read int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	return n, err
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		header http.Header
		field  string // "" if the body is accepted
	}{
		{"plain", http.Header{"Content-Type": {"application/json"}}, ""},
		{"charset", http.Header{"Content-Type": {`Application/JSON; charset="UTF-8"`}}, ""},
		{"identity", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, ""},
		{"none", http.Header{}, "Content-Type"},
		{"form", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "Content-Type"},
		{"text", http.Header{"Content-Type": {"text/json"}}, "Content-Type"},
		{"suffix", http.Header{"Content-Type": {"application/problem+json"}}, "Content-Type"},
		{"charset latin", http.Header{"Content-Type": {"application/json; charset=latin1"}}, "Content-Type"},
		{"parameter", http.Header{"Content-Type": {"application/json; version=1"}}, "Content-Type"},
		{"malformed", http.Header{"Content-Type": {"application/json; ="}}, "Content-Type"},
		{"two", http.Header{"Content-Type": {"application/json", "application/json"}}, "Content-Type"},
		{"gzip", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, "Content-Encoding"},
		{"two encodings", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "br"}}, "Content-Encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range []bool{false, true} {
				store := newStore(t)
				e := newEdge(t, store, api.Options{})
				r := httptest.NewRequest("POST", "/v1/jobs", strings.NewReader(`{"type":"t"}`))
				r.Header = c.header
				if chunked {
					r.ContentLength = -1
				}
				got := e.do(r)
				if c.field == "" {
					require.Equal(t, http.StatusCreated, got.status, got.body)
					continue
				}
				e.problem(got, 415, "unsupported-media-type", c.field)
				requireNoJob(t, store, "t")
			}
		})
	}
}

// Who is told that a body ended early looks for what cut it off.
func TestABodyThatCannotBeReadIsSaidToBeWhatItIs(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	for body, detail := range map[string]string{
		"Content-Length: 12\r\n\r\n{":                                 "the body ended early",
		"Transfer-Encoding: chunked\r\n\r\n5\r\n{":                    "the body ended early",
		"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n":     "the body is not as long as it says, or its chunks are malformed",
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX\r\n\r\n": "the body is not as long as it says, or its chunks are malformed",
	} {
		conn := dial(t, e)
		_, err := io.WriteString(conn, "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+body)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		got := answer{response.StatusCode, response.Header, string(text)}
		e.problem(got, http.StatusBadRequest, "invalid-json", "")
		require.Equal(t, detail, got.json(t)["detail"])
	}
}

// A body that is absent needs no Content-Type, and one that is empty is absent.
func TestAbsentBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body io.Reader
		size int64
		kind string
	}{
		{"nil", nil, 0, ""},
		{"empty", strings.NewReader(""), 0, "application/x-www-form-urlencoded"},
		{"empty chunks", strings.NewReader(""), -1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := &stub{report: func(_ context.Context, _ uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
				require.Zero(t, maxRetries)
				require.Equal(t, "null", string(outcome.Result))
				return queue.Finished, nil
			}}
			e := newEdge(t, q, api.Options{})
			r := httptest.NewRequest("POST", "/v1/leases/"+uuid.NewString()+"/finish", c.body)
			r.ContentLength = c.size
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			require.Equal(t, http.StatusOK, e.do(r).status)
		})
	}
}

// Args reach the queue byte for byte, and are its own: the next request does not touch them.
func TestArgsAreCopiedAsWritten(t *testing.T) {
	t.Parallel()
	var kept []queue.NewJob
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		kept = append(kept, jobs...)
		return enqueued(queue.Status{ID: uuid.New(), Type: "t", Channel: "c", State: queue.Pending}), nil
	}}
	e := newEdge(t, q, api.Options{})
	var want []string
	for i := range 20 {
		args := fmt.Sprintf(`{ "n" : %d.00e+1 ,"s":"\u0000\ud83d\/" , "a":[ 1,2 ]}`, i)
		want = append(want, args)
		require.Equal(t, http.StatusCreated, e.send("POST", "/v1/jobs", `{"args":`+args+`,"type":"t"}`).status)
	}
	for i, job := range kept {
		require.Equal(t, want[i], string(job.Args))
	}
	require.Len(t, kept, 20)
}

// A body may hold anything up to the limits.
func TestBodiesAtTheLimits(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{MaxBodyBytes: bodyLimit})
	exact := `{"type":"t","args":"` + strings.Repeat("x", bodyLimit-22) + `"}`
	require.Len(t, exact, bodyLimit)
	e.create(exact)
	e.create(`{"type":"t","args":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`)
	e.create("\n{\t\"typ\\u0065\" : \"t\"\r\n} ")
	e.create(`{"type":"t","max_retries":1000,"dependencies":[]}`)
	e.create(`{"type":"` + strings.Repeat("x", 128) + `","channel":"` + strings.Repeat("y", 128) + `"}`)
}
