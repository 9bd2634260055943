package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyConnectionsOfOneRequestAtATimeAreMadeNarrow(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start func(*httptest.Server)
		want  string
	}{
		"HTTP/1.1":          {(*httptest.Server).Start, "HTTP/1.1 true"},
		"HTTP/1.1 over TLS": {(*httptest.Server).StartTLS, "HTTP/1.1 true"},
		"HTTP/2": {func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.StartTLS()
		}, "HTTP/2.0 false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "%s %t", r.Proto, narrow(r.Context()))
			}))
			server.Config.ConnContext = WithConn
			test.start(server)
			t.Cleanup(server.Close)
			response, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, test.want, string(body))
		})
	}
}

func TestWithoutAConnectionThereIsNothingToMakeNarrow(t *testing.T) {
	t.Parallel()
	require.False(t, narrow(t.Context()))
	client, server := net.Pipe()
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.False(t, narrow(WithConn(t.Context(), server)), "a pipe keeps nothing")
}
