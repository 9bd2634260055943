package process

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server whose benchmark is interrupted takes with it whom it has started: nobody else knows them.
func TestInterruptEndsWhomAServerHasStarted(t *testing.T) {
	t.Parallel()
	child := filepath.Join(t.TempDir(), "child")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Program{
		Name: "a server", Path: "/bin/sh", Args: []string{"-c", "sleep 600 & echo $! > " + child + "; wait"},
		Log:    filepath.Join(t.TempDir(), "log"),
		Listen: func(string) []string { return nil },
		Ready: func(context.Context, string) bool {
			written, err := os.ReadFile(child)
			return err == nil && strings.HasSuffix(string(written), "\n")
		},
	})
	require.NoError(t, err)
	written, err := os.ReadFile(child)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(written)))
	require.NoError(t, err)
	cancel()
	<-s.done
	require.Eventually(t, func() bool {
		// What has ended and nobody has asked for yet is still there, but does nothing any more.
		stat, err := proc(pid, "stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, time.Minute, time.Millisecond, "the child %d goes on", pid)
}
