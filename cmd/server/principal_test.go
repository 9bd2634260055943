package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/cli"
)

// ask sends JSON with a credential, and returns the answer, which must have that status.
func ask(t *testing.T, address, credential, method, path, body string, status int) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+credential)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, status, response.StatusCode, "%s %s: %s", method, path, text)
	return string(text)
}

// The name of the key that a lease was granted to is with the job and with the worker, also after a restart, whether
// the key is in the store or in a file.
func TestLeasesNameTheKeyThatTheyWereGrantedTo(t *testing.T) {
	t.Parallel()
	store, file := t.TempDir()+"/store", filepath.Join(t.TempDir(), "keys")
	stored, _, _ := makeKey(t, "--store", store, "--name=ci", "--scope=work")
	filed, _, text := makeKey(t, "--print-line", "--name=nightly", "--scope=work")
	operator, _, _ := makeKey(t, "--store", store, "--name=operator", "--scope=enqueue", "--scope=read")
	require.NoError(t, os.WriteFile(file, []byte(strings.SplitAfter(text, "\n")[0]), 0o600))
	var shown strings.Builder
	started := func(use func(address string)) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		stderr, code := newOutput(), make(chan int, 1)
		var stdout bytes.Buffer
		go func() {
			code <- run(ctx, []string{"--listen=127.0.0.1:0", "--store=" + store, "--auth=keys", "--auth-keys-file=" + file}, nil, &stdout, stderr)
		}()
		use(stderr.await(t, "listening")["address"].(string))
		stop()
		require.Equal(t, cli.ExitClean, <-code)
	}
	type holder struct{ Worker, Principal string }
	seen := func(address, path string, into any) {
		body := ask(t, address, operator, "GET", path, "", http.StatusOK)
		shown.WriteString(body)
		require.NoError(t, json.Unmarshal([]byte(body), into))
	}
	var job, lease struct{ ID, Token string }
	attempts := func(address string) []holder {
		var answer struct{ Attempts []holder }
		seen(address, "/v1/jobs/"+job.ID+"/attempts", &answer)
		return answer.Attempts
	}
	both := []holder{{"first", "key:ci"}, {"second", "key:nightly"}}
	started(func(address string) {
		require.NoError(t, json.Unmarshal([]byte(ask(t, address, operator, "POST", "/v1/jobs", `{"type":"t"}`, http.StatusCreated)), &job))
		require.NoError(t, json.Unmarshal([]byte(ask(t, address, stored, "POST", "/v1/dequeue", `{"types":["t"],"worker":"first"}`, http.StatusCreated)), &lease))
		ask(t, address, stored, "POST", "/v1/leases/"+lease.Token+"/release", "{}", http.StatusOK)
		ask(t, address, filed, "POST", "/v1/jobs/"+job.ID+"/dequeue", `{"worker":"second"}`, http.StatusCreated)
		require.Equal(t, both, attempts(address))
		type worker struct {
			Worker string
			Leases []holder
		}
		var answer struct{ Workers []worker }
		seen(address, "/v1/workers", &answer)
		require.Equal(t, []worker{{"first", []holder{}}, {"second", []holder{{Principal: "key:nightly"}}}}, answer.Workers)
	})
	started(func(address string) { require.Equal(t, both, attempts(address)) })
	for _, secret := range []string{stored, filed, operator} {
		require.NotContains(t, shown.String(), secret[21:])
	}
}
