package app_test

import (
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
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.app.Addr()+"/v1/jobs", http.NoBody)
			require.NoError(t, err)
			r.Host = "page.example:8080"
			response, err := s.client.Do(r)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, test.want, response.StatusCode)
		})
	}
}
