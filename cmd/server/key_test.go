package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// key runs the program as its user does.
func key(t *testing.T, args []string, env ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	code = run(t.Context(), append([]string{"key"}, args...), env, &out, &complaint)
	return code, out.String(), complaint.String()
}

// lastLine is what a script takes of the output of key create.
func lastLine(t *testing.T, stdout string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	last := lines[len(lines)-1]
	require.Regexp(t, `^lsk_[0-9a-v]{16}\.[A-Za-z0-9_-]{43}$`, last)
	return last
}

// makeKey makes a key in a store, or for a file.
func makeKey(t *testing.T, args ...string) (secret, id, stdout string) {
	t.Helper()
	code, stdout, stderr := key(t, append([]string{"create"}, args...))
	require.Equal(t, cli.ExitClean, code, stderr)
	secret = lastLine(t, stdout)
	return secret, secret[4:20], stdout
}

func TestLimitsOfTheServerAreNotThoseOfANewKey(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/store"
	code, stdout, stderr := key(t, []string{"create", "--store", store, "--name=ci", "--scope=work"},
		"LONGSHORE_RATE_LIMIT=50", "LONGSHORE_MAX_WAITING=20000")
	require.Equal(t, cli.ExitClean, code, stderr)
	require.Contains(t, stdout, "limits: (server's)")
	_, help, _ := key(t, []string{"create", "--help"})
	require.NotContains(t, help, "LONGSHORE_RATE_LIMIT")
	require.NotContains(t, help, "LONGSHORE_MAX_WAITING")
}

func TestKeysOfAStore(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/store"
	for _, args := range [][]string{{"list"}, {"revoke", "x"}} {
		code, _, stderr := key(t, args, "LONGSHORE_STORE="+store)
		require.Equal(t, cli.ExitFailed, code)
		require.Contains(t, stderr, "there is no store in "+store)
		require.NoDirExists(t, store)
	}
	first, firstID, stdout := makeKey(t, "--store", store, "--name=ci", "--scope=work", "--scope", "enqueue", "--channel", "a,b", "--expires-in=1h")
	require.Contains(t, stdout, "API key "+firstID+" of ci, for the scopes enqueue,work on the channels a,b, limits: (server's), expires: 2")
	second, _, _ := makeKey(t, "--store", store, "--name=ci", "--scope=work", "--channel=b", "--channel=a",
		"--rate-limit=2.5", "--max-waiting=7")
	code, stdout, stderr := key(t, []string{"create", "--store", store, "--name=ci", "--scope=work", "--channel=b", "--channel=a"})
	require.Equal(t, cli.ExitFailed, code)
	require.Empty(t, stdout)
	require.Equal(t, "longshore-server key create: there are two good keys of the name ci already; revoke one of them first: "+
		"longshore-server key list tells their ids\n", stderr)
	code, _, stderr = key(t, []string{"create", "--store", store, "--name=ci", "--scope=work"})
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, stderr, "has other channels")

	code, stdout, _ = key(t, []string{"list", "--store", store})
	require.Equal(t, cli.ExitClean, code)
	lines := strings.Split(stdout, "\n")
	require.Len(t, lines, 4)
	require.Regexp(t, `^ID +NAME +SCOPES +CHANNELS +LIMITS +CREATED +EXPIRES +LAST USED$`, lines[0])
	require.Regexp(t, "^"+firstID+` +ci +enqueue,work +a,b +\(server's\) +2\S+Z +2\S+Z +never$`, lines[1])
	require.Regexp(t, ` a,b +2.5/s,7 waiting +2`, lines[2])
	for _, secret := range []string{first, second} {
		require.NotContains(t, stdout, secret[21:])
	}

	s, err := embedded.Open(store, embedded.Options{})
	require.NoError(t, err)
	for instead, args := range map[string][]string{
		"POST /v1/admin/keys":        {"create", "--name=x", "--scope=read"},
		"GET /v1/admin/keys":         {"list"},
		"DELETE /v1/admin/keys/{id}": {"revoke", firstID},
	} {
		code, stdout, stderr := key(t, args, "LONGSHORE_STORE="+store)
		require.Equal(t, cli.ExitFailed, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, store+" is in use by a server: "+instead)
	}
	require.NoError(t, s.Close())

	code, stdout, _ = key(t, []string{"revoke", "--store", store, firstID})
	require.Equal(t, cli.ExitClean, code)
	require.Equal(t, "revoked "+firstID+"\n", stdout)
	code, _, stderr = key(t, []string{"revoke", "--store", store, firstID})
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, stderr, `there is no API key with the id "`+firstID+`"`)
	code, stdout, _ = audit(t, []string{"--store", store})
	require.Equal(t, cli.ExitClean, code, stdout)
}

