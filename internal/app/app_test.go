package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/app"
)

// soon bounds what a test waits for.
const soon = 30 * time.Second

func testOptions() app.Options {
	return app.Options{
		Listen:           "127.0.0.1:0",
		Store:            app.InMemory,
		HeartbeatTimeout: time.Minute,
		ReapInterval:     time.Minute,
		MaxRetries:       2,
		MaxWait:          time.Minute,
		MaxBodyBytes:     1 << 20,
		MaxBatchBytes:    1 << 20,
		MaxArgsBytes:     1 << 20,
		MaxResultBytes:   1 << 20,
		IdempotencyTTL:   time.Hour,
	}
}

// start starts a server, which the end of the test stops if the test has not.
func start(t *testing.T, options app.Options) *server {
	t.Helper()
	a, err := app.New(options)
	require.NoError(t, err)
	require.Empty(t, a.Addr())
	require.NoError(t, a.Start())
	s := &server{t: t, app: a, client: &http.Client{Transport: &http.Transport{}, Timeout: soon}}
	t.Cleanup(func() { require.NoError(t, s.stop()) })
	return s
}

type server struct {
	t      *testing.T
	app    *app.App
	client *http.Client
	once   sync.Once
	err    error
}

func (s *server) stop() error {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		s.err = s.app.Stop(ctx)
		s.client.CloseIdleConnections()
	})
	return s.err
}

// post sends JSON and returns the status and the decoded answer.
func (s *server) post(path, body string) (int, map[string]any) {
	s.t.Helper()
	response, err := s.client.Post("http://"+s.app.Addr()+path, "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	return s.read(response)
}

func (s *server) get(path string) (int, map[string]any) {
	s.t.Helper()
	response, err := s.client.Get("http://" + s.app.Addr() + path)
	require.NoError(s.t, err)
	return s.read(response)
}

// poll waits for a job over a connection of its own, and returns the status, or 0.
func (s *server) poll(ctx context.Context) int {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: soon}}
	body := strings.NewReader(`{"types":["t"],"wait_seconds":60}`)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.app.Addr()+"/v1/dequeue", body)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Expect", "100-continue")
	response, err := client.Do(r)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func (s *server) read(response *http.Response) (int, map[string]any) {
	s.t.Helper()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	var answer map[string]any
	if len(body) > 0 {
		require.NoError(s.t, json.Unmarshal(body, &answer), string(body))
	}
	return response.StatusCode, answer
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for option, spoil := range map[string]func(*app.Options){
		"Listen":           func(o *app.Options) { o.Listen = "" },
		"Store":            func(o *app.Options) { o.Store = "" },
		"HeartbeatTimeout": func(o *app.Options) { o.HeartbeatTimeout = -time.Second },
		"ReapInterval":     func(o *app.Options) { o.ReapInterval = 0 },
		"MaxWait":          func(o *app.Options) { o.MaxWait = -1 },
		"MaxRetries":       func(o *app.Options) { o.MaxRetries = 1001 },
		"MaxBodyBytes":     func(o *app.Options) { o.MaxBodyBytes = 0 },
		"MaxBatchBytes":    func(o *app.Options) { o.MaxBatchBytes = -1 },
		"MaxArgsBytes":     func(o *app.Options) { o.MaxArgsBytes = 0 },
		"MaxResultBytes":   func(o *app.Options) { o.MaxResultBytes = 1<<30 + 1 },
		"IdempotencyTTL":   func(o *app.Options) { o.IdempotencyTTL = 0 },
	} {
		options := testOptions()
		spoil(&options)
		_, err := app.New(options)
		var wrong *app.OptionError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, option, wrong.Option)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		":0": true, "127.0.0.1:8080": true, "localhost:65535": true, "[::1]:80": true, "[fe80::1%eth0]:80": true,
		"a-b.example_c.:1": true, "0.0.0.0:080": true,
		"": false, "8080": false, "127.0.0.1": false, "127.0.0.1:": false, ":": false, "127.0.0.1:99999": false,
		"127.0.0.1:65536": false, "127.0.0.1:-1": false, "127.0.0.1:+1": false, "127.0.0.1:http": false,
		"::1:80": false, "[::1]": false, "a b:80": false, "http://x:80": false, "-x:80": false, "garbage": false,
		"[zz]:80:": false, "a:b:1": false, "/tmp/socket:1": false,
	} {
		options := testOptions()
		options.Listen, options.Insecure = address, true
		_, err := app.New(options)
		if good {
			require.NoError(t, err, address)
			continue
		}
		var wrong *app.OptionError
		require.ErrorAs(t, err, &wrong, address)
		require.Equal(t, "Listen", wrong.Option)
	}
}

func TestServerThatAsksNobodyIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	for address, loopback := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:1": true, "localhost:1": true, "[::1]:1": true,
		":8080": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "[fe80::1%eth0]:1": false, "example.org:1": false,
		"localhost.example.org:1": false, "[::ffff:10.0.0.1]:1": false,
	} {
		options := testOptions()
		options.Listen = address
		_, err := app.New(options)
		if loopback {
			require.NoError(t, err, address)
			continue
		}
		var wrong *app.OptionError
		require.ErrorAs(t, err, &wrong, address)
		require.Equal(t, "Listen", wrong.Option)
		require.Contains(t, wrong.Reason, "--insecure")
		options.Insecure = true
		_, err = app.New(options)
		require.NoError(t, err, address)
	}
}

// What the options say of requests is what the API does.
func TestOptionsReachTheAPI(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.MaxBodyBytes = 100
	options.MaxBatchBytes = 200
	options.MaxArgsBytes = 50
	options.MaxResultBytes = 5000
	options.MaxWait = 100 * time.Millisecond
	s := start(t, options)
	lease := "/v1/leases/01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03/finish"
	for _, c := range []struct {
		path, before, after string
		size                int
		code, field         any
	}{
		{"/v1/jobs", `{"type":"t","args":"`, `"}`, 100, "body-too-large", nil},
		{"/v1/jobs", `{"type":"t","args":"`, `"}`, 60, "value-too-large", "args"},
		{"/v1/jobs/batch", `{"jobs":[{"type":"t","args":"`, `"}]}`, 200, "body-too-large", nil},
		{"/v1/jobs/batch", `{"jobs":[{"type":"t","args":"`, `"}]}`, 120, "value-too-large", "jobs[0].args"},
		{lease, `{"result":"`, `"}`, 10_000, "body-too-large", nil},
		{lease, `{"result":"`, `"}`, 5000, "value-too-large", "result"},
	} {
		status, problem := s.post(c.path, c.before+strings.Repeat("x", c.size)+c.after)
		require.Equal(t, http.StatusRequestEntityTooLarge, status)
		require.Equal(t, c.code, problem["code"])
		require.Equal(t, c.field, problem["field"])
	}
	status, _ := s.post(lease, `{"result":"`+strings.Repeat("x", 4000)+`"}`)
	require.Equal(t, http.StatusNotFound, status)
	began := time.Now()
	status, _ = s.post("/v1/dequeue", `{"types":["t"],"wait_seconds":60}`)
	require.Equal(t, http.StatusNoContent, status)
	require.GreaterOrEqual(t, time.Since(began), options.MaxWait)
	require.Less(t, time.Since(began), soon/2)
}

func TestJobFromEndToEnd(t *testing.T) {
	t.Parallel()
	s := start(t, testOptions())
	status, job := s.post("/v1/jobs", `{"type":"resize","args":{"width":640}}`)
	require.Equal(t, http.StatusCreated, status)
	status, lease := s.post("/v1/dequeue", `{"types":["resize"],"wait_seconds":5}`)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, job["id"], lease["id"])
	require.Equal(t, 60.0, lease["heartbeat_timeout_seconds"])
	path := "/v1/leases/" + lease["token"].(string)
	status, _ = s.post(path+"/heartbeat", ``)
	require.Equal(t, http.StatusOK, status)
	status, _ = s.post(path+"/finish", `{"result":[1,2]}`)
	require.Equal(t, http.StatusOK, status)
	_, job = s.get("/v1/jobs/" + job["id"].(string) + "?wait_seconds=5")
	require.Equal(t, "finished", job["state"])
	require.Equal(t, []any{1.0, 2.0}, job["result"])
}

