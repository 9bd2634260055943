// Package e2e_test runs package client against a real server. It stands apart because the
// client's own folder imports nothing internal, not even in its tests.
package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer starts a real server on a store in dir.
func startServer(t *testing.T, listen, dir string) *app.App {
	t.Helper()
	server, err := app.New(app.Options{
		Listen: listen, Store: dir, HeartbeatTimeout: 3 * time.Second, ReapInterval: time.Second,
		MaxRetries: 2, MaxWait: time.Minute, MaxBodyBytes: 1 << 20,
	})
	require.NoError(t, err)
	require.NoError(t, server.Start())
	return server
}

func stopServer(t *testing.T, server *app.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	require.NoError(t, server.Stop(ctx))
}

// startWorker starts a worker and returns what drains it and waits for its end.
func startWorker(t *testing.T, api *client.ClientWithResponses, handlers map[string]client.Handler) (drain func()) {
	t.Helper()
	worker, err := client.NewWorker(api, client.WorkerOptions{Handlers: handlers, Concurrency: 4, MaxBackoff: time.Second})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	return func() {
		stop()
		require.NoError(t, <-ended)
	}
}

func connect(t *testing.T, server *app.App) *client.ClientWithResponses {
	t.Helper()
	own := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(own.CloseIdleConnections)
	api, err := client.New("http://"+server.Addr(), client.Options{HTTPClient: &http.Client{Transport: own}})
	require.NoError(t, err)
	return api
}

func TestJobsFlowThroughARealServer(t *testing.T) {
	t.Parallel()
	server := startServer(t, "127.0.0.1:0", t.TempDir())
	defer stopServer(t, server)
	api := connect(t, server)
	began := make(chan struct{})
	causes := make(chan error, 1)
	drain := startWorker(t, api, map[string]client.Handler{
		"double": func(_ context.Context, run *client.Run) (any, error) {
			var n int
			if err := json.Unmarshal(run.Args, &n); err != nil {
				return nil, err
			}
			return 2 * n, nil
		},
		"sum": func(_ context.Context, run *client.Run) (any, error) {
			sum := 0
			for _, dependency := range run.Dependencies {
				var n int
				if err := json.Unmarshal(dependency.Result, &n); err != nil {
					return nil, err
				}
				sum += n
			}
			return sum, nil
		},
		"long": func(ctx context.Context, _ *client.Run) (any, error) {
			close(began)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		},
		"bad": func(context.Context, *client.Run) (any, error) {
			return json.RawMessage(`{"twice":1,"twice":2}`), nil // which servers refuse
		},
	})
	defer drain()

	var ids []uuid.UUID
	for _, args := range []string{`1`, `20`, `300`} {
		job, err := api.Enqueue(t.Context(), client.NewJob{Type: "double", Args: json.RawMessage(args)})
		require.NoError(t, err)
		ids = append(ids, job.Id)
	}
	sum, err := api.Enqueue(t.Context(), client.NewJob{Type: "sum", Dependencies: &ids})
	require.NoError(t, err)
	sum, err = api.Wait(t.Context(), sum.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, sum.State)
	require.Equal(t, `642`, string(sum.Result))

	bad, err := api.Enqueue(t.Context(), client.NewJob{Type: "bad"})
	require.NoError(t, err)
	bad, err = api.Wait(t.Context(), bad.Id)
	require.NoError(t, err)
	require.Equal(t, client.Failed, bad.State)
	require.Equal(t, client.ReasonRefused, bad.Error.Reason)

	long, err := api.Enqueue(t.Context(), client.NewJob{Type: "long"})
	require.NoError(t, err)
	<-began
	_, err = api.CancelJobWithResponse(t.Context(), long.Id, client.Nothing{})
	require.NoError(t, err)
	require.ErrorIs(t, <-causes, client.ErrCanceled)
}

func TestARunGoesOnWhileItsServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, "127.0.0.1:0", dir)
	api := connect(t, server)
	began, goOn := make(chan struct{}), make(chan struct{})
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(ctx context.Context, run *client.Run) (any, error) {
			close(began)
			select {
			case <-goOn:
				return run.Attempt, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		},
	})
	defer drain()
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.NoError(t, err)
	<-began
	stopServer(t, server)
	close(goOn) // the report cannot be made yet
	server = startServer(t, server.Addr(), dir)
	defer stopServer(t, server)
	job, err = api.Wait(t.Context(), job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, job.State)
	require.Equal(t, `1`, string(job.Result))
}
