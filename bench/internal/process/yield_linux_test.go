package process

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAProcessThatYieldsDoesSoWithAllItsThreads(t *testing.T) {
	t.Parallel()
	if os.Getenv("TEST_YIELD") != "" { // it is the process that yields: as each in Go it has several threads
		fmt.Println("here")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), "TEST_YIELD=1")
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	_, err = output.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, Yield(command.Process.Pid))
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", command.Process.Pid))
	require.NoError(t, err)
	require.Greater(t, len(threads), 1)
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		require.NoError(t, err)
		found, err := unix.SchedGetAttr(id, 0)
		require.NoError(t, err)
		require.Equal(t, uint32(unix.SCHED_IDLE), found.Policy)
	}
	require.NoError(t, input.Close())
	require.NoError(t, command.Wait())
}
