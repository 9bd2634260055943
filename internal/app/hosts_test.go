package app_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/app"
)

func TestServerThatAsksNobodyIsForItsOwnMachine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*app.Options)
		want   int
	}{
		"without --auth":     {func(*app.Options) {}, http.StatusForbidden},
		"with another name":  {func(o *app.Options) { o.AllowedHost = []string{"other.example"} }, http.StatusForbidden},
		"with its name":      {func(o *app.Options) { o.AllowedHost = []string{"other.example", "page.example"} }, http.StatusOK},
		"open to all":        {func(o *app.Options) { o.Insecure = true }, http.StatusOK},
		"that asks for keys": {func(o *app.Options) { o.Auth = []string{"keys"} }, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := testOptions()
			test.change(&options)
			s := start(t, options)
			require.Equal(t, test.want, s.askFor("page.example:8080", s.app.Addr(), "/v1/jobs"))
		})
	}
}

func TestAdminListenerThatOnlyItsMachineReachesIsForItsMachine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*app.Options)
		want   int
	}{
		"without --auth":                 {func(*app.Options) {}, http.StatusForbidden},
		"with --auth":                    {func(o *app.Options) { o.Auth = []string{"keys"} }, http.StatusForbidden},
		"beside clients from elsewhere":  {func(o *app.Options) { o.Insecure = true }, http.StatusForbidden},
		"with its name":                  {func(o *app.Options) { o.AllowedHost = []string{"page.example"} }, http.StatusOK},
		"with its name and --auth":       {func(o *app.Options) { o.Auth, o.AllowedHost = []string{"keys"}, []string{"page.example"} }, http.StatusOK},
		"with its name and --insecure":   {func(o *app.Options) { o.Insecure, o.AllowedHost = true, []string{"page.example"} }, http.StatusOK},
		"that others reach":              {func(o *app.Options) { o.Insecure, o.AdminListen = true, "0.0.0.0:0" }, http.StatusOK},
		"that others reach, with --auth": {func(o *app.Options) { o.Insecure, o.AdminListen, o.Auth = true, "0.0.0.0:0", []string{"keys"} }, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := testOptions()
			options.AdminListen = "127.0.0.1:0"
			test.change(&options)
			s := start(t, options)
			_, port, err := net.SplitHostPort(s.app.AdminAddr())
			require.NoError(t, err)
			for _, path := range []string{"/metrics", "/debug/vars", "/debug/pprof/"} {
				require.Equal(t, test.want, s.askFor("page.example:8081", "127.0.0.1:"+port, path), path)
				require.Equal(t, http.StatusOK, s.askFor("localhost:8081", "127.0.0.1:"+port, path), path)
			}
		})
	}
}

// askFor asks an address for what is meant for a host, and returns the status of the answer.
func (s *server) askFor(host, address, path string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
	require.NoError(s.t, err)
	r.Host = host
	response, err := s.client.Do(r)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode
}
