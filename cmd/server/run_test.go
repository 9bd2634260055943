package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

// beServer in the environment makes the test binary the server.
const beServer = "TEST_BE_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(beServer) != "" {
		main()
	}
	goleak.VerifyTestMain(pgtest.M{M: m})
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, env []string
		named     string
	}{
		{[]string{"--no-such-flag"}, nil, "--no-such-flag"},
		{[]string{"argument"}, nil, "argument"},
		{[]string{"--heartbeat-timeout=-1s"}, nil, "--heartbeat-timeout"},
		{[]string{"--heartbeat-timeout=0"}, nil, "--heartbeat-timeout"},
		{[]string{"--heartbeat-timeout=soon"}, nil, "--heartbeat-timeout"},
		{[]string{"--reap-interval=0s"}, nil, "--reap-interval"},
		{[]string{"--max-wait=-1ns"}, nil, "--max-wait"},
		{[]string{"--max-retries=-1"}, nil, "--max-retries"},
		{[]string{"--max-retries=1001"}, nil, "--max-retries"},
		{[]string{"--max-body-bytes=0"}, nil, "--max-body-bytes"},
		{[]string{"--max-batch-bytes=-1"}, nil, "--max-batch-bytes"},
		{[]string{"--max-args-bytes=0"}, nil, "--max-args-bytes"},
		{[]string{"--max-args-bytes=256KiB"}, nil, "--max-args-bytes"},
		{[]string{"--max-result-bytes=1073741825"}, nil, "--max-result-bytes"},
		{[]string{"--idempotency-ttl=0"}, nil, "--idempotency-ttl"},
		{[]string{"--idempotency-ttl=24"}, nil, "--idempotency-ttl"},
		{nil, []string{"LONGSHORE_IDEMPOTENCY_TTL=-1h"}, "--idempotency-ttl"},
		{[]string{"--shutdown-timeout=-1s"}, nil, "--shutdown-timeout"},
		{[]string{"--log-level=loud"}, nil, "--log-level"},
		{[]string{"--log-format=xml"}, nil, "--log-format"},
		{[]string{"--listen="}, nil, "--listen"},
		{[]string{"--listen=127.0.0.1"}, nil, "--listen"},
		{[]string{"--listen=127.0.0.1:99999"}, nil, "--listen"},
		{[]string{"--listen=what is this"}, nil, "--listen"},
		{[]string{"--listen=0.0.0.0:8080"}, nil, "--insecure"},
		{nil, []string{"LONGSHORE_LISTEN=:http"}, "--listen"},
		{[]string{"--admin-listen=0.0.0.0:8081"}, nil, "--admin-listen"},
		{[]string{"--otlp-endpoint=collector:4318"}, nil, "--otlp-endpoint"},
		{[]string{"--store="}, nil, "--store"},
		{[]string{"--store=Postgres://u:planted@h/x"}, nil, "--store must be a directory"},
		{nil, []string{"LONGSHORE_STORE=host=h password=planted"}, "--store must be a directory"},
		{[]string{"audit", "--store=mysql://u:planted@h/x"}, nil, "--store must be the directory"},
		{[]string{"--max-connections=-1"}, nil, "--max-connections"},
		{[]string{"--max-waiting=many"}, nil, "--max-waiting"},
		{[]string{"--max-waiting-per-credential=-1"}, nil, "--max-waiting-per-credential"},
		{[]string{"--rate-limit=-1"}, nil, "--rate-limit"},
		{[]string{"--rate-limit=NaN"}, nil, "--rate-limit"},
		{[]string{"--quota-jobs=-1"}, nil, "--quota-jobs"},
		{nil, []string{"LONGSHORE_MEMORY_LIMIT=1000"}, "--memory-limit"},
		{nil, []string{"LONGSHORE_MAX_WAIT=-5s"}, "--max-wait"},
		{[]string{"--retention=-1h"}, nil, "--retention"},
		{[]string{"--store=memory", "--backup-dir=b"}, nil, "--backup-dir"},
		{[]string{"--auth=oidc"}, nil, "--oidc-issuer"},
		{[]string{"--oidc-issuer=https://i.example"}, nil, "--oidc-issuer makes no sense without --auth oidc"},
		{[]string{"--auth=oidc", "--oidc-issuer=http://i.example", "--oidc-audience=a", "--oidc-channel-claim=c"}, nil, "--oidc-issuer must begin with https://"},
		{[]string{"--auth=oidc", "--oidc-issuer=https://i.example", "--oidc-channel-claim=c"}, nil, "--oidc-audience"},
		{[]string{"--auth=oidc", "--oidc-issuer=https://i.example", "--oidc-audience=a"}, nil, "--oidc-channel-claim"},
		{[]string{"--auth=oidc", "--oidc-issuer=https://i.example", "--oidc-audience=a", "--oidc-channel-claim=c", "--oidc-algorithm=HS256"}, nil, "--oidc-algorithm"},
		{[]string{"--auth=oidc", "--oidc-issuer=https://i.example", "--oidc-audience=a", "--oidc-channel-claim=c", "--oidc-default-scope=all"}, nil, "--oidc-default-scope"},
		{[]string{"--auth=mtls", "--tls-cert=c", "--tls-key=k", "--tls-client-ca=a"}, nil, "--auth-mtls-file must not be empty"},
		{[]string{"--auth=mtls", "--auth-mtls-file=f"}, nil, "--tls-client-ca must not be empty"},
		{[]string{"--allowed-host=a:80"}, nil, "--allowed-host must be a name without a port"},
		{[]string{"--allowed-host=a", "--insecure"}, nil, "--allowed-host makes no sense with --auth or --insecure"},
		{[]string{"--allowed-host=a", "--auth=keys"}, nil, "--allowed-host makes no sense with --auth or --insecure"},
		{[]string{"--allowed-host=a", "--insecure", "--admin-listen=0.0.0.0:0"}, nil, "--allowed-host makes no sense with --auth or --insecure"},
		{[]string{"--auth-mtls-file=f"}, nil, "--auth-mtls-file makes no sense without --auth mtls"},
		{[]string{"--tls-cert=c"}, nil, "--tls-cert makes no sense without --tls-key"},
		{[]string{"--tls-key=k"}, nil, "--tls-key makes no sense without --tls-cert"},
		{[]string{"--tls-client-ca=c"}, nil, "--tls-client-ca"},
		{[]string{"--auth=password"}, nil, "--auth"},
		{[]string{"--auth="}, nil, "--auth: must not be empty"},
		{[]string{"--auth=keys", "--auth=keys"}, nil, "--auth"},
		{[]string{"--auth-keys-file=f"}, nil, "--auth-keys-file"},
		{[]string{"audit", "argument"}, nil, "argument"},
		{[]string{"audit", "--listen=:1"}, nil, "--listen"},
		{[]string{"audit", "--store="}, nil, "--store"},
		{[]string{"audit", "--store=memory"}, nil, "--store"},
		{nil, []string{"LONGSHORE_REAP_INTERVAL=often"}, "--reap-interval"},
	} {
		t.Run(strings.Join(append(c.args, c.env...), " "), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			store := t.TempDir() + "/store"
			env := append([]string{"LONGSHORE_STORE=" + store}, c.env...)
			ctx, stop := context.WithCancel(t.Context())
			stop() // a server that runs in spite of it ends at once
			require.Equal(t, cli.ExitUsage, run(ctx, c.args, env, &stdout, &stderr), stderr.String())
			require.NoDirExists(t, store)
			require.Regexp(t, `^longshore-server( audit)?: `, stderr.String())
			require.Contains(t, stderr.String(), c.named)
			require.NotContains(t, stderr.String(), "planted")
			require.Empty(t, stdout.String())
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitClean, run(t.Context(), []string{"--version"}, nil, &stdout, &stderr))
	require.Regexp(t, `^longshore-server \S+ \(commit \S+, go1\.\S+ \w+/\w+\)\n$`, stdout.String())
	require.Empty(t, stderr.String())
}

