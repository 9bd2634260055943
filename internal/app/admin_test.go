package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/app"
)

func startAdmin(t *testing.T) *server {
	t.Helper()
	options := testOptions()
	options.AdminListen = "127.0.0.1:0"
	return start(t, options)
}

// admin asks the admin listener.
func (s *server) admin(path string) (status int, text string) {
	s.t.Helper()
	response, err := s.client.Get("http://" + s.app.AdminAddr() + path)
	require.NoError(s.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode, string(body)
}

func TestOperatorsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := startAdmin(t)
	require.NotEqual(t, s.app.Addr(), s.app.AdminAddr())
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/vars", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/symbol"} {
		status, text := s.admin(path)
		require.Equal(t, http.StatusOK, status, path)
		require.NotEmpty(t, text, path)
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/v1/jobs", "/"} { // the first would tell the password of a database
		status, _ := s.admin(path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	for _, path := range []string{"/metrics", "/debug/vars", "/debug/pprof/"} {
		status, _ := s.get(path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
}

func TestOperatorsHaveNoListenerUnlessTheySayWhere(t *testing.T) {
	t.Parallel()
	require.Empty(t, start(t, testOptions()).app.AdminAddr())
}

func TestTheAdminListenerIsForThisMachineOnly(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true, "127.8.8.8:1": true,
		":0": false, "0.0.0.0:0": false, "[::]:0": false, "192.0.2.1:1": false, "example.com:1": false, "127.0.0.1": false,
	} {
		options := testOptions()
		options.AdminListen = address
		_, err := app.New(options)
		if allowed {
			require.NoError(t, err, address)
			continue
		}
		var wrong *app.OptionError
		require.ErrorAs(t, err, &wrong, address)
		require.Equal(t, "AdminListen", wrong.Option)
	}
	options := testOptions()
	options.AdminListen, options.Insecure = "0.0.0.0:0", true
	_, err := app.New(options)
	require.NoError(t, err, "who says that it is insecure")
}

func TestAnAdminAddressThatIsTakenStartsNothing(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.AdminListen = startAdmin(t).app.AdminAddr()
	a, err := app.New(options)
	require.NoError(t, err)
	require.ErrorContains(t, a.Start(), "listen for operators")
}

func TestMetricsTellWhatTheServerDid(t *testing.T) {
	t.Parallel()
	s := startAdmin(t)
	status, _ := s.post("/v1/jobs", `{"type":"t","args":{"password":"planted-args"}}`)
	require.Equal(t, http.StatusCreated, status)
	status, lease := s.post("/v1/dequeue", `{"types":["t"],"worker":"planted-worker"}`)
	require.Equal(t, http.StatusCreated, status)
	token := lease["token"].(string)
	status, _ = s.post("/v1/leases/"+token+"/finish", `{"result":"planted-result"}`)
	require.Equal(t, http.StatusOK, status)
	status, _ = s.get("/v1/jobs/" + token + "?planted=query")
	require.Equal(t, http.StatusBadRequest, status)
	_, text := s.admin("/metrics")
	for _, line := range []string{
		`longshore_http_requests_total{operation="createJob",status="201"} 1`,
		`longshore_http_requests_total{operation="dequeue",status="201"} 1`,
		`longshore_http_requests_total{operation="finishLease",status="200"} 1`,
		`longshore_http_requests_total{operation="getJob",status="400"} 1`,
		`longshore_jobs{channel="default",state="finished",type="t"} 1`,
		`longshore_jobs{channel="default",state="running",type="t"} 0`,
		`longshore_store_up 1`,
		`longshore_leases 0`,
		`longshore_jobs_enqueued_total{channel="default",type="t"} 1`,
		`longshore_leases_granted_total{channel="default",type="t"} 1`,
		`longshore_jobs_ended_total{channel="default",outcome="finished",type="t"} 1`,
		`longshore_job_wait_seconds_count{channel="default",type="t"} 1`,
		`longshore_job_run_seconds_count{channel="default",type="t"} 1`,
		`longshore_claim_seconds_count 1`,
		`longshore_pruner_steps_total{result="failed"} 0`,
		`longshore_reaper_leases_total 0`,
	} {
		require.Contains(t, text, "\n"+line+"\n")
	}
	require.NotContains(t, text, "longshore_sync_seconds_count 0\n")
	for _, path := range []string{"/metrics", "/debug/vars", "/debug/pprof/goroutine?debug=2"} {
		_, text := s.admin(path)
		require.NotContains(t, text, token)
		require.NotContains(t, text, strings.ReplaceAll(token, "-", ""))
		require.NotContains(t, text, "planted")
	}
}
