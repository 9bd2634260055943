package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// copyStore runs the program as its user does.
func copyStore(t *testing.T, args []string, env ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = run(t.Context(), append([]string{"copy"}, args...), env, &out, &complaint)
	return code, out.String(), complaint.String()
}

func TestCopyOfAStore(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	from, to := filepath.Join(root, "from"), filepath.Join(root, "to")
	s, err := embedded.Open(from, embedded.Options{})
	require.NoError(t, err)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}, {Type: "b"}})
	require.NoError(t, err)
	_, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"b"}})
	require.NoError(t, err)
	code, stdout, stderr := copyStore(t, []string{"--from", from, "--to", to})
	require.Equal(t, cli.ExitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, "longshore-server copy: "+from+" is in use by a server; stop it first\n", stderr)
	require.NoDirExists(t, to)
	require.NoError(t, s.Close())

	code, stdout, stderr = copyStore(t, nil, "LONGSHORE_FROM="+from, "LONGSHORE_TO="+to)
	require.Equal(t, cli.ExitClean, code, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, from+": sound: 2 jobs, 1 pending, 1 running\n")
	require.Contains(t, stdout, to+": sound: 2 jobs, 2 pending\n")
	require.Contains(t, stdout, "copied: 2 jobs, 1 of which were running and wait again; idempotency keys: 0; ")

	code, stdout, stderr = copyStore(t, []string{"--from", from, "--to", to})
	require.Equal(t, cli.ExitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, "longshore-server copy: "+to+" is not empty; a copy fills a new store only\n", stderr)

	code, _, stderr = copyStore(t, []string{"--from", filepath.Join(root, "none"), "--to", filepath.Join(root, "new")})
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, stderr, "there is no store in")
	require.NoDirExists(t, filepath.Join(root, "none"))
}

// Earlier versions took such a reason from a worker, and it cannot be taken out of a store.
func TestACopyTellsOfReasonsThatItHasMended(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	from, to := filepath.Join(root, "from"), filepath.Join(root, "to")
	s, err := embedded.Open(from, embedded.Options{})
	require.NoError(t, err)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"a"}})
	require.NoError(t, err)
	_, err = s.Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "no\x00 disk"}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	code, stdout, stderr := copyStore(t, []string{"--from", from, "--to", to})
	require.Equal(t, cli.ExitClean, code, stderr)
	require.Contains(t, stdout, "jobs in the reasons of whose failures U+FFFD stands for U+0000 in the copy: 1, such as "+l.JobID.String()+"\n")
}

func TestBadUsageOfTheCopy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		named string
	}{
		{nil, "--from"},
		{[]string{"--from", "a"}, "--to"},
		{[]string{"--from", "memory", "--to", "b"}, "--from"},
		{[]string{"--from", "a", "--to", "memory"}, "--to"},
		{[]string{"--from", "a", "--to", ""}, "--to"},
		{[]string{"--from", "a", "--to", "b", "c"}, "c"},
	} {
		code, stdout, stderr := copyStore(t, c.args)
		require.Equal(t, cli.ExitUsage, code, "%v", c.args)
		require.Empty(t, stdout, "%v", c.args)
		require.Contains(t, stderr, c.named, "%v", c.args)
	}
}

func TestHelpOfTheCopy(t *testing.T) {
	t.Parallel()
	code, stdout, _ := copyStore(t, []string{"--help"})
	require.Equal(t, cli.ExitClean, code)
	require.Contains(t, stdout, "$LONGSHORE_FROM")
}
