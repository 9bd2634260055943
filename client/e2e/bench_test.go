package e2e_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// BenchmarkWorker measures how many small jobs one worker with 64 slots gets done, on a server
// that keeps its store in memory: what one costs is the way there and back.
//
//	go test -run '^$' -bench Worker -benchtime 20000x -count 6 ./client/e2e
func BenchmarkWorker(b *testing.B) {
	const concurrency, chunk = 64, 500
	server := startServer(b, "127.0.0.1:0", "memory")
	defer stopServer(b, server)
	counted := &counter{send: http.DefaultTransport.(*http.Transport).Clone()}
	counted.send.MaxIdleConnsPerHost = 2 * concurrency
	defer counted.send.CloseIdleConnections()
	api, err := client.New("http://"+server.Addr(), client.Options{HTTPClient: &http.Client{Transport: counted}})
	require.NoError(b, err)
	for left := b.N; left > 0; left -= chunk {
		jobs := make([]client.NewJob, min(left, chunk))
		for i := range jobs {
			jobs[i].Type = "t"
		}
		_, err := api.EnqueueBatch(b.Context(), jobs)
		require.NoError(b, err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var done atomic.Int64
	worker, err := client.NewWorker(api, client.WorkerOptions{
		Handlers: map[string]client.Handler{"t": func(context.Context, *client.Run) (any, error) {
			if done.Add(1) == int64(b.N) {
				stop() // the drain brings the reports home
			}
			return "done", nil
		}},
		Concurrency: concurrency,
	})
	require.NoError(b, err)
	before := counted.calls.Load()
	b.ResetTimer()
	require.NoError(b, worker.Run(ctx))
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(counted.calls.Load()-before)/float64(b.N), "calls/job")
}

// counter counts the requests that go through it.
type counter struct {
	send  *http.Transport
	calls atomic.Int64
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return c.send.RoundTrip(req)
}