// helped are the flags in the help of the server, each with its default.
func helped(t *testing.T) map[string]string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitClean, run(t.Context(), []string{"--help"}, nil, &stdout, &stderr))
	require.Empty(t, stderr.String())
	_, help, _ := strings.Cut(strings.Join(strings.Fields(stdout.String()), " "), "Show context-sensitive help.")
	require.NotContains(t, help, "LONGSHORE_VERSION")
	flag := regexp.MustCompile(`--([a-z-]+)(?:="?([a-z0-9.]+)"?|=\S+)? [A-Z][^$]*?(?:Default: (\S+)\. )?\(\$(\w+)\)`)
	found := make(map[string]string)
	for _, match := range flag.FindAllStringSubmatch(help, -1) {
		require.Equal(t, "LONGSHORE_"+strings.ToUpper(strings.ReplaceAll(match[1], "-", "_")), match[4])
		found[match[1]] = match[2] + match[3]
	}
	require.Len(t, found, strings.Count(help, "($LONGSHORE_"))
	return found
}

func TestTheGuidesHaveEveryFlagWithItsDefault(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	configuration, _, _ := strings.Cut(read("../../docs/operations/configuration.md"), "## The worker")
	authentication, readme := read("../../docs/operations/authentication.md"), read("../../README.md")
	flags := helped(t)
	require.Greater(t, len(flags), 40)
	for name, value := range flags {
		if strings.HasPrefix(name, "oidc-") {
			require.Contains(t, authentication, "| `--"+name+"` | ")
			continue
		}
		row := "| `--" + name + "` | `LONGSHORE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "` | "
		if value != "" {
			row += "`" + value + "` | "
		}
		require.Contains(t, configuration, row)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`(\\S+)`)? ?\\|").FindAllStringSubmatch(readme, -1) {
		require.Contains(t, flags, row[1])
		require.Equal(t, flags[row[1]], row[2], row[1])
	}
}

// parse returns the flags that the server would run with.
func parse(t *testing.T, args, env []string) flags {
	t.Helper()
	var stdout, stderr bytes.Buffer
	var f flags
	code, ok := program(&stdout, &stderr).Parse(&f, args, env)
	require.True(t, ok, stderr.String())
	require.Equal(t, cli.ExitClean, code)
	return f
}

func TestFlagsAndVariables(t *testing.T) {
	t.Parallel()
	defaults := parse(t, nil, nil)
	require.Equal(t, flags{
		Listen: "127.0.0.1:8080", Store: "./longshore-data", HeartbeatTimeout: 2 * time.Minute,
		ReapInterval: 30 * time.Second, MaxRetries: 2, MaxWait: time.Minute, MaxBodyBytes: 1 << 20,
		MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20, IdempotencyTTL: 24 * time.Hour, Retention: 168 * time.Hour,
		PollInterval: time.Second, DatabaseConnections: 8, MaxConnections: 16384, MaxWaiting: 16384,
		OIDC:            oidcFlags{ScopesClaim: "scope"},
		ShutdownTimeout: 30 * time.Second, LogLevel: "info", LogFormat: "json",
	}, defaults)

	env := []string{
		"LONGSHORE_LISTEN=:1", "LONGSHORE_STORE=memory", "LONGSHORE_HEARTBEAT_TIMEOUT=1s",
		"LONGSHORE_REAP_INTERVAL=2s", "LONGSHORE_MAX_RETRIES=3", "LONGSHORE_MAX_WAIT=4s",
		"LONGSHORE_MAX_BODY_BYTES=5", "LONGSHORE_MAX_BATCH_BYTES=7", "LONGSHORE_MAX_ARGS_BYTES=8",
		"LONGSHORE_MAX_RESULT_BYTES=9", "LONGSHORE_IDEMPOTENCY_TTL=10s", "LONGSHORE_BACKUP_DIR=/b", "LONGSHORE_RETENTION=11s", "LONGSHORE_SHUTDOWN_TIMEOUT=6s", "LONGSHORE_LOG_LEVEL=debug",
		"LONGSHORE_MIGRATE=true", "LONGSHORE_POLL_INTERVAL=12s", "LONGSHORE_DATABASE_CONNECTIONS=13", "LONGSHORE_NO_LISTEN=true",
		"LONGSHORE_AUTH_MTLS_FILE=/m", "LONGSHORE_OIDC_ISSUER=https://i", "LONGSHORE_OIDC_AUDIENCE=a", "LONGSHORE_OIDC_ALGORITHM=PS256",
		"LONGSHORE_OIDC_SCOPES_CLAIM=roles", "LONGSHORE_OIDC_SCOPE_PREFIX=l:", "LONGSHORE_OIDC_DEFAULT_SCOPE=read", "LONGSHORE_OIDC_CHANNEL_CLAIM=/a/b",
		"LONGSHORE_OIDC_CHANNEL_PREFIX=org-", "LONGSHORE_OIDC_DEFAULT_CHANNEL=d", "LONGSHORE_OIDC_ALL_CHANNELS=true",
		"LONGSHORE_TLS_CERT=/c", "LONGSHORE_TLS_KEY=/k", "LONGSHORE_TLS_CLIENT_CA=/a",
		"LONGSHORE_AUTH=keys", "LONGSHORE_AUTH_KEYS_FILE=/f",
		"LONGSHORE_MAX_CONNECTIONS=14", "LONGSHORE_MAX_WAITING=15", "LONGSHORE_MAX_WAITING_PER_CREDENTIAL=16",
		"LONGSHORE_RATE_LIMIT=17.5", "LONGSHORE_QUOTA_JOBS=18", "LONGSHORE_MEMORY_LIMIT=100000000",
		"LONGSHORE_LOG_FORMAT=text", "LONGSHORE_VERSION=true", "LONGSHORE_UNKNOWN=1", "PATH=/bin",
	}
	fromEnv := parse(t, nil, env)
	want := flags{
		Listen: ":1", Store: "memory", HeartbeatTimeout: time.Second, ReapInterval: 2 * time.Second,
		MaxRetries: 3, MaxWait: 4 * time.Second, MaxBodyBytes: 5, MaxBatchBytes: 7,
		MaxArgsBytes: 8, MaxResultBytes: 9, IdempotencyTTL: 10 * time.Second, Retention: 11 * time.Second, BackupDir: "/b", ShutdownTimeout: 6 * time.Second,
		Migrate: true, PollInterval: 12 * time.Second, DatabaseConnections: 13, NoListen: true,
		AuthMTLSFile: "/m",
		OIDC: oidcFlags{
			Issuer: "https://i", Audience: "a", Algorithm: []string{"PS256"}, ScopesClaim: "roles", ScopePrefix: "l:", DefaultScope: []string{"read"},
			ChannelClaim: "/a/b", ChannelPrefix: "org-", DefaultChannel: []string{"d"}, AllChannels: true,
		},
		TLSCert: "/c", TLSKey: "/k", TLSClientCA: "/a",
		Auth: []string{"keys"}, AuthKeysFile: "/f",
		MaxConnections: 14, MaxWaiting: 15, MaxWaitingPerCredential: 16, RateLimit: 17.5, QuotaJobs: 18, MemoryLimit: 100_000_000,
		LogLevel: "debug", LogFormat: "text",
	}
	require.Equal(t, want, fromEnv)

	both := parse(t, []string{"--max-retries=7"}, append(env, "LONGSHORE_LISTEN="))
	want.MaxRetries = 7
	require.Equal(t, want, both, "a flag goes before its variable, and an empty variable is none")
}

// output keeps what is written, and tells of each line.
type output struct {
	mu    sync.Mutex // guards text
	text  bytes.Buffer
	lines chan map[string]any
}

func newOutput() *output { return &output{lines: make(chan map[string]any, 100)} }

// Write takes one line of JSON at a time, as a logger writes it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var fields map[string]any
	if json.Unmarshal(p, &fields) == nil {
		select {
		case o.lines <- fields:
		default: // nobody waits for any of so many
		}
	}
	return o.text.Write(p)
}

// await returns the next line with the message.
func (o *output) await(t *testing.T, msg string) map[string]any {
	t.Helper()
	patience := time.NewTimer(soon)
	defer patience.Stop()
	for {
		select {
		case fields := <-o.lines:
			if fields["msg"] == msg {
				return fields
			}
		case <-patience.C:
			require.FailNow(t, "not logged: "+msg)
		}
	}
}

func TestServerRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr := newOutput()
	code := make(chan int, 1)
	go func() {
		var stdout bytes.Buffer
		code <- run(ctx, []string{"--listen=127.0.0.1:0", "--store=memory"}, nil, &stdout, stderr)
	}()
	address := stderr.await(t, "listening")["address"].(string)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/readyz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	stop()
	require.Equal(t, cli.ExitClean, <-code)
	stderr.await(t, "stopped")
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	var stdout bytes.Buffer
	stderr := newOutput()
	store := t.TempDir() + "/store"
	code := run(t.Context(), []string{"--store=" + store, "--listen=" + taken.Addr().String()}, nil, &stdout, stderr)
	require.Equal(t, cli.ExitFailed, code)
	require.NoDirExists(t, store)
	require.Contains(t, stderr.await(t, "server not started")["error"], "address already in use")
}

// A variable that is misspelt would be ignored in silence.
func TestUnknownVariablesAreLogged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		want any // the names, or nil for no line
	}{
		"misspelt":     {[]string{"LONGSHORE_STOER=x", "LONGSHORE_LOG_LEVEL=info"}, "LONGSHORE_STOER"},
		"of a command": {[]string{"LONGSHORE_JOB_ID=x", "LONGSHORE_ATTEMPT=1", "LONGSHORE_JOB_CHANNEL=c"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			stop()
			var stdout bytes.Buffer
			stderr := newOutput()
			require.Equal(t, cli.ExitClean, run(ctx, []string{"--store=memory", "--listen=127.0.0.1:0"}, test.env, &stdout, stderr))
			first := <-stderr.lines
			if test.want != nil {
				require.Equal(t, "warning", first["level"])
			}
			require.Equal(t, test.want, first["variables"])
		})
	}
}

// broken is a server that fails once it runs.
type broken struct {
	failed  chan error
	stopped bool
}

func (b *broken) Start() error {
	b.failed <- errors.New("disk on fire")
	return nil
}

func (b *broken) Reload() {}

func (b *broken) Failed() <-chan error { return b.failed }

func (b *broken) Stop(ctx context.Context) error {
	b.stopped = true
	return ctx.Err()
}

// A server that cannot go on is stopped in order, and the exit code says that it failed.
func TestServerThatFailsWhileItRuns(t *testing.T) {
	t.Parallel()
	stderr := newOutput()
	log, err := logging.New(stderr, "info", "json")
	require.NoError(t, err)
	server := &broken{failed: make(chan error, 1)}
	require.Equal(t, cli.ExitFailed, serve(t.Context(), server, flags{ShutdownTimeout: time.Minute}, log))
	require.True(t, server.stopped)
	require.Equal(t, "disk on fire", stderr.await(t, "server failed; stopping")["error"])
	stderr.await(t, "stopped")
}

// process is a server in a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	stderr := newOutput()
	command := exec.CommandContext(t.Context(), os.Args[0], append(args, "--listen=127.0.0.1:0")...)
	command.Env = append(os.Environ(), beServer+"=1")
	pipe, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			_, _ = stderr.Write(lines.Bytes())
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-copied
		_ = command.Wait() // unless the test has
	})
	return command, stderr
}

func TestSignalStopsInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		command, stderr := process(t, "--store="+t.TempDir())
		stderr.await(t, "listening")
		require.NoError(t, command.Process.Signal(signal))
		stderr.await(t, "stopped")
		require.NoError(t, command.Wait())
	}
}

// A second signal does not wait for a request that is not done.
func TestSecondSignalEndsNow(t *testing.T) {
	t.Parallel()
	command, stderr := process(t, "--store=memory")
	address := stderr.await(t, "listening")["address"].(string)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	// The server says 100 Continue when it has begun to wait for the body, which never comes.
	_, err = conn.Write([]byte("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
		"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	stderr.await(t, "stopping; a second signal ends the server now")
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, command.Wait(), &exit)
	require.Equal(t, cli.ExitFailed, exit.ExitCode())
}

// A request that outlives the time for stopping is cut off, and that is a failure.
func TestShutdownTimeout(t *testing.T) {
	t.Parallel()
	command, stderr := process(t, "--store=memory", "--shutdown-timeout=10ms")
	address := stderr.await(t, "listening")["address"].(string)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
		"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"))
	require.NoError(t, err)
	_, err = bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	stderr.await(t, "server not stopped in order")
	var exit *exec.ExitError
	require.ErrorAs(t, command.Wait(), &exit)
	require.Equal(t, cli.ExitFailed, exit.ExitCode())
}

// A collector of logs that is started again, or "2>&1 | head", takes no server with it.
func TestServerGoesOnWithoutTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), os.Args[0], "--store=memory", "--listen=127.0.0.1:0")
	command.Env = append(os.Environ(), beServer+"=1")
	command.Stdout, command.Stderr = writer, writer
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // unless the test has
	})
	require.NoError(t, writer.Close())
	address := ""
	for lines := bufio.NewScanner(reader); address == "" && lines.Scan(); {
		var line struct{ Address string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		address = line.Address
	}
	require.NoError(t, reader.Close())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 { // each has a line in the log
		response, err := client.Get("http://" + address + "/v1/jobs")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	require.NoError(t, command.Wait())
}

// What is printed for a pipe ends with its reader, as "| head" expects.
func TestWhatIsPrintedEndsWithItsReader(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"key", "--help"}, {"audit", "--version"}} {
		reader, writer, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, reader.Close())
		command := exec.CommandContext(t.Context(), os.Args[0], args...)
		command.Env = append(os.Environ(), beServer+"=1")
		command.Stdout = writer
		require.Error(t, command.Run())
		require.NoError(t, writer.Close())
		require.Equal(t, syscall.SIGPIPE, command.ProcessState.Sys().(syscall.WaitStatus).Signal(), args)
	}
}

// Such a server would be short of memory for good.
func TestServerRefusesTooSmallAMemoryLimitOfGos(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "--store=memory", "--listen=127.0.0.1:0")
	command.Env = append(os.Environ(), beServer+"=1", "GOMEMLIMIT=32MiB")
	said, err := command.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, cli.ExitUsage, exit.ExitCode())
	require.Contains(t, string(said), "--memory-limit")
	require.Contains(t, string(said), "must be 67108864 or more; the variable GOMEMLIMIT says 33554432")
}

// Other processes hand over new certificates by a signal.
func TestHangupReadsFilesAgain(t *testing.T) {
	t.Parallel()
	ca, dir := tlstest.NewCA(t), t.TempDir()
	cert, key := ca.Issue(t, tlstest.Subject{CommonName: "old"}).Write(t, dir)
	command, stderr := process(t, "--store=memory", "--tls-cert="+cert, "--tls-key="+key)
	require.Equal(t, true, stderr.await(t, "listening")["tls"])
	ca.Issue(t, tlstest.Subject{CommonName: "new"}).Write(t, dir)
	require.NoError(t, command.Process.Signal(syscall.SIGHUP))
	stderr.await(t, "the TLS files changed and are in use")
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	stderr.await(t, "stopped")
	require.NoError(t, command.Wait())
}
