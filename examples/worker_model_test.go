package examples_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// inShells runs a test with worker.sh in each shell that it should work in.
func inShells(t *testing.T, test func(t *testing.T, shell string)) {
	t.Helper()
	for _, shell := range []string{"sh", "dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			test(t, shell)
		})
	}
}

func TestTheShellWorkerSaysThatAnotherRunMaySucceed(t *testing.T) {
	t.Parallel()
	inShells(t, func(t *testing.T, shell string) {
		api, server := startServer(t, time.Minute)
		startWorkerIn(t, shell, server, `grep -q '"attempt":2' && echo 7 || exit 75`)
		job, err := api.Enqueue(t.Context(), client.NewJob{
			Type: "t", Retry: &client.RetryPolicy{MaxAttempts: 2, InitialSeconds: new(0.0)},
		})
		require.NoError(t, err)
		job = ended(t, api, job)
		require.Equal(t, client.Finished, job.State)
		require.Equal(t, `7`, string(job.Result))
		require.EqualValues(t, 1, job.Failures)
		other := ended(t, api, enqueue(t, api)) // which has no policy
		require.Equal(t, client.Failed, other.State)
		require.JSONEq(t, `{"exit_code":75}`, string(other.Error.Details))
	})
}

func TestTheShellWorkerTellsHowFarItsCommandIs(t *testing.T) {
	t.Parallel()
	inShells(t, func(t *testing.T, shell string) {
		api, server := startServer(t, 3*time.Second) // a heartbeat each second
		startWorkerIn(t, shell, server, `
			for line in warm 101 08 99999999999999999999 "40 page 12 of 30"; do
				echo "$line" >"$LONGSHORE_PROGRESS"; sleep 1.2
			done
			while :; do sleep 0.1; done`)
		job := enqueue(t, api)
		seen := map[float64]bool{}
		until(t, "the progress is seen", func() bool {
			job, err := api.Job(t.Context(), job.Id)
			require.NoError(t, err)
			require.EqualValues(t, 0, job.Retries, "a line that is none must not cost the lease")
			if job.Progress != nil {
				seen[*job.Progress.Percent] = true
			}
			return seen[40]
		})
		delete(seen, 8) // which a busy machine may have missed
		require.Equal(t, map[float64]bool{40: true}, seen)
		require.NoError(t, api.Cancel(t.Context(), job.Id))
	})
}

// lossy passes requests on, and cuts the connection in the place of the first lease.
func lossy(t *testing.T, server string) string {
	t.Helper()
	var lost atomic.Bool
	send := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(send.CloseIdleConnections)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		forward, err := http.NewRequestWithContext(req.Context(), req.Method, server+req.URL.RequestURI(), req.Body)
		if err != nil {
			panic(err)
		}
		forward.Header = req.Header.Clone()
		resp, err := send.RoundTrip(forward)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer func() { _ = resp.Body.Close() }()
		if req.URL.Path == "/v1/dequeue" && resp.StatusCode == http.StatusCreated && !lost.Swap(true) {
			panic(http.ErrAbortHandler)
		}
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestTheShellWorkerIsHandedALeaseAgainWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	inShells(t, func(t *testing.T, shell string) {
		api, server := startServer(t, time.Hour)
		startWorkerIn(t, shell, lossy(t, server), `echo 1`)
		for range 2 {
			job := ended(t, api, enqueue(t, api))
			require.Equal(t, client.Finished, job.State)
			require.EqualValues(t, 1, job.Attempt)
		}
	})
}
