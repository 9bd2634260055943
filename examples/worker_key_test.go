package examples_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// limited passes requests on that come with the key, and says to the first report that there were too
// many.
func limited(t *testing.T, server, key string) string {
	t.Helper()
	target, err := url.Parse(server)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(target)
	send := http.DefaultTransport.(*http.Transport).Clone()
	pass.Transport = send
	t.Cleanup(send.CloseIdleConnections)
	var refused atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Header.Get("Authorization") != "Bearer "+key:
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(req.URL.Path, "/finish") && !refused.Swap(true):
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			pass.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// A curl that notes its arguments stands for whoever looks at the list of processes.
func TestTheShellWorkerShowsItsKeyToTheServerOnly(t *testing.T) {
	curl, err := exec.LookPath("curl")
	require.NoError(t, err)
	const key = "lsk_0123456789abcdef.planted-secret"
	t.Setenv("LONGSHORE_KEY", key)
	dir := t.TempDir()
	noted := filepath.Join(dir, "noted")
	script := "#!/bin/sh\necho \"$@\" >>'" + noted + "'\nexec '" + curl + "' \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "curl"), []byte(script), 0o700)) //nolint:gosec // it is a program
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, shell := range []string{"sh", "dash", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		api, server := startServer(t, time.Hour)
		startWorkerIn(t, shell, limited(t, server, key), `echo "\"${LONGSHORE_KEY-none}\""`)
		job := ended(t, api, enqueue(t, api))
		require.Equal(t, client.Finished, job.State, shell)
		require.Equal(t, `"none"`, string(job.Result), "the command has the key, in %s", shell)
	}
	arguments, err := os.ReadFile(noted)
	require.NoError(t, err)
	require.Contains(t, string(arguments), "/v1/dequeue")
	require.NotContains(t, string(arguments), "planted-secret")
}
