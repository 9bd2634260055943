package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// oddNames are file names that break programs which take names for words or lines.
func oddNames() []string {
	return []string{
		"plain.go",
		"with space.txt",
		" leading and trailing ",
		`quote"and'quote`,
		`back\slash\0101\n`,
		"line\nbreak",
		"ends in a line break\n",
		"-l",
		"$(touch surprise) `touch surprise` ; touch surprise",
		"{brace},\"lines\":9",
		"tab\there",
		"100%s%b",
		"ü-umlaut",
		"not utf-8 \xff\xfe",
		"total",
		"*",
	}
}

// fixture is a directory of files with odd names, and the commands beside it.
func fixture(t *testing.T) (dir, temp string) {
	t.Helper()
	dir, temp = t.TempDir(), t.TempDir()
	for i, name := range oddNames() {
		text := strings.Repeat("one two  three\n", i) + "no newline at the end"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, unpack(temp))
	return dir, temp
}

// command runs one of the commands as a worker does.
func command(ctx context.Context, dir, temp, name, stdin string, env ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", `exec sh "$DEMO_TMP/`+name+`.sh"`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "DEMO_TMP="+temp, "DEMO_WORKER=worker-1")...)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd.Output()
}

func TestCommandsCountAndMergeFilesOfAnyName(t *testing.T) {
	t.Parallel()
	dir, temp := fixture(t)
	sources, beyond, err := findSources(dir)
	require.NoError(t, err)
	require.Zero(t, beyond)
	require.Len(t, sources, len(oddNames()))
	said, err := reference(t.Context(), dir, sources)
	require.NoError(t, err)
	require.Len(t, said, len(sources))

	type dependency struct {
		ID     string          `json:"id"`
		Type   string          `json:"type"`
		State  string          `json:"state"`
		Result json.RawMessage `json:"result,omitempty"`
	}
	dependencies := []dependency{{ID: "0", Type: "count", State: "failed"}}
	for _, s := range sources {
		args, err := json.Marshal(countArgs{Path: s.name})
		require.NoError(t, err)
		out, err := command(t.Context(), dir, temp, "count", string(args), "LONGSHORE_ATTEMPT=1")
		require.NoErrorf(t, err, "count %q", s.path)
		require.Truef(t, json.Valid(out), "the result of %q is %s", s.path, out)
		dependencies = append(dependencies, dependency{ID: "1", Type: "count", State: "finished", Result: out})
	}
	file := filepath.Join(temp, "dependencies.json")
	text, err := json.Marshal(dependencies)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	out, err := command(t.Context(), dir, temp, "merge", "null", "LONGSHORE_DEPENDENCIES="+file)
	require.NoError(t, err)
	merged, err := json.Marshal(string(out))
	require.NoError(t, err)

	got, err := parseTable(merged)
	require.NoError(t, err)
	require.Empty(t, compare(got, said, sources, allFinished(len(sources))))
	require.NoFileExists(t, filepath.Join(dir, "surprise"))
}

func TestCountFailsOnAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir, temp := fixture(t)
	_, err := command(t.Context(), dir, temp, "count", `{"path":"absent"}`, "LONGSHORE_ATTEMPT=1")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.NotEmpty(t, exit.Stderr)
}

func TestCountLingersUntilOneOfItsWorkersWasKilled(t *testing.T) {
	t.Parallel()
	dir, temp := fixture(t)
	c := cast{temp: temp}
	const args = `{"path":"plain.go","linger_seconds":60}`

	started, err := start(t.Context(), program{
		name: "count", path: "sh", args: []string{filepath.Join(temp, "count.sh")}, dir: dir,
		env:   []string{"LONGSHORE_ATTEMPT=3", "DEMO_TMP=" + temp, "DEMO_WORKER=worker-1"},
		stdin: strings.NewReader(args),
	}, func(err error) { t.Error(err) })
	require.NoError(t, err)
	defer started.kill()
	var b busy
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, poll(ctx, func() (bool, error) {
		var found bool
		b, found = c.lingering()
		return found, nil
	}))
	require.Equal(t, busy{worker: "worker-1", pid: started.pid(), attempt: 3}, b)
	require.NoError(t, c.lingerNoMore())
	started.expect()
	c.killWorker(b)
	select {
	case <-started.done:
	case <-time.After(patience):
		t.Error("the command lives on after its worker was killed")
	}

	out, err := command(t.Context(), dir, temp, "count", args, "LONGSHORE_ATTEMPT=4")
	require.NoError(t, err)
	require.JSONEq(t, `{"path":"plain.go","lines":0,"words":5,"worker":"worker-1"}`, string(out))
	_, found := c.lingering()
	require.False(t, found, "it lingers again")
}

func TestMergeOfNothingIsATotalOfNothing(t *testing.T) {
	t.Parallel()
	dir, temp := fixture(t)
	file := filepath.Join(temp, "dependencies.json")
	require.NoError(t, os.WriteFile(file, []byte("[]"), 0o600))
	out, err := command(t.Context(), dir, temp, "merge", "null", "LONGSHORE_DEPENDENCIES="+file)
	require.NoError(t, err)
	require.Equal(t, "0\t0\ttotal\n", string(out))
}

func TestBadUsageExitsWith2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-no-such-flag"}, {"superfluous"}, {"-timeout", "soon"}, {"-store", "tape"}} {
		require.Equalf(t, 2, run(t.Context(), args, io.Discard, io.Discard), "exit code of %q", args)
	}
}

func TestADirectoryWithoutSourcesIsRefused(t *testing.T) {
	t.Parallel()
	var stderr strings.Builder
	require.Equal(t, 1, run(t.Context(), []string{"-dir", t.TempDir()}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "no source files")
	stderr.Reset()
	require.Equal(t, 1, run(t.Context(), []string{"-dir", filepath.Join(t.TempDir(), "absent")}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "no such file")
}
