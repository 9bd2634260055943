package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	contract "github.com/longshore-queue/longshore/api"
	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// testContract is the contract and the way to its operations, read once for all tests.
var testContract = sync.OnceValues(func() (read struct {
	doc    *openapi3.T
	router routers.Router
}, err error) {
	if read.doc, err = openapi3.NewLoader().LoadFromData([]byte(contract.Contract())); err != nil {
		return read, err
	}
	read.doc.Servers = nil
	read.router, err = legacy.NewRouter(read.doc)
	return read, err
})

// edge is an API under test. Every answer that it gives in a test passes through check.
type edge struct {
	t       *testing.T
	handler http.Handler
	doc     *openapi3.T
	router  routers.Router
	log     *logLines
}

// newEdge returns an API in front of q that logs to memory.
func newEdge(t *testing.T, q api.Queue, options api.Options) *edge {
	t.Helper()
	read, err := testContract()
	require.NoError(t, err)

	lines := &logLines{}
	logger := logrus.New()
	logger.SetFormatter(&logrus.JSONFormatter{})
	logger.SetOutput(lines)
	options.Logger = logger
	handler, err := api.New(q, options)
	require.NoError(t, err)
	return &edge{t: t, handler: handler, doc: read.doc, router: read.router, log: lines}
}

// logLines keeps what was logged.
type logLines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns the lines whose msg is the given one.
func (l *logLines) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields), line)
		if fields["msg"] == msg {
			found = append(found, fields)
		}
	}
	return found
}

// answer is a recorded answer.
type answer struct {
	status int
	header http.Header
	body   string
}

// json decodes the answer's body.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// send sends a request with a JSON body, or none if body is "".
func (e *edge) send(method, target, body string) answer {
	e.t.Helper()
	var reader io.Reader
	header := http.Header{}
	if body != "" {
		reader = strings.NewReader(body)
		header.Set("Content-Type", "application/json")
	}
	r := httptest.NewRequest(method, target, reader)
	r.Header = header
	return e.do(r)
}

// do sends any request, and checks its answer against the contract.
func (e *edge) do(r *http.Request) answer {
	e.t.Helper()
	recorder := httptest.NewRecorder()
	e.handler.ServeHTTP(recorder, r)
	got := answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	e.check(r, got)
	return got
}

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// check fails the test where an answer does not conform to the contract.
func (e *edge) check(r *http.Request, got answer) {
	e.t.Helper()
	require.Regexp(e.t, requestIDs, got.header.Get("X-Request-Id"))
	if got.status >= 400 {
		e.checkProblem(got)
	}
	if r.Method == http.MethodOptions || r.Method == http.MethodHead {
		return // not in the contract
	}
	where := *r
	where.URL.RawQuery = ""
	route, parameters, err := e.router.FindRoute(&where)
	if err != nil {
		require.GreaterOrEqual(e.t, got.status, 400, "an answer outside of the contract: %s", got.body)
		return
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: parameters, Route: route,
		},
		Status:  got.status,
		Header:  got.header,
		Body:    io.NopCloser(strings.NewReader(got.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	require.NoError(e.t, err, "%s %s: %d %s", r.Method, r.URL, got.status, got.body)
}

// checkProblem holds every error to the document's form, routes or not.
func (e *edge) checkProblem(got answer) {
	e.t.Helper()
	require.Equal(e.t, "application/problem+json", got.header.Get("Content-Type"), got.body)
	var document any
	require.NoError(e.t, json.Unmarshal([]byte(got.body), &document), got.body)
	require.NoError(e.t, e.doc.Components.Schemas["Problem"].Value.VisitJSON(document), got.body)
	fields := document.(map[string]any)
	require.EqualValues(e.t, got.status, fields["status"])
	require.Equal(e.t, got.header.Get("X-Request-Id"), fields["request_id"])
	require.Equal(e.t, "/v1/errors/"+fields["code"].(string), fields["type"])
}

// problem requires the answer to be an error with the status, code and field.
func (e *edge) problem(got answer, status int, code, field string) {
	e.t.Helper()
	require.Equal(e.t, status, got.status, got.body)
	fields := got.json(e.t)
	require.Equal(e.t, code, fields["code"], got.body)
	if field == "" {
		require.NotContains(e.t, fields, "field", got.body)
	} else {
		require.Equal(e.t, field, fields["field"], got.body)
	}
}

// stub is a queue whose every operation is what a test makes of it. One that a test has not
// made fails the test: it was not to be called.
type stub struct {
	api.Queue
	enqueue   func(ctx context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error)
	once      func(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error)
	dequeue   func(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error)
	byID      func(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error)
	batch     func(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error)
	report    func(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error)
	fail      func(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error)
	cancel    func(ctx context.Context, id uuid.UUID) error
	retry     func(ctx context.Context, id uuid.UUID) error
	update    func(ctx context.Context, id uuid.UUID, update queue.Update) error
	list      func(ctx context.Context, listing queue.Listing) (queue.Page, error)
	status    func(ctx context.Context, id uuid.UUID) (queue.Status, error)
	job       func(ctx context.Context, id uuid.UUID) (queue.Job, error)
	refresh   func(ctx context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error)
	release   func(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error)
	lease     func(ctx context.Context, token uuid.UUID) (queue.Lease, error)
	await     func(ctx context.Context, id uuid.UUID) (queue.Status, error)
	queues    func(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error)
	position  queue.EventPosition
	events    func(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error)
	readiness error
}

func (s *stub) EventPosition() queue.EventPosition { return s.position }

func (s *stub) ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error) {
	if s.events == nil {
		return queue.Events{}, queue.ErrUnavailable // the stream has begun; it can only end
	}
	return s.events(ctx, filter, after, most)
}

func (s *stub) Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error) {
	return s.queues(ctx, listing)
}

