package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/metrics"
	"github.com/longshore-queue/longshore/internal/queue"
)

// away is a store whose database has gone.
type away struct{ store }

func (away) Ready(context.Context) error { return queue.ErrUnavailable }

func (away) Queues(context.Context, queue.LaneListing) (queue.LanePage, error) {
	return queue.LanePage{}, queue.ErrUnavailable
}

// adminOf asks the admin listener of an App that was not started.
func adminOf(stopping context.Context, t *testing.T, a *App, path string) (status int, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	a.adminHandler(stopping).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, http.NoBody))
	return w.Code, w.Body.String()
}

func TestAProcessWhoseStoreIsAwayIsHealthyAndNotReadyAndTellsItsMetrics(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	a.store, a.metrics = away{}, metrics.New(buildinfo.Read())
	a.metrics.AddQueue(a.store)
	status, _ := adminOf(t.Context(), t, a, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = adminOf(t.Context(), t, a, "/healthz")
	require.Equal(t, http.StatusOK, status)
	status, text := adminOf(t.Context(), t, a, "/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, "\nlongshore_store_up 0\n")
}

func TestAServerThatStopsIsHealthyAndNotReady(t *testing.T) {
	t.Parallel()
	a := newTestApp(t)
	a.metrics = metrics.New(buildinfo.Read())
	stopping, stop := context.WithCancel(t.Context())
	stop()
	status, _ := adminOf(stopping, t, a, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = adminOf(stopping, t, a, "/healthz")
	require.Equal(t, http.StatusOK, status)
}
