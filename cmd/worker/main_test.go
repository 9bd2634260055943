package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/internal/cli"
)

// asMain makes the test's binary be the worker.
const asMain = "TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// execute starts the worker as a process.
func execute(t *testing.T, server *fakeServer, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// All processes of a test share a directory for files.
	cmd.Env = append(environ(), asMain+"=1", "LONGSHORE_SERVER="+server.URL, "TMPDIR="+filepath.Dir(t.TempDir()))
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	return cmd, log
}

func TestTheProcessDrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.add("t", `[1]`)
	cmd, log := execute(t, server, "--run", "t=cat")
	require.Equal(t, `finish {"result":[1]}`, next(t, server.reports))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), log.String())
	require.Contains(t, log.String(), `"msg":"drained"`)
}

// The commands are none the wiser: a signal that they have to die of is not ignored in them.
func TestTheProcessGoesOnWithoutTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], "--run", "t=cat", "--run", "pipe=kill -PIPE $$; echo on")
	cmd.Env = append(environ(), asMain+"=1", "LONGSHORE_SERVER="+server.URL, "TMPDIR="+filepath.Dir(t.TempDir()))
	cmd.Stdout, cmd.Stderr = writer, writer
	require.NoError(t, cmd.Start())
	require.NoError(t, writer.Close())
	require.NoError(t, reader.Close())
	for range 3 { // each has a line in the log
		server.add("t", `[1]`)
		require.Equal(t, `finish {"result":[1]}`, next(t, server.reports))
	}
	server.add("pipe", `null`)
	require.Contains(t, next(t, server.reports), `"reason":"signal"`)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

func TestTheProcessTakesItsCommandsWithItOnASecondSignal(t *testing.T) {
	t.Parallel()
	server, path := newServer(t), fifo(t)
	server.add("t", `null`)
	cmd, _ := execute(t, server, "--run", "t=trap '' TERM INT; exec 3>'"+path+"'; echo ready >&3; sleep 1000")
	pipe := held(t, path)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	require.Equal(t, cli.ExitFailed, cmd.ProcessState.ExitCode())
	gone(t, pipe)
	require.Empty(t, server.reports)
}

func TestTheProcessEndsWith2WhenItIsCalledWrongly(t *testing.T) {
	t.Parallel()
	cmd, log := execute(t, newServer(t))
	require.Error(t, cmd.Wait())
	require.Equal(t, cli.ExitUsage, cmd.ProcessState.ExitCode())
	require.Contains(t, log.String(), "--run")
}

// A worker that is killed has no chance to end its commands: the system does.
func TestAWorkerThatIsKilledTakesTheShellsOfItsCommandsWithIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux does that")
	}
	server, path := newServer(t), fifo(t)
	server.add("t", `null`)
	cmd, _ := execute(t, server, "--run", "t=exec 3>'"+path+"'; echo ready >&3; exec sleep 1000")
	pipe := held(t, path)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	gone(t, pipe)
}

func TestAWorkerRemovesWhatOneThatWasKilledLeft(t *testing.T) {
	t.Parallel()
	left := func() []string {
		names, err := filepath.Glob(filepath.Join(filepath.Dir(t.TempDir()), "longshore-*"))
		require.NoError(t, err)
		return names
	}
	server, path := newServer(t), fifo(t)
	server.add("t", `null`)
	cmd, _ := execute(t, server, "--run", "t=echo ready >'"+path+"'; exec sleep 1000")
	held(t, path)
	next(t, server.asked)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Len(t, left(), 1)
	cmd, _ = execute(t, server, "--run", "t=true")
	next(t, server.asked)
	require.Empty(t, left())
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}