func (s *stub) Enqueue(ctx context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
	return s.enqueue(ctx, jobs)
}

func (s *stub) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	return s.once(ctx, jobs, once)
}

func (s *stub) Dequeue(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error) {
	return s.dequeue(ctx, request)
}

func (s *stub) DequeueByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error) {
	return s.byID(ctx, id, to, once)
}

func (s *stub) DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
	return s.batch(ctx, request)
}

func (s *stub) RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	return s.report(ctx, token, maxRetries, outcome)
}

func (s *stub) Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error) {
	return s.fail(ctx, token, failure)
}

func (s *stub) CancelJob(ctx context.Context, id uuid.UUID) error { return s.cancel(ctx, id) }

func (s *stub) RetryJob(ctx context.Context, id uuid.UUID) error { return s.retry(ctx, id) }

func (s *stub) UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error {
	return s.update(ctx, id, update)
}

func (s *stub) ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error) {
	return s.list(ctx, listing)
}

func (s *stub) JobStatus(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return s.status(ctx, id)
}

func (s *stub) Job(ctx context.Context, id uuid.UUID) (queue.Job, error) { return s.job(ctx, id) }

func (s *stub) RefreshHeartbeat(ctx context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
	return s.refresh(ctx, token, beat)
}

func (s *stub) Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error) {
	return s.release(ctx, token, delay)
}

func (s *stub) Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	return s.lease(ctx, token)
}

func (s *stub) Await(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return s.await(ctx, id)
}

func (s *stub) Ready(context.Context) error { return s.readiness }

// allFail is a queue that answers everything with err.
func allFail(err error) *stub {
	return &stub{
		enqueue: func(context.Context, []queue.NewJob) ([]queue.Enqueued, error) { return nil, err },
		once:    func(context.Context, []queue.NewJob, queue.Once) ([]queue.Enqueued, error) { return nil, err },
		dequeue: func(context.Context, queue.DequeueRequest) (queue.Lease, error) { return queue.Lease{}, err },
		byID: func(context.Context, uuid.UUID, queue.Holder, queue.Once) (queue.Lease, error) {
			return queue.Lease{}, err
		},
		batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) { return queue.BatchAnswer{}, err },
		report: func(context.Context, uuid.UUID, uint64, queue.Outcome) (queue.State, error) {
			return 0, err
		},
		fail:      func(context.Context, uuid.UUID, queue.Failure) (queue.State, error) { return 0, err },
		cancel:    func(context.Context, uuid.UUID) error { return err },
		retry:     func(context.Context, uuid.UUID) error { return err },
		update:    func(context.Context, uuid.UUID, queue.Update) error { return err },
		list:      func(context.Context, queue.Listing) (queue.Page, error) { return queue.Page{}, err },
		status:    func(context.Context, uuid.UUID) (queue.Status, error) { return queue.Status{}, err },
		job:       func(context.Context, uuid.UUID) (queue.Job, error) { return queue.Job{}, err },
		refresh:   func(context.Context, uuid.UUID, queue.Beat) (queue.BeatAnswer, error) { return queue.BeatAnswer{}, err },
		release:   func(context.Context, uuid.UUID, time.Duration) (queue.State, error) { return 0, err },
		lease:     func(context.Context, uuid.UUID) (queue.Lease, error) { return queue.Lease{}, err },
		await:     func(context.Context, uuid.UUID) (queue.Status, error) { return queue.Status{}, err },
		readiness: err,
	}
}

// enqueued is what Enqueue answers of new jobs.
func enqueued(statuses ...queue.Status) []queue.Enqueued {
	added := make([]queue.Enqueued, len(statuses))
	for i := range statuses {
		added[i].Status = statuses[i]
	}
	return added
}

// testLease is one that a stub can grant.
func testLease() queue.Lease {
	return queue.Lease{
		Token: uuid.New(), JobID: uuid.New(), Type: "resize", Channel: queue.DefaultChannel,
		Args: json.RawMessage(`{"width":640}`), Attempt: 1,
	}
}

// soon bounds what a test waits for.
const soon = 30 * time.Second
