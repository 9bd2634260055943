package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/client"
)

// errNetwork is what a cut connection looks like.
var errNetwork = errors.New("connection reset by peer")

// fault is what happens to one request.
type fault struct {
	lost    bool          // the request does not arrive
	cut     bool          // the answer does not arrive
	instead int           // status of what arrives in the place of an answer that was cut; 0 is nothing
	cutBody bool          // the answer's head arrives, and half of its body
	hang    bool          // nothing happens until the client gives up
	late    bool          // the answer arrives, although the client has given up
	status  int           // answered by something in between, without effect
	code    string        // of the problem document that comes with status; "" is a page of a proxy
	well    bool          // answered by something in between, without effect, that all is well
	after   string        // Retry-After that comes with status
	delay   time.Duration // before anything else
	slow    time.Duration // before the answer
}

// call is a request as the server saw it.
type call struct {
	op    string // dequeue, lease, heartbeats, heartbeat, finish, fail, release; of a producer see opOf
	many  bool   // it is a request for many, or one of the many in it
	at    time.Time
	body  string
	query string
	key   string // Idempotency-Key
	trace string // traceparent
	match string // If-Match
}

// fakeJob is a job of the fake server.
type fakeJob struct {
	lease    client.Lease
	state    client.JobState
	canceled bool
	lost     bool
	lastBeat time.Time
	report   string // op and body of the one report that was accepted
	key      string // of the request that was granted the lease
	unique   *string
}

// fakeServer keeps the lease protocol in memory. It is an http.RoundTripper, so that a test
// in a synctest bubble has no network and its time is virtual.
type fakeServer struct {
	pause, timeout float64                        // seconds, of every answer
	faults         func(op string, nth int) fault // nil is none; nth counts from 1 for each op
	onCall         func(op string)                // nil is nothing; before the effect
	manyUnknown    bool                           // it is of a version without requests for many

	mu     sync.Mutex
	jobs   []*fakeJob
	calls  []call
	counts map[string]int
	ready  chan struct{}     // closed and replaced when a job becomes ready
	asking map[string]bool   // keys of requests for jobs that wait now
	asked  map[string]string // by key: the bodies of requests for jobs
	made   map[string]string // by key: what creating calls asked for, and were answered
	polls  int               // requests for jobs that wait now
	most   int               // the most of them at once
}

func newFake() *fakeServer {
	return &fakeServer{
		pause: 40, timeout: 120, counts: map[string]int{}, ready: make(chan struct{}),
		asking: map[string]bool{}, asked: map[string]string{}, made: map[string]string{},
	}
}

// add enqueues a job and returns it.
func (s *fakeServer) add(jobType, args string, dependencies ...client.Dependency) *fakeJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dependencies == nil {
		dependencies = []client.Dependency{}
	}
	j := &fakeJob{state: client.Pending}
	j.lease = client.Lease{
		Id: uuid.Must(uuid.NewV7()), Type: jobType, Channel: "default",
		Args: json.RawMessage(args), Dependencies: dependencies,
	}
	s.jobs = append(s.jobs, j)
	s.wake()
	return j
}

// addRunning adds a job whose lease somebody holds, and returns its token too.
func (s *fakeServer) addRunning(jobType, args string) (*fakeJob, uuid.UUID) {
	j := s.add(jobType, args)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grant(j)
	return j, j.lease.Token
}

func (s *fakeServer) wake() { close(s.ready); s.ready = make(chan struct{}) }

func (s *fakeServer) grant(j *fakeJob) {
	j.state = client.Running
	j.lease.Token = uuid.New()
	j.lease.Attempt++
	j.lease.HeartbeatInSeconds, j.lease.HeartbeatTimeoutSeconds = s.pause, s.timeout
	j.lastBeat = time.Now()
}

func (s *fakeServer) set(j *fakeJob, change func(*fakeJob)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(j)
}

func (s *fakeServer) state(j *fakeJob) client.JobState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.state
}

func (s *fakeServer) reported(j *fakeJob) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.report
}

// seen returns the requests of one kind, in order.
func (s *fakeServer) seen(op string) []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []call
	for _, c := range s.calls {
		if c.op == op {
			calls = append(calls, c)
		}
	}
	return calls
}

// tokens returns every token that was ever granted.
func (s *fakeServer) tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var tokens []string
	for _, j := range s.jobs {
		if j.lease.Token != uuid.Nil {
			tokens = append(tokens, j.lease.Token.String())
		}
	}
	return tokens
}

