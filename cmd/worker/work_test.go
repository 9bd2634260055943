package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/cli"
)

// fakeServer hands out the leases that a test gives it, and tells the test what is reported.
type fakeServer struct {
	*httptest.Server
	leases  chan client.Lease
	reports chan string // verb and body
	asked   chan string // body of the first request for a job
	told    chan string // bodies of heartbeats that say more than that the worker is alive

	mu   sync.Mutex
	live map[string]client.Lease // by token
}

func newServer(t *testing.T) *fakeServer {
	t.Helper()
	s := &fakeServer{leases: make(chan client.Lease, 10), reports: make(chan string, 10), asked: make(chan string, 1), told: make(chan string, 10), live: map[string]client.Lease{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// add makes a job ready and returns its token.
func (s *fakeServer) add(jobType, args string) string {
	lease := client.Lease{
		Token: uuid.New(), Id: uuid.Must(uuid.NewV7()), Type: jobType, Channel: "default", Attempt: 1,
		Args: json.RawMessage(args), Dependencies: []client.Dependency{},
		HeartbeatInSeconds: 40, HeartbeatTimeoutSeconds: 120,
	}
	s.leases <- lease
	return lease.Token.String()
}

func (s *fakeServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if req.URL.Path == "/v1/dequeue" {
		select {
		case s.asked <- string(body):
		default:
		}
		select {
		case lease := <-s.leases:
			s.mu.Lock()
			s.live[lease.Token.String()] = lease
			s.mu.Unlock()
			reply(w, http.StatusCreated, lease)
		case <-req.Context().Done():
		}
		return
	}
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	s.mu.Lock()
	lease := s.live[parts[2]]
	s.mu.Unlock()
	switch verb := parts[len(parts)-1]; verb {
	case parts[2]:
		reply(w, http.StatusOK, lease)
	case "heartbeat":
		if string(body) != `{}` {
			s.told <- string(body)
		}
		reply(w, http.StatusOK, client.HeartbeatAnswer{HeartbeatInSeconds: 40, HeartbeatTimeoutSeconds: 120})
	default:
		s.reports <- verb + " " + string(body)
		reply(w, http.StatusOK, client.Reported{State: client.Finished})
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text) // a client that hung up is not this server's business
}

// process is a worker that runs inside of the test.
type process struct {
	signals chan os.Signal
	code    chan int
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func environ() []string { return []string{"PATH=" + os.Getenv("PATH"), "OWN=mine"} }

// launch starts a worker as main does, but for the signals, which the test sends.
func launch(t *testing.T, server *fakeServer, args ...string) *process {
	t.Helper()
	p := &process{signals: make(chan os.Signal, 2), code: make(chan int, 1), log: &lockedBuffer{}}
	c, _, ok := parse(program(p.log, p.log), append(args, "--server", server.URL), environ())
	require.True(t, ok, p.log.String())
	go func() { p.code <- work(t.Context(), program(p.log, p.log), c, environ(), p.signals) }()
	return p
}

// fifo makes a pipe for commands to write to.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	return path
}

// patience is how long a test waits for what must happen, on a machine that is busy.
const patience = 30 * time.Second

// next receives what must come.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("not reached")
	}
}

// gone waits until whatever holds the pipe has ended.
func gone(t *testing.T, pipe *os.File) {
	t.Helper()
	require.NoError(t, pipe.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadAll(pipe)
	require.NoError(t, err, "a process lives on")
}

// held waits until a command has the pipe open and has written to it.
func held(t *testing.T, path string) *os.File {
	t.Helper()
	pipe, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pipe.Close()) })
	own, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0) // lest it ends before it has begun
	require.NoError(t, err)
	defer func() { require.NoError(t, own.Close()) }()
	require.NoError(t, pipe.SetReadDeadline(time.Now().Add(patience)))
	_, err = pipe.Read(make([]byte, 1))
	require.NoError(t, err)
	return pipe
}

func TestCommandsBecomeResultsAndFailures(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	p := launch(t, server, "--run", "good=cat", "--run", "bad=echo why >&2; exit 3", "--run", `own=printf "$OWN"`)
	token := server.add("good", `{"a":[1]}`)
	require.Equal(t, `finish {"result":{"a":[1]}}`, next(t, server.reports))
	server.add("own", `null`)
	require.Equal(t, `finish {"result":"mine"}`, next(t, server.reports), "the worker's own environment")
	server.add("bad", `null`)
	require.Equal(t, `fail {"error":{"details":{"exit_code":3,"stderr":"why\n"},"reason":"exit-code"}}`, next(t, server.reports))
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
	require.NotContains(t, p.log.String(), token)
}

