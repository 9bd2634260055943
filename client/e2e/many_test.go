package e2e_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// enqueueMany adds n jobs whose args are their numbers.
func enqueueMany(t *testing.T, api *client.Client, n int) []client.CreatedJob {
	t.Helper()
	jobs := make([]client.NewJob, n)
	for i := range jobs {
		jobs[i] = client.NewJob{Type: "t", Args: json.RawMessage(strconv.Itoa(i))}
	}
	created, err := api.EnqueueBatch(t.Context(), jobs)
	require.NoError(t, err)
	return created.Jobs
}

// tally is a handler that counts the runs of each job.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
	left int
	done chan struct{} // closed when none is left
}

func newTally(n int) *tally {
	return &tally{runs: map[string]int{}, left: n, done: make(chan struct{})}
}

func (c *tally) handle(_ context.Context, run *client.Run) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[string(run.Args)]++
	c.left--
	if c.left == 0 {
		close(c.done)
	}
	return run.Args, nil
}

func startMany(t *testing.T, api *client.Client, slots int, handle client.Handler) (drain func()) {
	t.Helper()
	worker, err := client.NewWorker(api, client.WorkerOptions{
		Handlers: map[string]client.Handler{"t": handle}, Concurrency: slots, MaxBackoff: time.Second,
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	return func() {
		stop()
		require.NoError(t, next(t, ended))
	}
}

func requireDoneOnce(t *testing.T, api *client.Client, jobs []client.CreatedJob, tally *tally) {
	t.Helper()
	for i, created := range jobs {
		job, err := api.Job(t.Context(), created.Id)
		require.NoError(t, err)
		require.Equal(t, client.Finished, job.State)
		require.EqualValues(t, 1, job.Attempt)
		require.Equal(t, strconv.Itoa(i), string(job.Result))
	}
	require.Len(t, tally.runs, len(jobs))
	for args, times := range tally.runs {
		require.Equal(t, 1, times, "job %s", args)
	}
}

func TestManySmallJobsAreDoneOnceInFewRequests(t *testing.T) {
	t.Parallel()
	const count = 200
	direct, server := start(t)
	jobs := enqueueMany(t, direct, count)
	counted := &counter{send: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(counted.send.CloseIdleConnections)
	api, err := client.New("http://"+server.Addr(), client.Options{HTTPClient: &http.Client{Transport: counted}})
	require.NoError(t, err)
	tally := newTally(count)
	drain := startMany(t, api, 16, tally.handle)
	next(t, tally.done)
	drain()
	requireDoneOnce(t, direct, jobs, tally)
	t.Logf("%d requests for %d jobs", counted.calls.Load(), count)
	require.Less(t, counted.calls.Load(), int64(count))
}

// No lease is lost, and no run is reported twice, however much of what is sent together is lost.
func TestManyJobsOnABadNetworkAreDoneOnce(t *testing.T) {
	t.Parallel()
	const count = 200
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	server := startServerFor(t, "127.0.0.1:0", t.TempDir(), 10*patience)
	t.Cleanup(func() { stopServer(t, server) })
	direct := connect(t, server)
	jobs := enqueueMany(t, direct, count)
	tally := newTally(count)
	drain := startMany(t, startLossy(t, server, nil, rand.New(rand.NewPCG(seed, 0))), 16, tally.handle)
	next(t, tally.done)
	for _, job := range jobs {
		_, err := direct.Wait(soon(t), job.Id)
		require.NoError(t, err)
	}
	drain()
	requireDoneOnce(t, direct, jobs, tally)
}
