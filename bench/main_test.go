package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

// The tests run this program as what it is: a process that starts others, itself among them.

// TestMain makes the test's binary the program unless `go test` has called it: whatever the
// program starts of itself is the program again, and never the tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
	}
	code := m.Run()
	if released.directory != "" {
		_ = os.RemoveAll(released.directory) // the tests are what counts
	}
	os.Exit(code)
}

// released is the server as it is released, which is built for the first test that asks.
var released shared

type shared struct {
	once      sync.Once
	directory string
	server    string
	err       error
}

func (s *shared) build() {
	if s.directory, s.err = os.MkdirTemp("", "longshore-bench-server-"); s.err == nil {
		s.server, s.err = build(context.Background(), s.directory)
	}
}

// program prepares a run of the program whose temporary files go to a directory of their own.
func program(ctx context.Context, t *testing.T, args ...string) (cmd *exec.Cmd, temporary string) {
	t.Helper()
	temporary = t.TempDir()
	// Whoever PostgreSQL runs as can pass.
	require.NoError(t, os.Chmod(filepath.Dir(temporary), 0o711))
	cmd = exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	return cmd, temporary
}

// quick makes every workload as short as it can be.
func quick(t *testing.T, args ...string) []string {
	t.Helper()
	if !slices.Contains(args, "--server") {
		released.once.Do(released.build)
		require.NoError(t, released.err)
		args = append(args, "--server", released.server)
	}
	return append([]string{
		"--duration", "100ms", "--warm-up", "10ms", "--repeat", "1", "--connections", "8", "--backlog", "3000", "--finished", "5000", "--many", "2000", "--lanes", "50", "--readers", "5", "--cycles", "200",
		"--kept", "1", "--weighed", "2000", "--batch", "20", "--batch-connections", "2", "--graph", "300", "--hold", "3s", "--waiters", "20",
	}, args...)
}

func TestEveryWorkload(t *testing.T) {
	t.Parallel()
	results := filepath.Join(t.TempDir(), "made", "results.json")
	cmd, temporary := program(t.Context(), t, quick(t, "--json", results)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
	require.Empty(t, entries(t, temporary), "nothing is left behind")

	content, err := os.ReadFile(results)
	require.NoError(t, err)
	var r report.Run
	require.NoError(t, json.Unmarshal(content, &r))
	goals := 0
	for _, figure := range r.Figures {
		require.Len(t, figure.Values, 1, "%v", figure.Name)
		if figure.Goal != nil {
			goals++
		}
	}
	require.Equal(t, 34, goals)
}

// A server that is profiled is a part of the program, and so of the test: the race detector watches it,
// which makes it many times slower.
func TestProfiles(t *testing.T) {
	t.Parallel()
	profiles := t.TempDir()
	cmd, temporary := program(t.Context(), t, quick(t, "--only", "enqueue,cycle,wake", "--profile", profiles)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, entries(t, temporary), "nothing is left behind")
	for _, name := range []string{"enqueue-warn.cpu.pprof", "enqueue-info.mutex.pprof", "cycle-8.allocs.pprof", "wake.block.pprof"} {
		require.Contains(t, entries(t, profiles), name)
	}
}

// What PostgreSQL is for: River beside the server, which runs on files in the other workloads that
// are meant for databases.
func TestRiverBesideTheServer(t *testing.T) {
	t.Parallel()
	wantPostgres(t)
	r := measured(t, "--only", "peers,filled,hold,waiters", "--contenders", "longshore-postgres,river")
	require.NotEmpty(t, r.Postgres["server_version"])
	found := false
	for _, figure := range r.Figures {
		require.Len(t, figure.Values, 1, "%v", figure.Name)
		found = found || figure.System == "longshore-postgres by river" && figure.Goal != nil
	}
	require.True(t, found, "the ratio")
}

// Those that need no program of others are measured, and of the others each is or is left out aloud.
func TestContenders(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes long")
	}
	names := []string{
		"longshore", "longshore-next", "ceiling", "disk", "beanstalkd", "beanstalkd-log", "beanstalkd-f0",
		"asynq", "asynq-always", "faktory", "nats", "nats-always",
	}
	page := filepath.Join(t.TempDir(), "made", "peers.md")
	r := measured(t, "--only", "peers", "--contenders", strings.Join(names, ","), "--docs", page)
	has := make(map[string]bool)
	for _, figure := range r.Figures {
		has[figure.System] = true
	}
	for _, name := range names {
		require.NotEqual(t, has[name], r.LeftOut[name] != "", name)
		if has[name] {
			require.NotEmpty(t, r.Means[name], name)
		}
	}
	for _, name := range []string{"longshore", "ceiling", "disk", "nats"} {
		require.True(t, has[name], name)
	}
	require.Contains(t, r.LeftOut, "faktory", "nobody said where its server is")
	require.FileExists(t, filepath.Join(filepath.Dir(page), "cycles.svg"))
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(written), "](cycles.svg)")
}

func TestAuthenticationIsMeasuredWithAndWithout(t *testing.T) {
	t.Parallel()
	r := measured(t, "--only", "auth")
	var goals []string
	for _, figure := range r.Figures {
		if figure.Goal != nil {
			goals = append(goals, figure.Workload)
		}
	}
	require.Equal(t, []string{
		"authentication by key, single jobs", "authentication by key, cycles", "authentication by key, cycles in batches of 100",
	}, goals)
}

