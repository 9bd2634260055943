package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// audit runs the program as its user does.
func audit(t *testing.T, args []string, env ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = run(t.Context(), append([]string{"audit"}, args...), env, &out, &complaint)
	return code, out.String(), complaint.String()
}

func TestAuditOfAStore(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/store"
	code, stdout, stderr := audit(t, []string{"--store", store})
	require.Equal(t, cli.ExitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, "longshore-server audit: there is no store in "+store+"\n", stderr)
	require.NoDirExists(t, store)

	s, err := embedded.Open(store, embedded.Options{})
	require.NoError(t, err)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}, {Type: "b"}})
	require.NoError(t, err)
	_, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"b"}})
	require.NoError(t, err)
	code, stdout, stderr = audit(t, nil, "LONGSHORE_STORE="+store)
	require.Equal(t, cli.ExitFailed, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "is in use by a server; stop it first")
	require.NoError(t, s.Close())

	code, stdout, stderr = audit(t, nil, "LONGSHORE_STORE="+store)
	require.Equal(t, cli.ExitClean, code, stderr)
	require.Equal(t, "sound: 2 jobs, 1 pending, 1 running\n", stdout)
	require.Empty(t, stderr)
}

func TestHelpOfTheAudit(t *testing.T) {
	t.Parallel()
	code, stdout, _ := audit(t, []string{"--help"})
	require.Equal(t, cli.ExitClean, code)
	require.Contains(t, stdout, "$LONGSHORE_STORE")
}
