package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must happen, on a machine that is busy.
const patience = 30 * time.Second

// sh starts a shell script as a process, and ends it with the test.
func sh(t *testing.T, script string, fail func(error)) *process {
	t.Helper()
	started, err := start(t.Context(), program{name: "sh", path: "sh", args: []string{"-c", script}}, fail)
	require.NoError(t, err)
	t.Cleanup(started.kill)
	return started
}

func TestAProcessThatEndsByItselfIsAFailureWithItsLastWords(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	sh(t, "for i in $(seq 100); do echo line $i; done; echo last words >&2; exit 3", func(err error) { failed <- err })
	err := <-failed
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "last words")
	require.NotContains(t, err.Error(), "line 50\n", "more of the output than its end")
}

func TestStopEndsTheWholeGroupPolitelyFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mark := filepath.Join(dir, "polite")
	polite := sh(t, fmt.Sprintf("trap 'touch %s; exit 0' TERM; echo ready; while :; do sleep 0.05; done", mark), func(err error) { t.Error(err) })
	said(t, polite, "ready")
	polite.stop(10 * time.Second)
	require.FileExists(t, mark)

	stubborn := sh(t, "trap '' TERM; sleep 60 & echo ready $!; wait; wait", func(err error) { t.Error(err) })
	var child int
	_, err := fmt.Sscanf(said(t, stubborn, "ready"), "ready %d", &child)
	require.NoError(t, err)
	stubborn.stop(50 * time.Millisecond)
	require.Eventually(t, func() bool { return gone(child) }, patience, 10*time.Millisecond,
		"what the process had started lives on")
}

// gone reports whether a process is no more, or is dead and only waits to be noticed.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// said returns the output of a process, once it begins with the given word.
func said(t *testing.T, p *process, word string) string {
	t.Helper()
	var output string
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, poll(ctx, func() (bool, error) {
		output = p.output.tail()
		return strings.HasPrefix(output, word), nil
	}))
	return output
}
