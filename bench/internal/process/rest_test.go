package process

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// started starts a program, which ends with the test.
func started(t *testing.T, program string, arguments ...string) *Server {
	t.Helper()
	s := &Server{cmd: exec.CommandContext(t.Context(), program, arguments...)}
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	return s
}

func TestRestWaitsForWhoeverIsBusy(t *testing.T) {
	t.Parallel()
	require.NoError(t, started(t, "sleep", "60").Rest(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 3*restWatch)
	defer cancel()
	require.Error(t, started(t, "sh", "-c", "while :; do :; done").Rest(ctx))
}

func TestFamilyResidentCountsChildren(t *testing.T) {
	t.Parallel()
	s := started(t, "sh", "-c", "sleep 60; true")
	require.Eventually(t, func() bool {
		own, err := s.Resident()
		require.NoError(t, err)
		family, err := s.FamilyResident()
		require.NoError(t, err)
		return family > own
	}, 10*time.Second, time.Millisecond)
}
