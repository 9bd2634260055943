package wire_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/wire"
)

func TestConnGetsAnswersOfNetHTTP(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte(long))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Location", "/new")
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(server.Close)
	c, err := wire.Dial(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)

	for range 2 { // the connection is kept alive
		r, err := c.Expect(http.StatusCreated, wire.Post("/", `{}`))
		require.NoError(t, err)
		require.Equal(t, "/new", string(r.Location))

		r, err = c.Do(wire.Get("/long"))
		require.NoError(t, err)
		require.Equal(t, long, string(r.Body))

		_, err = c.Expect(http.StatusOK, wire.Get("/none"))
		require.ErrorContains(t, err, "204")
	}
}

func TestRequestsCarryACredential(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	c, err := wire.Dial(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	request := wire.Post("/", `{}`)
	for _, test := range []struct{ credential, want string }{{"", ""}, {"lsk_a.b", "Bearer lsk_a.b"}, {"c", "Bearer c"}, {"", ""}} {
		c.Bear(test.credential)
		for range 2 {
			r, err := c.Expect(http.StatusCreated, request)
			require.NoError(t, err)
			require.Equal(t, test.want, string(r.Location))
		}
	}
	require.Equal(t, wire.Post("/", `{}`), request, "it is as it was")
}

func TestEndOfContextEndsWaiting(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c, err := wire.Dial(ctx, server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.NoError(t, c.Send(wire.Get("/")))
	<-reached
	cancel()
	_, err = c.Receive()
	require.Error(t, err)
}
