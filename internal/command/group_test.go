//go:build unix

package command_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/command"
)

// never is longer than any test takes.
const never = time.Hour

// witness is a pipe that commands write to, and keep open for as long as they live: its end
// is the proof that none of them does.
type witness struct {
	t      *testing.T
	path   string
	reader *bufio.Reader
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{t: t, path: filepath.Join(t.TempDir(), "pipe")}
	require.NoError(t, syscall.Mkfifo(w.path, 0o600))
	return w
}

// line waits for the next line that a command writes.
func (w *witness) line() string {
	w.t.Helper()
	if w.reader == nil {
		file, err := os.Open(w.path) // waits for a writer
		require.NoError(w.t, err)
		w.t.Cleanup(func() { require.NoError(w.t, file.Close()) })
		w.reader = bufio.NewReader(file)
	}
	line, err := w.reader.ReadString('\n')
	require.NoError(w.t, err)
	return line
}

// gone waits until no process holds the pipe, and returns what they wrote last.
func (w *witness) gone() string {
	w.t.Helper()
	rest, err := io.ReadAll(w.reader)
	require.NoError(w.t, err)
	return string(rest)
}

// running is a command that runs on a goroutine of its own.
type running struct {
	runner *command.Runner
	end    context.CancelFunc
	err    chan error
}

// begin starts a command that has its witness open as descriptor 3.
func begin(t *testing.T, w *witness, options command.Options, line string) *running {
	t.Helper()
	options.Env = environ("PIPE=" + w.path)
	ctx, end := context.WithCancel(t.Context())
	r := &running{runner: command.New(options), end: end, err: make(chan error, 1)}
	go func() {
		_, err := r.runner.Handler(`exec 3>"$PIPE"; `+line)(ctx, newRun(`null`))
		r.err <- err
	}()
	return r
}

func TestTheWholeGroupIsAskedToEnd(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	// The shell itself goes at once; what it started takes its time, within the grace.
	r := begin(t, w, command.Options{KillGrace: time.Minute}, `
		(trap 'echo cleaning >&3; sleep 0.1; echo clean >&3; exit' TERM
		echo ready >&3; while :; do sleep 0.01; done) >/dev/null 2>&1 &
		wait`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, <-r.err, context.Canceled)
	require.Equal(t, "cleaning\nclean\n", w.gone())
}

func TestAGroupThatDoesNotEndIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: 50 * time.Millisecond}, `
		trap '' TERM; sleep 1000 & echo ready >&3; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, <-r.err, context.Canceled)
	require.Empty(t, w.gone())
}

func TestWithoutAGraceAGroupIsKilledAtOnce(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: -1}, `trap '' TERM; echo ready >&3; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, <-r.err, context.Canceled)
	require.Empty(t, w.gone())
}

func TestKillEndsEverythingNow(t *testing.T) {
	t.Parallel()
	for name, ending := range map[string]bool{"while it runs": false, "while it is asked to end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t)
			r := begin(t, w, command.Options{KillGrace: never}, `
				trap 'echo no >&3' TERM; sleep 1000 & echo ready >&3; while :; do sleep 0.01; done`)
			require.Equal(t, "ready\n", w.line())
			if ending {
				r.end()
				require.Equal(t, "no\n", w.line())
			}
			r.runner.Kill()
			require.Error(t, <-r.err)
			require.Empty(t, w.gone())
			_, err := r.runner.Handler(`sleep 1000`)(t.Context(), newRun(`null`))
			require.ErrorContains(t, err, "killed", "nothing starts after that")
		})
	}
}

func TestWhatACommandLeavesBehindNeitherHoldsItsResultUpNorLivesOn(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{OutputDelay: 50 * time.Millisecond, KillGrace: never}, `
		sleep 1000 & echo ready >&3; echo done`)
	require.Equal(t, "ready\n", w.line())
	require.NoError(t, <-r.err)
	require.Empty(t, w.gone())
}

func TestOutputThatComesAfterTheShellHasExitedIsKept(t *testing.T) {
	t.Parallel()
	options := command.Options{Env: environ(), OutputDelay: never}
	result, err := command.New(options).Handler(`(sleep 0.1; echo late) &`)(t.Context(), newRun(`null`))
	require.NoError(t, err)
	require.JSONEq(t, `"late\n"`, string(result.(client.JSONValue)))
}