func TestACommandSaysHowFarItIsAndWhetherAnotherRunMaySucceed(t *testing.T) {
	t.Parallel()
	server, path := newServer(t), fifo(t)
	p := launch(t, server, "--run", `t=echo "40 page 12 of 30" >"$LONGSHORE_PROGRESS"; read x <'`+path+`'; exit 75`)
	server.add("t", `null`)
	require.JSONEq(t, `{"progress":{"percent":40,"message":"page 12 of 30"}}`, next(t, server.told), "while it runs")
	require.NoError(t, os.WriteFile(path, []byte("go on\n"), 0o600))
	require.Equal(t, `fail {"error":{"details":{"exit_code":75,"stderr":""},"reason":"exit-code"},"retryable":true}`, next(t, server.reports))
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
}

func TestASignalLetsRunningCommandsEnd(t *testing.T) {
	t.Parallel()
	server, path, out := newServer(t), fifo(t), fifo(t)
	p := launch(t, server, "--run", "t=echo ready > '"+path+"'; cat '"+out+"'")
	server.add("t", `null`)
	held(t, path)
	p.signals <- syscall.SIGTERM
	go func() { _ = os.WriteFile(out, []byte(`"went on"`), 0o600) }() // waits for the command to read it
	require.Equal(t, `finish {"result":"went on"}`, next(t, server.reports))
	require.Equal(t, cli.ExitClean, next(t, p.code))
}

func TestAfterTheDrainTimeoutCommandsAreEndedAndTheirJobsGivenBack(t *testing.T) {
	t.Parallel()
	server, path := newServer(t), fifo(t)
	p := launch(t, server, "--drain-timeout=0s", "--kill-grace=50ms", "--run", "t=trap '' TERM; exec 3>'"+path+"'; echo ready >&3; sleep 1000")
	server.add("t", `null`)
	pipe := held(t, path)
	p.signals <- syscall.SIGTERM
	require.Equal(t, `release {}`, next(t, server.reports))
	gone(t, pipe)
	require.Equal(t, cli.ExitClean, next(t, p.code))
}

// A process with a session of its own lives on, and keeps open whatever the command was given. It is
// waited for as long as it is when the command ends by itself.
func TestAProcessThatACommandLetsGoDoesNotSpoilTheDrain(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	server, path, until := newServer(t), fifo(t), fifo(t)
	end, err := os.OpenFile(until, os.O_RDWR, 0) // the process reads it until the test is over
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, end.Close()) })
	p := launch(t, server, "--drain-timeout=0s", "--kill-grace=0s", "--run", "t=setsid cat '"+until+"' & echo ready >'"+path+"'; wait")
	server.add("t", `null`)
	held(t, path)
	p.signals <- syscall.SIGTERM
	require.Equal(t, `release {}`, next(t, server.reports))
	require.Equal(t, cli.ExitClean, next(t, p.code), p.log)
}

func TestASecondSignalKillsEverythingNow(t *testing.T) {
	t.Parallel()
	server, path := newServer(t), fifo(t)
	p := launch(t, server, "--drain-timeout=1h", "--kill-grace=1h", "--run", "t=trap '' TERM; exec 3>'"+path+"'; echo ready >&3; sleep 1000")
	server.add("t", `null`)
	pipe := held(t, path)
	p.signals <- syscall.SIGTERM
	p.signals <- syscall.SIGINT
	require.Equal(t, cli.ExitFailed, next(t, p.code))
	gone(t, pipe)
	require.Empty(t, server.reports)
}

func TestAWorkerThatIsStartedAgainGoesOnWithItsJobs(t *testing.T) {
	t.Parallel()
	server, path, state := newServer(t), fifo(t), filepath.Join(t.TempDir(), "state")
	p := launch(t, server, "--state-dir", state, "--drain-timeout=1h", "--run", "t=exec 3>'"+path+"'; echo ready >&3; sleep 1000")
	server.add("t", `"args"`)
	pipe := held(t, path)

	second := launch(t, server, "--state-dir", state, "--run", "t=cat")
	require.Equal(t, cli.ExitFailed, next(t, second.code), "two workers must not share a state directory")

	p.signals <- syscall.SIGTERM
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitFailed, next(t, p.code))
	gone(t, pipe)
	p = launch(t, server, "--state-dir", state, "--run", "t=cat")
	require.Equal(t, `finish {"result":"args"}`, next(t, server.reports))
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
	left, err := filepath.Glob(filepath.Join(state, "*.token"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Each command that runs takes a thread, and Go ends a process, and with it all commands, that has more than it may.
func TestThereAreThreadsForAsManyCommandsAsMayRun(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.Close()
	p := launch(t, server, "--concurrency=10000", "--run", "t=cat")
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
	require.Greater(t, debug.SetMaxThreads(mostThreads), 10_000+1_000, "besides those of the worker itself")
}

func TestAWorkerWhoseServerIsAwayDrains(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.Close()
	p := launch(t, server, "--run", "t=cat")
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
}
