package e2e_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/app"
)

// lossy passes requests on to a server, and loses some of them, and some answers.
type lossy struct {
	server string
	send   *http.Transport

	mu     sync.Mutex     // guards the rest
	left   map[string]int // by the end of a path, how many answers to lose
	random *rand.Rand     // nil is nothing left to chance
}

// startLossy starts a lossy way to the server, and returns a client that goes it.
func startLossy(t *testing.T, server *app.App, left map[string]int, random *rand.Rand) *client.Client {
	t.Helper()
	l := &lossy{server: "http://" + server.Addr(), send: http.DefaultTransport.(*http.Transport).Clone(), left: left, random: random}
	t.Cleanup(l.send.CloseIdleConnections)
	proxy := httptest.NewServer(l)
	t.Cleanup(proxy.Close)
	return connectTo(t, proxy.URL)
}

func (l *lossy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if l.chance() {
		panic(http.ErrAbortHandler) // the request does not arrive
	}
	forward, err := http.NewRequestWithContext(req.Context(), req.Method, l.server+req.URL.RequestURI(), req.Body)
	if err != nil {
		panic(err)
	}
	forward.Header = req.Header.Clone()
	resp, err := l.send.RoundTrip(forward)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || l.loses(req.URL.Path, resp.StatusCode) || l.chance() {
		panic(http.ErrAbortHandler) // the answer does not arrive
	}
	if l.chance() {
		w.WriteHeader(http.StatusGatewayTimeout) // that of somebody in between does
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	if l.chance() {
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler) // half of it does
	}
	_, _ = w.Write(body)
}

// chance is one in ten.
func (l *lossy) chance() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.random != nil && l.random.IntN(10) == 0
}

// loses reports whether this answer is one of those to lose.
func (l *lossy) loses(path string, status int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for end := range l.left {
		if status/100 == 2 && strings.HasSuffix(path, end) && l.left[end] > 0 {
			l.left[end]--
			return true
		}
	}
	return false
}

func TestAnswersThatAreLostCostNothing(t *testing.T) {
	t.Parallel()
	direct, server := start(t)
	api := startLossy(t, server, map[string]int{"/jobs": 2, "/jobs/batch": 2, "/dequeue": 3, "/dequeue/batch": 3, "/finish": 2, "/fail": 1}, nil)

	one, err := api.Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.NoError(t, err)
	two, err := api.EnqueueBatch(t.Context(), []client.NewJob{{Type: "t"}, {Type: "t"}})
	require.NoError(t, err)
	var ids []uuid.UUID
	for job, err := range direct.List(t.Context()) {
		require.NoError(t, err)
		ids = append(ids, job.Id)
	}
	require.Equal(t, []uuid.UUID{two.Jobs[1].Id, two.Jobs[0].Id, one.Id}, ids)

	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(context.Context, *client.Run) (any, error) { return "done", nil },
	})
	defer drain()
	for _, id := range ids {
		job, err := direct.Wait(soon(t), id)
		require.NoError(t, err)
		require.Equal(t, client.Finished, job.State)
		require.EqualValues(t, 1, job.Attempt, "no lease was lost")
	}
}

// Nothing is created twice, no lease is lost, and no run is reported twice, on a way that loses
// more than a third of all that goes it.
func TestABadNetworkCostsNothingButTime(t *testing.T) {
	t.Parallel()
	const graphs = 25
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	// Leases outlast any row of bad luck: what is lost is to be found, not waited for.
	server := startServerFor(t, "127.0.0.1:0", t.TempDir(), 10*patience)
	t.Cleanup(func() { stopServer(t, server) })
	direct := connect(t, server)
	api := startLossy(t, server, nil, rand.New(rand.NewPCG(seed, 0)))
	var runs, failures atomic.Int64
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(_ context.Context, run *client.Run) (any, error) {
			runs.Add(1)
			run.Progress(50, "half")
			run.Flush()
			if run.Attempt == 1 && run.JobID[15]%2 == 0 {
				failures.Add(1)
				return nil, client.Retryable(errors.New("no luck"), -1)
			}
			return nil, nil
		},
	})
	defer drain()

	retry := &client.RetryPolicy{MaxAttempts: 2}
	var producers sync.WaitGroup
	for range graphs {
		producers.Go(func() {
			_, err := api.EnqueueBatch(t.Context(), []client.NewJob{
				{Name: new("first"), Type: "t", Retry: retry},
				{Type: "t", Retry: retry, Needs: client.Needs("first")},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	producers.Wait()
	count := 0
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for job, err := range direct.List(t.Context()) {
		require.NoError(t, err)
		count++
		job, err := direct.Wait(ctx, job.Id)
		require.NoError(t, err)
		require.Equal(t, client.Finished, job.State)
		require.Zero(t, job.Retries)
		require.Equal(t, job.Failures+1, job.Attempt)
	}
	require.Equal(t, 2*graphs, count)
	require.Equal(t, 2*graphs+failures.Load(), runs.Load())
}
