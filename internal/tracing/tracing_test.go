package tracing_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/tracing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSpansAreSentToTheEndpointAtTheLatestWhenItStops(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards what follows
	var paths []string
	var sent string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			paths, sent = append(paths, r.URL.Path), sent+string(body)
		}
	}))
	defer collector.Close()
	traces, err := tracing.Start(t.Context(), tracing.Options{Service: "test-server", Version: "1", Endpoint: collector.URL, OnError: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	ctx, span := traces.Tracer().Start(tracing.Join(t.Context(), parent), "a-span")
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-"+span.SpanContext().SpanID().String()+"-01", tracing.Parent(ctx))
	span.End()
	require.NoError(t, traces.Stop(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"/v1/traces"}, paths)
	require.Contains(t, sent, "a-span")
	require.Contains(t, sent, "test-server")
}

func TestACollectorThatIsNotThereIsToldOfAndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	collector := httptest.NewServer(http.NotFoundHandler())
	collector.Close()
	var failures []error
	traces, err := tracing.Start(t.Context(), tracing.Options{Endpoint: collector.URL, OnError: func(err error) { failures = append(failures, err) }})
	require.NoError(t, err)
	_, span := traces.Tracer().Start(t.Context(), "a-span")
	span.End()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = traces.Stop(ctx)
	require.NotEmpty(t, failures)
}

func TestNothingIsSentUnlessItIsSaidWhere(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"OTEL_EXPORTER_OTLP_ENDPOINT="}, {"OTEL_SDK_DISABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"}} {
		traces, err := tracing.Start(t.Context(), tracing.Options{Env: env})
		require.NoError(t, err)
		require.Nil(t, traces.Tracer())
		require.NoError(t, traces.Stop(t.Context()))
	}
	traces, err := tracing.Start(t.Context(), tracing.Options{Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"}})
	require.NoError(t, err)
	require.NotNil(t, traces.Tracer())
	require.NoError(t, traces.Stop(t.Context()))
	_, err = tracing.Start(t.Context(), tracing.Options{Endpoint: "collector:4318"})
	require.ErrorContains(t, err, "must be a URL")
}

func TestNoTraceIsJoinedByWhatIsNoTraceParent(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"} {
		require.Empty(t, tracing.Parent(tracing.Join(t.Context(), text)))
	}
}
