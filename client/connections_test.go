package client_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/client"
)

// A worker of many slots makes a call for each at once when their runs begin or end together.
func TestCallsAtOnceFindTheConnectionsOfThoseBefore(t *testing.T) {
	t.Parallel()
	const calls, bursts = 200, 3
	var opened atomic.Int64
	var arrived sync.WaitGroup // until it is done no call is answered
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait()
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	transport := client.NewTransport(nil)
	defer transport.CloseIdleConnections()
	c, err := client.New(server.URL, client.Options{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)

	for range bursts {
		arrived.Add(calls)
		var group errgroup.Group
		for range calls {
			group.Go(func() error {
				_, err := c.API().GetHealthWithResponse(t.Context())
				return err
			})
		}
		require.NoError(t, group.Wait())
	}
	// Where the machine is busy net/http gives up a connection now and then.
	require.Less(t, opened.Load(), int64(calls*3/2), "connections")
}
