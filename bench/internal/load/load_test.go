package load_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// counting is a server that counts its requests.
func counting(t *testing.T) (address string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), requests
}

func getting(int) load.Operation {
	return func(c *wire.Conn) error {
		_, err := c.Expect(http.StatusNoContent, wire.Get("/"))
		return err
	}
}

func TestCountedLoadDoesAsManyOperations(t *testing.T) {
	t.Parallel()
	address, requests := counting(t)
	r, err := load.Run(t.Context(), load.Load{Addresses: []string{address}, Connections: 4, Count: 101, New: getting})
	require.NoError(t, err)
	require.Equal(t, int64(101), r.Operations)
	require.Equal(t, int64(101), requests.Load())
	require.Positive(t, r.Rate())
}

func TestTimedLoadLeavesOutTheWarmUp(t *testing.T) {
	t.Parallel()
	address, requests := counting(t)
	r, err := load.Run(t.Context(), load.Load{
		Addresses: []string{address}, Connections: 4, WarmUp: 20 * time.Millisecond, Duration: 20 * time.Millisecond, New: getting,
	})
	require.NoError(t, err)
	require.Positive(t, r.Operations)
	require.Less(t, r.Operations, requests.Load())
}

func TestFailureOfOneConnectionEndsTheOthers(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(server.Close)
	_, err := load.Run(t.Context(), load.Load{
		Addresses: []string{server.Listener.Addr().String()}, Connections: 2, Duration: time.Hour,
		New: func(connection int) load.Operation {
			if connection == 0 {
				return func(*wire.Conn) error { return broken }
			}
			return getting(connection)
		},
	})
	require.ErrorIs(t, err, broken)
}

// Long operations that begin together are not counted as the few that happened to end in time.
func TestObserveWaitsForEnoughOperations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r, err := load.Observe(t.Context(), load.Observed{
			WarmUp: 100 * time.Millisecond, Duration: 100 * time.Millisecond, Least: 64,
			Done: func() int64 { return 64 * int64(time.Since(begin)/time.Second) },
		})
		require.NoError(t, err)
		require.Equal(t, int64(64), r.Operations)
		require.Equal(t, time.Second, r.Elapsed)
	})
}

// A time in which nothing is done goes on until something is.
func TestObserveWaitsForTheFirstOperation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r, err := load.Observe(t.Context(), load.Observed{
			WarmUp: time.Second, Duration: time.Second,
			Done: func() int64 {
				if time.Since(begin) < 3*time.Second {
					return 7
				}
				return 17
			},
		})
		require.NoError(t, err)
		require.Equal(t, int64(10), r.Operations)
		require.Equal(t, 2*time.Second, r.Elapsed)

		_, err = load.Observe(t.Context(), load.Observed{Duration: time.Second, Done: func() int64 { return 7 }})
		require.ErrorContains(t, err, "nothing was answered")
	})
}
