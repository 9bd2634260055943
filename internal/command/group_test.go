//go:build unix

package command_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/command"
)

// never is longer than any test takes.
const never = time.Hour

// patience is how long a test waits for what must happen, on a machine that is busy.
const patience = 30 * time.Second

// witness is a pipe that commands write to, and keep open for as long as they live: its end
// is the proof that none of them does.
type witness struct {
	t      *testing.T
	path   string
	file   *os.File
	reader *bufio.Reader
	own    *os.File // a writer's end, so that the pipe has no end before the first line
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{t: t, path: filepath.Join(t.TempDir(), "pipe")}
	require.NoError(t, syscall.Mkfifo(w.path, 0o600))
	var err error
	w.file, err = os.OpenFile(w.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.file.Close() })
	w.own, err = os.OpenFile(w.path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.own.Close() })
	w.reader = bufio.NewReader(w.file)
	return w
}

// line waits for the next line that a command writes.
func (w *witness) line() string {
	w.t.Helper()
	require.NoError(w.t, w.file.SetReadDeadline(time.Now().Add(patience)))
	line, err := w.reader.ReadString('\n')
	require.NoError(w.t, err)
	_ = w.own.Close() // again, from the second line on
	return line
}

// gone waits until no process holds the pipe, and returns what they wrote last.
func (w *witness) gone() string {
	w.t.Helper()
	require.NoError(w.t, w.file.SetReadDeadline(time.Now().Add(patience)))
	rest, err := io.ReadAll(w.reader)
	require.NoError(w.t, err, "a process lives on")
	return string(rest)
}

// running is a command that runs on a goroutine of its own.
type running struct {
	t      *testing.T
	runner *command.Runner
	end    context.CancelFunc
	err    chan error
}

// wait returns what the Handler did.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.err:
		return err
	case <-time.After(patience):
		r.t.Fatal("the command does not end")
		return nil
	}
}

// begin starts a command that has its witness open as descriptor 3.
func begin(t *testing.T, w *witness, options command.Options, line string) *running {
	t.Helper()
	options.Env = environ("PIPE=" + w.path)
	ctx, end := context.WithCancel(t.Context())
	r := &running{t: t, runner: command.New(options), end: end, err: make(chan error, 1)}
	t.Cleanup(r.runner.Kill)
	go func() {
		_, err := r.runner.Handler(`exec 3>"$PIPE"; `+line)(ctx, newRun(`null`))
		r.err <- err
	}()
	return r
}

func TestTheWholeGroupIsAskedToEnd(t *testing.T) {
	t.Parallel()
	w, done := newWitness(t), filepath.Join(t.TempDir(), "done")
	// The shell itself goes at once; what it started takes its time, within the grace.
	r := begin(t, w, command.Options{KillGrace: time.Minute}, `
		(trap 'echo cleaning >&3; sleep 0.1; echo clean >&3; : >"`+done+`"; exit' TERM
		echo ready >&3; while :; do sleep 0.01; done) >/dev/null 2>&1 &
		wait`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, r.wait(), context.Canceled)
	require.FileExists(t, done, "the run is over before its last process is")
	require.Equal(t, "cleaning\nclean\n", w.gone())
}

func TestAGroupThatDoesNotEndIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: 50 * time.Millisecond}, `
		trap '' TERM; sleep 1000 & echo ready >&3; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, r.wait(), context.Canceled)
	require.Empty(t, w.gone())
}

func TestWithoutAGraceAGroupIsKilledAtOnce(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: -1}, `trap '' TERM; echo ready >&3; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, r.wait(), context.Canceled)
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
			require.Error(t, r.wait())
			require.Empty(t, w.gone())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := r.runner.Handler(`exec sleep 60`)(ctx, newRun(`null`))
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
	require.NoError(t, r.wait())
	require.Empty(t, w.gone())
}

func TestOutputThatComesAfterTheShellHasExitedIsKept(t *testing.T) {
	t.Parallel()
	options := command.Options{Env: environ(), OutputDelay: never}
	result, err := command.New(options).Handler(`(sleep 0.1; echo late) &`)(t.Context(), newRun(`null`))
	require.NoError(t, err)
	require.JSONEq(t, `"late\n"`, string(result.(client.JSONValue)))
}

// Linux ends a command when the thread that started it ends, which goroutines that never
// unlock theirs bring about. Many start at once, so that some of them change threads.
func TestACommandOutlivesTheThreadsOfTheWorker(t *testing.T) {
	t.Parallel()
	const commands, threads = 128, 20
	handle := command.New(command.Options{Env: environ()}).Handler(`sleep 1`)
	ended := make(chan error, commands)
	for range commands {
		go func() {
			_, err := handle(t.Context(), newRun(`null`))
			ended <- err
		}()
	}
	for left := commands; left > 0; {
		// So many at once that they take the threads that are idle with them.
		var locked, gone sync.WaitGroup
		locked.Add(threads)
		for range threads {
			gone.Go(func() {
				runtime.LockOSThread()
				locked.Done()
				locked.Wait()
			})
		}
		gone.Wait()
		select {
		case err := <-ended:
			require.NoError(t, err)
			left--
		case <-time.After(time.Millisecond):
		}
	}
}

// The command does what it can to be asked first: only SIGTERM can be answered.
func TestACommandIsAskedToEndBeforeItIsKilled(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: never}, `
		trap 'echo asked >&3; exit' TERM; trap 'echo hung up >&3' HUP; trap 'echo interrupted >&3' INT
		echo ready >&3; while :; do sleep 0.01; done`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, r.wait(), context.Canceled)
	require.Equal(t, "asked\n", w.gone())
}

// What a command started has started something in turn, and the shells between are gone.
func TestGrandchildrenEndWithTheCommand(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := begin(t, w, command.Options{KillGrace: 50 * time.Millisecond}, `
		trap '' TERM; (sh -c 'sleep 1000 & echo ready >&3' &) & wait; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	r.end()
	require.ErrorIs(t, r.wait(), context.Canceled)
	require.Empty(t, w.gone())
}
