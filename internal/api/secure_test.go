package api_test

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
)

func TestEveryAnswerHasSecureHeaders(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for _, target := range []string{"/healthz", "/v1/jobs", "/v1/jobs?no=such", "/no/such", "/v1/jobs/x%2fy", "/openapi.yml"} {
		for _, encrypted := range []bool{false, true} {
			r := httptest.NewRequest("GET", target, strings.NewReader(""))
			if encrypted {
				r.TLS = &tls.ConnectionState{}
			}
			header := e.do(r).header
			require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), target)
			require.Equal(t, "no-store", header.Get("Cache-Control"), target)
			require.Equal(t, "default-src 'none'; frame-ancestors 'none'", header.Get("Content-Security-Policy"), target)
			require.Equal(t, encrypted, header.Get("Strict-Transport-Security") != "", target)
		}
	}
}