func TestProtocolsAreMeasuredBesideEachOther(t *testing.T) {
	t.Parallel()
	r := measured(t, "--only", "protocols")
	opened := make(map[string][]float64)
	for _, figure := range r.Figures {
		if figure.Measure == "connections opened in all" {
			opened[figure.System] = append(opened[figure.System], figure.Values...)
		}
	}
	require.Len(t, opened, 3)
	require.Equal(t, []float64{1, 1}, opened["HTTP/2 over TLS"])
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "growth.md")
	cmd, temporary := program(t.Context(), t, quick(t, "--only", "growth,payload", "--docs", page)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, entries(t, temporary), "nothing is left behind")
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, grown := range []string{"backlog", "history", "types", "channels", "waiters", "graph"} {
		require.Contains(t, string(written), "](growth-"+grown+".svg)")
	}
	require.Contains(t, string(written), "a full cycle takes ", "what it comes to, in a sentence")
}

func TestWorkloadsOnPostgres(t *testing.T) {
	t.Parallel()
	profiles := t.TempDir()
	wantPostgres(t)
	r := measured(t, "--store", "postgres", "--profile", profiles)
	require.Contains(t, entries(t, profiles), "server-2-of-2.cpu.pprof")
	var workloads []string
	for _, figure := range r.Figures {
		require.Len(t, figure.Values, 1, "%v", figure.Name)
		if !slices.Contains(workloads, figure.Workload) {
			workloads = append(workloads, figure.Workload)
		}
	}
	require.ElementsMatch(t, []string{
		"added to at work, beside others' cycles", "added to at work, where nothing else goes on",
		"backlog of 3,000 pending jobs", "beside each other", "cycle", "cycle, reported with the next dequeue",
		"cycles in batches of 100", "full cycles in batches", "full cycles of single jobs",
		"longshore-postgres, 5,000 finished and 3,000 pending jobs", "longshore-postgres, a transaction held open for 3s",
		"longshore-postgres, workers that wait", "processors of all for a full cycle", "servers on one database", "wake",
		"what 2,000 jobs that wait take",
	}, workloads)
}

// wantPostgres leaves a test out where there is to be no PostgreSQL.
func wantPostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it wants a PostgreSQL")
	}
}

// measured runs the program, and returns what it has written.
func measured(t *testing.T, args ...string) report.Run {
	t.Helper()
	results := filepath.Join(t.TempDir(), "results.json")
	cmd, temporary := program(t.Context(), t, quick(t, append(args, "--json", results)...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, entries(t, temporary), "nothing is left behind")
	content, err := os.ReadFile(results)
	require.NoError(t, err)
	var r report.Run
	require.NoError(t, json.Unmarshal(content, &r))
	return r
}

// A binary that was given is what is measured, and one that does not work is told.
func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	server := filepath.Join(t.TempDir(), "server")
	require.NoError(t, os.WriteFile(server, []byte("#!/bin/sh\necho no, thanks\nexit 3\n"), 0o700))
	cmd, temporary := program(t.Context(), t, quick(t, "--only", "wake", "--server", server)...)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, string(out), "no, thanks")
	require.Empty(t, entries(t, temporary))
}

// failing is a server that works, and fails when it is asked to end.
const failing = `#!/bin/sh
[ "$1" = key ] && exec "$SERVER" "$@"
"$SERVER" "$@" &
trap 'kill $!; wait' TERM
wait
echo "that did not end well"
exit 3
`

// What a server says at its end is part of what was measured: it may be that nothing was kept.
func TestServerThatFailsAtItsEndFailsTheRun(t *testing.T) {
	t.Parallel()
	server := filepath.Join(t.TempDir(), "server")
	require.NoError(t, os.WriteFile(server, []byte(failing), 0o700))
	for _, name := range []string{"auth", "cycle", "idle", "payload", "protocols", "wake"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, temporary := program(t.Context(), t, quick(t, "--only", name, "--server", server)...)
			released.once.Do(released.build)
			require.NoError(t, released.err)
			cmd.Env = append(cmd.Env, "SERVER="+released.server)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "%s", out)
			require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
			require.Contains(t, string(out), "that did not end well")
			require.Empty(t, entries(t, temporary), "nothing is left behind")
		})
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	// A hurry is not needed: the server that is built and started has to be there first.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd, temporary := program(ctx, t, "--only", "enqueue", "--duration", "50ms", "--repeat", "100000")
	said := &firstLine{seen: make(chan struct{})}
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	select {
	case <-said.seen:
	case <-ctx.Done():
		t.Log("nothing was measured in time")
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), "%s", said.all)
	require.Empty(t, entries(t, temporary), "nothing is left behind")
}

// firstLine keeps what is written to it and tells when there is a line. Only one goroutine
// writes, and nobody reads before that is done.
type firstLine struct {
	all  []byte
	seen chan struct{}
	told bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.all = append(f.all, p...)
	if !f.told && bytes.ContainsRune(p, '\n') {
		f.told = true
		close(f.seen)
	}
	return len(p), nil
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no such workload": {"--only", "sleep"},
		"no such flag":     {"--fast"},
		"no time":          {"--duration", "0s"},
		"no rounds":        {"--repeat", "0"},
		"large batch":      {"--batch", "10001"},
		"small graph":      {"--graph", "2"},
		"no such store":    {"--store", "paper"},
		"no such system":   {"--contenders", "pencil"},
		"two on one store": {"--only", "servers"},
		"nobody waits":     {"--waiters", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, exitUsage, run(t.Context(), args, &stdout, &stderr))
			require.NotEmpty(t, stderr.String())
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitClean, run(t.Context(), []string{"--help"}, &stdout, &stderr), "%s", stderr.String())
	require.Contains(t, stdout.String(), "--duration")
}

func entries(t *testing.T, directory string) []string {
	t.Helper()
	list, err := os.ReadDir(directory)
	require.NoError(t, err)
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return names
}
