//go:build unix

package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// Whoever waits for a command would wait for the worker's own end of the pipe, for each job.
func TestThePipeOfProgressEndsWithTheCommandThatHasIt(t *testing.T) {
	t.Parallel()
	pipe, err := newProgress()
	require.NoError(t, err)
	defer pipe.end()
	pipe.follow(&client.Run{}) // nobody was started, so nobody else has it
	select {
	case <-pipe.read:
	case <-time.After(30 * time.Second):
		t.Fatal("the pipe does not end")
	}
}
