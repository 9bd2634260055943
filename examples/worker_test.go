// Package examples_test runs the examples that are no programs of their own.
package examples_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheProtocolShowsTheShellWorkerAsItIs(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("worker.sh")
	require.NoError(t, err)
	document, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	require.Contains(t, string(document), "```sh\n"+string(script)+"```\n")
}

// patience is how long a test waits for what must happen, on a machine that is busy.
const patience = time.Minute

// startServer starts a real server and returns a client of it.
func startServer(t *testing.T, heartbeatTimeout time.Duration) (*client.Client, string) {
	t.Helper()
	server, err := app.New(app.Options{
		Listen: "127.0.0.1:0", Store: t.TempDir(), HeartbeatTimeout: heartbeatTimeout, ReapInterval: 100 * time.Millisecond,
		MaxRetries: 2, MaxWait: time.Minute, IdempotencyTTL: time.Hour,
		MaxBodyBytes: 1 << 20, MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20,
	})
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	own := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(own.CloseIdleConnections)
	api, err := client.New("http://"+server.Addr(), client.Options{HTTPClient: &http.Client{Transport: own}})
	require.NoError(t, err)
	return api, "http://" + server.Addr()
}

// startWorker starts worker.sh in a process group of its own, for jobs of type "t".
func startWorker(t *testing.T, server, command string) *exec.Cmd {
	t.Helper()
	return startWorkerIn(t, "sh", server, command)
}

// startWorkerIn does that in a given shell.
func startWorkerIn(t *testing.T, shell, server, command string) *exec.Cmd {
	t.Helper()
	worker := exec.CommandContext(context.WithoutCancel(t.Context()), shell, "worker.sh", "t", "sh", "-c", command)
	worker.Env = append(os.Environ(), "LONGSHORE_SERVER="+server, "TMPDIR="+t.TempDir())
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, worker.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-worker.Process.Pid, syscall.SIGKILL) // it may be gone
		_ = worker.Wait()
	})
	return worker
}

func enqueue(t *testing.T, api *client.Client) *client.Snapshot {
	t.Helper()
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", Args: json.RawMessage(`{"n":[1]}`)})
	require.NoError(t, err)
	return job
}

// ended waits until the job is over.
func ended(t *testing.T, api *client.Client, job *client.Snapshot) *client.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job, err := api.Wait(ctx, job.Id)
	require.NoError(t, err)
	return job
}

// until waits until what is looked for is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	require.Eventually(t, so, patience, 20*time.Millisecond, what)
}

func exists(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return err == nil }
}

func TestTheShellWorkerDoesOneJobAfterTheOther(t *testing.T) {
	t.Parallel()
	api, server := startServer(t, time.Minute)
	startWorker(t, server, `cat`) // the lease is the result
	for range 3 {
		job := ended(t, api, enqueue(t, api))
		require.Equal(t, client.Finished, job.State)
		var lease client.Lease
		require.NoError(t, json.Unmarshal(job.Result, &lease))
		require.Equal(t, job.Id, lease.Id)
		require.JSONEq(t, `{"n":[1]}`, string(lease.Args))
	}
}

func TestTheShellWorkerReportsFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ command, reason, details string }{
		"an exit code":          {`echo 1; exit 3`, "exit-code", `{"exit_code":3}`},
		"a result that is none": {`echo }`, "bad-result", `{"exit_code":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, server := startServer(t, time.Minute)
			startWorker(t, server, test.command)
			job := ended(t, api, enqueue(t, api))
			require.Equal(t, client.Failed, job.State)
			require.Equal(t, test.reason, job.Error.Reason)
			require.JSONEq(t, test.details, string(job.Error.Details))
		})
	}
	t.Run("no output is null", func(t *testing.T) {
		t.Parallel()
		api, server := startServer(t, time.Minute)
		startWorker(t, server, `:`)
		job := ended(t, api, enqueue(t, api))
		require.Equal(t, client.Finished, job.State)
		require.Equal(t, `null`, string(job.Result))
	})
}

// The server takes a lease back after a few seconds, which is less than the job takes.
func TestTheShellWorkerBeatsAsOftenAsTheLeaseSays(t *testing.T) {
	t.Parallel()
	api, server := startServer(t, 6*time.Second)
	startWorker(t, server, `sleep 9; echo 1`)
	job := ended(t, api, enqueue(t, api))
	require.Equal(t, client.Finished, job.State)
	require.EqualValues(t, 1, job.Attempt)
}

func TestTheShellWorkerEndsTheCommandOfACanceledJob(t *testing.T) {
	t.Parallel()
	api, server := startServer(t, 6*time.Second)
	dir := t.TempDir()
	begun, told, first := filepath.Join(dir, "begun"), filepath.Join(dir, "told"), filepath.Join(dir, "first")
	startWorker(t, server, `if [ -e '`+first+`' ]; then exit; fi; : >'`+first+`'
		trap 'echo told >"`+told+`"; exit 1' TERM; : >'`+begun+`'; while :; do sleep 0.1; done`)
	job := enqueue(t, api)
	until(t, "the command runs", exists(begun))
	require.NoError(t, api.Cancel(t.Context(), job.Id))
	until(t, "the command is told to end", exists(told))
	require.Equal(t, client.Finished, ended(t, api, enqueue(t, api)).State, "the next job")
}

func TestTheShellWorkerGivesItsJobBackWhenItIsToldToEnd(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, server := startServer(t, time.Hour)
			begun := filepath.Join(t.TempDir(), "begun")
			worker := startWorker(t, server, `: >'`+begun+`'; exec sleep 1000`)
			job := enqueue(t, api)
			until(t, "the command runs", exists(begun))
			require.NoError(t, worker.Process.Signal(signal))
			require.Error(t, worker.Wait())
			answer, err := api.Job(t.Context(), job.Id)
			require.NoError(t, err)
			require.Equal(t, client.Pending, answer.State)
			require.Zero(t, answer.Retries)
		})
	}
}

// Heartbeats that outlive the script would keep the job for ever.
func TestTheServerTakesTheJobOfAKilledShellWorkerBack(t *testing.T) {
	t.Parallel()
	api, server := startServer(t, 3*time.Second)
	begun := filepath.Join(t.TempDir(), "begun")
	worker := startWorker(t, server, `: >'`+begun+`'; exec sleep 30`)
	job := enqueue(t, api)
	until(t, "the command runs", exists(begun))
	require.NoError(t, worker.Process.Kill())
	require.Error(t, worker.Wait())
	until(t, "the job is handed out again", func() bool {
		answer, err := api.Job(t.Context(), job.Id)
		require.NoError(t, err)
		return answer.State == client.Pending && answer.Retries == 1
	})
}
