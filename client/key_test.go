package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// newKeyServer returns a server that knows nobody, and what the last request said who calls by.
func newKeyServer(t *testing.T) (url string, last *atomic.Value) {
	t.Helper()
	last = new(atomic.Value)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"code":"unauthenticated","status":401}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, last
}

func ask(t *testing.T, url string, credential func(context.Context) (string, error)) error {
	t.Helper()
	c, err := client.New(url, client.Options{Credential: credential, RetryTimeout: -1})
	require.NoError(t, err)
	_, err = c.API().GetJobWithResponse(t.Context(), uuid.New(), nil)
	require.Error(t, err)
	return err
}

func TestKeyIsSentWithEachRequest(t *testing.T) {
	t.Parallel()
	url, last := newKeyServer(t)
	for _, c := range []struct {
		credential func(context.Context) (string, error)
		want       string
	}{{nil, ""}, {client.Key(""), ""}, {client.Key("lsk_a.b"), "Bearer lsk_a.b"}} {
		err := ask(t, url, c.credential)
		require.Equal(t, c.want, last.Load())
		require.NotContains(t, err.Error(), "lsk_")
	}
}

func TestKeyOfAFileIsTheOneThatItHasNow(t *testing.T) {
	t.Parallel()
	url, last := newKeyServer(t)
	path := filepath.Join(t.TempDir(), "key")
	credential := client.KeyFile(path)
	require.ErrorIs(t, ask(t, url, credential), os.ErrNotExist)
	for _, key := range []string{"first", "second"} {
		require.NoError(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
		_ = ask(t, url, credential)
		require.Equal(t, "Bearer "+key, last.Load())
	}
	for _, text := range []string{"", " \n", "two keys", "line\r\nHeader: x"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		err := ask(t, url, credential)
		require.ErrorContains(t, err, "must have one key")
		require.NotContains(t, err.Error(), "two keys")
	}
}