func TestSilentWorkerLosesItsJob(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.HeartbeatTimeout = 50 * time.Millisecond
	options.ReapInterval = 10 * time.Millisecond
	options.MaxRetries = 0
	s := start(t, options)
	_, job := s.post("/v1/jobs", `{"type":"t"}`)
	status, _ := s.post("/v1/dequeue", `{"types":["t"]}`)
	require.Equal(t, http.StatusCreated, status)
	_, job = s.get("/v1/jobs/" + job["id"].(string) + "?wait_seconds=8")
	require.Equal(t, "failed", job["state"])
	require.Equal(t, "heartbeat-lost", job["error"].(map[string]any)["reason"])
}

func TestJobsSurviveARestart(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.Store = t.TempDir() + "/store"
	first := start(t, options)
	_, job := first.post("/v1/jobs", `{"type":"t","args":"kept"}`)
	_, lease := first.post("/v1/dequeue", `{"types":["t"]}`)
	require.NoError(t, first.stop())
	_, err := net.Dial("tcp", first.app.Addr())
	require.Error(t, err)

	second := start(t, options)
	status, again := second.get("/v1/leases/" + lease["token"].(string))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, lease, again)
	status, _ = second.post("/v1/leases/"+lease["token"].(string)+"/finish", ``)
	require.Equal(t, http.StatusOK, status)
	_, job = second.get("/v1/jobs/" + job["id"].(string))
	require.Equal(t, "finished", job["state"])
	require.Equal(t, "kept", job["args"])
}

func TestStoreInUse(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.Store = t.TempDir()
	start(t, options)
	a, err := app.New(options)
	require.NoError(t, err)
	require.EqualError(t, a.Start(), "open the store: "+options.Store+" is in use by another server")
}

// What fails leaves nothing behind: the store can be opened again.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := start(t, testOptions())
	options := testOptions()
	options.Store = t.TempDir() + "/store"
	options.Listen = first.app.Addr()
	a, err := app.New(options)
	require.NoError(t, err)
	require.ErrorContains(t, a.Start(), "address already in use")
	require.NoDirExists(t, options.Store)

	options.Listen = "127.0.0.1:0"
	start(t, options)
}

// Stopping tells those who wait for a job that there is none, at once, and drops nobody whose
// request it has begun to answer.
func TestStopEndsLongPolls(t *testing.T) {
	t.Parallel()
	s := start(t, testOptions())
	const polls = 3
	answers, begun := make(chan int, polls), make(chan struct{}, polls)
	// The server says 100 Continue when it begins to answer. A request that it has not begun
	// to answer may find its connection closed: net/http does not look at it any more.
	trace := &httptrace.ClientTrace{Got100Continue: func() { begun <- struct{}{} }}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	for range polls {
		go func() { answers <- s.poll(ctx) }()
	}
	for range polls {
		<-begun
	}
	began := time.Now()
	require.NoError(t, s.stop())
	for range polls {
		require.Equal(t, http.StatusNoContent, <-answers)
	}
	require.Less(t, time.Since(began), soon)
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestAddressIsLogged(t *testing.T) {
	t.Parallel()
	logged := &lines{}
	options := testOptions()
	options.Logger = logrus.New()
	options.Logger.SetOutput(logged)
	options.Logger.SetFormatter(&logrus.JSONFormatter{})
	s := start(t, options)
	require.Contains(t, logged.String(), `"address":"`+s.app.Addr()+`"`)
	require.Contains(t, logged.String(), `"msg":"listening"`)
	require.NotContains(t, s.app.Addr(), ":0")
}