// RoundTrip applies the fault that is due, and serves the request.
func (s *fakeServer) RoundTrip(req *http.Request) (*http.Response, error) {
	op, body := opOf(req), readAll(req.Body)
	s.mu.Lock()
	s.counts[op]++
	s.calls = append(s.calls, call{
		op: op, many: manyIn(req), at: time.Now(), body: body, query: req.URL.RawQuery,
		key: req.Header.Get("Idempotency-Key"), trace: req.Header.Get("traceparent"), match: req.Header.Get("If-Match"),
	})
	f := fault{}
	if s.faults != nil {
		f = s.faults(op, s.counts[op])
	}
	s.mu.Unlock()
	if s.onCall != nil {
		s.onCall(op)
	}

	ctx := req.Context()
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	recorder := httptest.NewRecorder()
	switch {
	case f.lost:
		return nil, errNetwork
	case f.hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case f.status != 0:
		if f.after != "" {
			recorder.Header().Set("Retry-After", f.after)
		}
		refuse(recorder, f.status, f.code)
	case f.well:
		answer(recorder, http.StatusOK, map[string]string{"status": "ok"})
	case s.manyUnknown && manyIn(req):
		refuse(recorder, http.StatusNotFound, "route-not-found")
	default:
		s.serve(recorder, req, op, body)
	}
	if f.slow > 0 {
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.cut && f.instead != 0 {
		recorder = httptest.NewRecorder()
		refuse(recorder, f.instead, "")
	} else if f.cut {
		return nil, errNetwork
	}
	if ctx.Err() != nil && !f.late {
		return nil, ctx.Err()
	}
	resp := recorder.Result()
	if f.cutBody {
		whole := readAll(resp.Body)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(whole[:len(whole)/2]), failingReader{}))
	}
	return resp, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errNetwork }

func opOf(req *http.Request) string {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	switch {
	case req.URL.Path == "/v1/jobs" && req.Method == http.MethodGet:
		return "list"
	case req.URL.Path == "/v1/jobs":
		return "create"
	case strings.HasPrefix(req.URL.Path, "/v1/dequeue"):
		return "dequeue" // for one or for many
	case req.URL.Path == "/v1/leases/heartbeat":
		return "heartbeats"
	case parts[len(parts)-1] == "batch":
		return "batch"
	case len(parts) == 3 && parts[1] == "jobs" && req.Method == http.MethodPatch:
		return "update"
	case len(parts) == 3 && parts[1] == "jobs":
		return "job"
	case len(parts) == 3 && parts[1] == "leases":
		return "lease"
	default:
		return parts[len(parts)-1]
	}
}

func readAll(body io.Reader) string {
	if body == nil {
		return ""
	}
	b, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func refuse(w http.ResponseWriter, status int, code string) {
	if code == "" {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	encode(w, client.Problem{Code: code, Status: status, Detail: "no", Title: "No", Type: "/v1/errors/" + code, RequestId: "r1"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encode(w, body)
}

func encode(w io.Writer, body any) {
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

func (s *fakeServer) serve(w http.ResponseWriter, req *http.Request, op, body string) {
	if op == "dequeue" {
		s.dequeue(w, req, body)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(req.URL.Path, "/v1/jobs") {
		s.produce(w, req, op, body)
		return
	}
	if op == "heartbeats" {
		s.heartbeats(w, body)
		return
	}
	s.underToken(w, strings.Split(req.URL.Path, "/")[3], op, body)
}

func (s *fakeServer) underToken(w http.ResponseWriter, token, op, body string) {
	for _, j := range s.jobs {
		if j.lease.Token.String() == token {
			s.underLease(w, j, op, body)
			return
		}
	}
	refuse(w, http.StatusNotFound, client.CodeLeaseNotFound)
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func (s *fakeServer) underLease(w http.ResponseWriter, j *fakeJob, op, body string) {
	if !j.lost && j.report == "" && time.Since(j.lastBeat) > time.Duration(s.timeout*float64(time.Second)) {
		j.lost = true
	}
	this := op + " " + body
	switch {
	case j.canceled && op == "heartbeat":
		answer(w, http.StatusOK, client.HeartbeatAnswer{Canceled: true, HeartbeatInSeconds: s.pause, HeartbeatTimeoutSeconds: s.timeout})
	case j.canceled && op == "lease":
		j.lease.Canceled = true
		answer(w, http.StatusOK, j.lease)
	case j.canceled:
		refuse(w, http.StatusConflict, client.CodeJobCanceled)
	case j.lost, j.report != "" && (op == "heartbeat" || op == "lease"):
		refuse(w, http.StatusConflict, client.CodeLeaseLost)
	case op == "heartbeat":
		j.lastBeat = time.Now()
		answer(w, http.StatusOK, client.HeartbeatAnswer{HeartbeatInSeconds: s.pause, HeartbeatTimeoutSeconds: s.timeout})
	case op == "lease":
		answer(w, http.StatusOK, j.lease)
	case j.report != "" && j.report != this:
		refuse(w, http.StatusConflict, client.CodeAlreadyReported)
	default:
		j.report = this
		j.state = map[string]client.JobState{"finish": client.Finished, "fail": client.Failed, "release": client.Pending}[op]
		if op == "release" {
			j.state = client.Blocked // so that the test's only worker does not get it again
		}
		answer(w, http.StatusOK, client.Reported{State: j.state})
	}
}
