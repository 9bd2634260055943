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

const heartbeatTimeout = 3 * time.Second

// patience is how long a test waits for what must happen, on a machine that is busy.
const patience = time.Minute

// next receives what must come, or sees the channel closed.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("not reached")
	}
}

// soon is a context for what must happen.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// startServer starts a real server on a store in dir.
func startServer(tb testing.TB, listen, dir string) *app.App {
	tb.Helper()
	return startServerFor(tb, listen, dir, heartbeatTimeout)
}

// startServerFor does that with leases that may be silent for so long.
func startServerFor(tb testing.TB, listen, dir string, timeout time.Duration) *app.App {
	tb.Helper()
	server, err := app.New(app.Options{
		Listen: listen, Store: dir, HeartbeatTimeout: timeout, ReapInterval: time.Second,
		MaxRetries: 2, MaxWait: time.Minute, IdempotencyTTL: time.Hour,
		MaxBodyBytes: 1 << 20, MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20,
	})
	require.NoError(tb, err)
	require.NoError(tb, server.Start())
	return server
}

func stopServer(tb testing.TB, server *app.App) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 10*time.Second)
	defer cancel()
	require.NoError(tb, server.Stop(ctx))
}

// startWorker starts a worker and returns what drains it and waits for its end.
func startWorker(t *testing.T, api *client.Client, handlers map[string]client.Handler) (drain func()) {
	t.Helper()
	worker, err := client.NewWorker(api, client.WorkerOptions{Handlers: handlers, Concurrency: 4, MaxBackoff: time.Second})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	return func() {
		stop()
		require.NoError(t, next(t, ended))
	}
}

func connect(t *testing.T, server *app.App) *client.Client {
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
	sum, err = api.Wait(soon(t), sum.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, sum.State)
	require.Equal(t, `642`, string(sum.Result))

	bad, err := api.Enqueue(t.Context(), client.NewJob{Type: "bad"})
	require.NoError(t, err)
	bad, err = api.Wait(soon(t), bad.Id)
	require.NoError(t, err)
	require.Equal(t, client.Failed, bad.State)
	require.Equal(t, client.ReasonRefused, bad.Error.Reason)

	long, err := api.Enqueue(t.Context(), client.NewJob{Type: "long"})
	require.NoError(t, err)
	next(t, began)
	require.NoError(t, api.Cancel(t.Context(), long.Id))
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
	next(t, began)
	stopServer(t, server)
	close(goOn) // the report cannot be made yet
	server = startServer(t, server.Addr(), dir)
	defer stopServer(t, server)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, job.State)
	require.Equal(t, `1`, string(job.Result))
}

// The server gives every lease a fresh heartbeat when it starts, so a worker that heard nothing
// for longer than the heartbeat timeout must still be there to use it.
func TestARunOutlastsAServerThatIsAwayForLongerThanTheHeartbeatTimeout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, "127.0.0.1:0", dir)
	api := connect(t, server)
	began, goOn := make(chan struct{}), make(chan struct{})
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(ctx context.Context, run *client.Run) (any, error) {
			if run.Attempt == 1 {
				close(began)
			}
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
	next(t, began)
	stopServer(t, server)
	time.Sleep(heartbeatTimeout + time.Second) // the silence itself: nothing can be seen to end it
	server = startServer(t, server.Addr(), dir)
	defer stopServer(t, server)
	time.Sleep(heartbeatTimeout + 2*time.Second) // for longer than the fresh heartbeat lasts
	close(goOn)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, job.State)
	require.Equal(t, `1`, string(job.Result), "the attempt that did it")
}