func TestBadUsageOfKeys(t *testing.T) {
	t.Parallel()
	store := t.TempDir() + "/store"
	for _, c := range []struct {
		args  []string
		named string
	}{
		{nil, "create, list or revoke"},
		{[]string{"make"}, "create, list or revoke"},
		{[]string{"create", "--name=a"}, "--scope"},
		{[]string{"create", "--scope=read"}, "--name"},
		{[]string{"create", "--name=a b", "--scope=read"}, "--name must be"},
		{[]string{"create", "--name=a", "--scope=root"}, `--scope there is no scope "root"`},
		{[]string{"create", "--name=a", "--scope=read", "--channel=*"}, "--channel[0] must be left out for every channel"},
		{[]string{"create", "--name=a", "--scope=read", "--channel="}, "--channel: must not be empty"},
		{[]string{"create", "--name=a", "--scope=read", "--expires-in=-1s"}, "--expires-in must be"},
		{[]string{"create", "--name=a", "--scope=read", "--rate-limit=-1"}, "--rate-limit must be"},
		{[]string{"create", "--name=a", "--scope=read", "--max-waiting=-1"}, "--max-waiting must be"},
		{[]string{"create", "--name=a", "--scope=read", "--store=memory"}, "--store"},
		{[]string{"list", "--store="}, "--store"},
		{[]string{"list", "--store=POSTGRES://u:planted@h/x"}, "--store must be"},
		{[]string{"revoke"}, "<id>"},
	} {
		code, stdout, stderr := key(t, c.args, "LONGSHORE_STORE="+store)
		require.Equal(t, cli.ExitUsage, code, "%v", c.args)
		require.Empty(t, stdout, "%v", c.args)
		require.Contains(t, stderr, c.named, "%v", c.args)
		require.NoDirExists(t, store)
	}
	code, stdout, _ := key(t, []string{"--help"})
	require.Equal(t, cli.ExitClean, code)
	require.Contains(t, stdout, "create|list|revoke")
	code, stdout, _ = key(t, []string{"create", "--help"})
	require.Equal(t, cli.ExitClean, code)
	require.Contains(t, stdout, "$LONGSHORE_EXPIRES_IN")
}

// call asks a server for its queues, and returns the status.
func call(t *testing.T, address, credential string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/queues", http.NoBody)
	require.NoError(t, err)
	if credential != "" {
		request.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

// A server that asks for keys knows those of its store and of a file, and writes no secret anywhere.
func TestAServerAsksForKeys(t *testing.T) {
	t.Parallel()
	store, file := t.TempDir()+"/store", filepath.Join(t.TempDir(), "keys")
	stored, storedID, _ := makeKey(t, "--store", store, "--name=stored", "--scope=read")
	filed, _, text := makeKey(t, "--print-line", "--name=filed", "--scope=read")
	unknown, _, _ := makeKey(t, "--print-line", "--name=unknown", "--scope=read")
	worker, _, _ := makeKey(t, "--store", store, "--name=worker", "--scope=work")
	require.NoError(t, os.WriteFile(file, []byte(strings.SplitAfter(text, "\n")[0]), 0o600))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr := newOutput()
	code := make(chan int, 1)
	var stdout bytes.Buffer
	go func() {
		code <- run(ctx, []string{"--listen=127.0.0.1:0", "--store=" + store, "--auth=keys", "--auth-keys-file=" + file}, nil, &stdout, stderr)
	}()
	address := stderr.await(t, "listening")["address"].(string)
	require.Equal(t, http.StatusOK, call(t, address, stored))
	require.Equal(t, "key:stored", stderr.await(t, "request")["principal"])
	require.Equal(t, http.StatusOK, call(t, address, filed))
	require.Equal(t, "key:filed", stderr.await(t, "request")["principal"])
	require.Equal(t, http.StatusForbidden, call(t, address, worker))
	wrong := stored[:21] + unknown[21:]
	for _, bad := range []string{"", unknown, wrong, stored + "x", stored[:63], "lsk_" + strings.Repeat(".", 8000), "eyJ.e30."} {
		require.Equal(t, http.StatusUnauthorized, call(t, address, bad))
	}
	stop()
	require.Equal(t, cli.ExitClean, <-code)
	log := stderr.text.String() + stdout.String()
	for _, secret := range []string{stored, filed, worker, unknown, "......"} {
		require.NotContains(t, log, secret[max(0, len(secret)-43):])
	}
	require.Contains(t, log, "has another secret")

	_, table, _ := key(t, []string{"list", "--store", store})
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, storedID) {
			require.NotContains(t, line, "never\n", "its last use was noted when the server stopped")
		}
	}
}

func TestAServerWithABadFileOfKeysDoesNotStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	var stdout bytes.Buffer
	stderr := newOutput()
	code := run(t.Context(), []string{"--listen=127.0.0.1:0", "--store=memory", "--auth=keys", "--auth-keys-file=" + file}, nil, &stdout, stderr)
	require.Equal(t, cli.ExitFailed, code)
	require.Contains(t, stderr.await(t, "server not started")["error"], file+": line 1: id: must be")
}

func TestHangupReadsTheFileOfKeysAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	first, _, text := makeKey(t, "--print-line", "--name=ci", "--scope=read")
	require.NoError(t, os.WriteFile(file, []byte(strings.SplitAfter(text, "\n")[0]), 0o600))
	command, stderr := process(t, "--store=memory", "--auth=keys", "--auth-keys-file="+file)
	address := stderr.await(t, "listening")["address"].(string)
	require.Equal(t, http.StatusOK, call(t, address, first))

	require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) // with the key itself, as the command has printed it
	require.NoError(t, command.Process.Signal(syscall.SIGHUP))
	refused := stderr.await(t, "the API keys of the file stay as they were")["error"]
	require.Contains(t, refused, "line 2: it has an API key in it")
	require.NotContains(t, refused, first[21:])
	require.Equal(t, http.StatusOK, call(t, address, first))

	second, _, text := makeKey(t, "--print-line", "--name=ci", "--scope=read")
	require.NoError(t, os.WriteFile(file, []byte(strings.SplitAfter(text, "\n")[0]), 0o600))
	require.NoError(t, command.Process.Signal(syscall.SIGHUP))
	stderr.await(t, "the file of API keys was read")
	require.Equal(t, http.StatusOK, call(t, address, second))
	require.Equal(t, http.StatusUnauthorized, call(t, address, first))
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	stderr.await(t, "stopped")
	require.NoError(t, command.Wait())
}
