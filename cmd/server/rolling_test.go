package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// soon bounds waits that should end at once; only a test that fails waits so long.
const soon = 60 * time.Second

// load are producers and workers of a fleet. They note what they are told, and what should not be.
type load struct {
	client   *client.Client
	halt     context.CancelFunc // has producers add no more
	stop     context.CancelFunc // has workers stop
	produced sync.WaitGroup
	working  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	added map[uuid.UUID]string
	ran   map[uuid.UUID][]int64 // the attempts that have begun
	wrong []string
}

func startLoad(t *testing.T, f *fleet) *load {
	t.Helper()
	l := &load{client: f.client(t), added: make(map[uuid.UUID]string), ran: make(map[uuid.UUID][]int64)}
	producing, halt := context.WithCancel(context.Background())
	working, stop := context.WithCancel(context.Background())
	l.halt, l.stop = halt, stop
	for i := range 4 {
		l.produced.Go(func() { l.produce(producing, i) })
	}
	for _, concurrency := range []int{1, 1, 8} {
		w, err := client.NewWorker(l.client, client.WorkerOptions{
			Handlers: map[string]client.Handler{"load": l.handle}, Concurrency: concurrency,
			PollWait: time.Second, MinBackoff: 10 * time.Millisecond,
		})
		require.NoError(t, err)
		l.working.Go(func() {
			if err := w.Run(working); err != nil {
				l.fault("a worker failed: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		halt()
		l.produced.Wait()
		stop()
		l.working.Wait()
	})
	return l
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// produce adds jobs one by one, whose args tell them apart.
func (l *load) produce(ctx context.Context, producer int) {
	for n := 0; ctx.Err() == nil; n++ {
		args := fmt.Sprintf(`"%d/%d"`, producer, n)
		// What was begun is not given up: all that the store has was acknowledged in the end.
		job, err := l.client.Enqueue(context.WithoutCancel(ctx), client.NewJob{Type: "load", Args: json.RawMessage(args)})
		if err != nil {
			l.fault("an enqueue failed: %v", err)
			return
		}
		l.mu.Lock()
		if was, known := l.added[job.Id]; known {
			l.wrong = append(l.wrong, fmt.Sprintf("job %s was added for %s and for %s", job.Id, was, args))
		}
		l.added[job.Id] = args
		l.mu.Unlock()
	}
}

// handle is one run of a job.
func (l *load) handle(_ context.Context, run *client.Run) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.ran[run.JobID], run.Attempt) {
		l.wrong = append(l.wrong, fmt.Sprintf("attempt %d of job %s began twice", run.Attempt, run.JobID))
	}
	l.ran[run.JobID] = append(l.ran[run.JobID], run.Attempt)
	return run.Args, nil
}

// awaitMore waits until so many more jobs have run.
func (l *load) awaitMore(t *testing.T, n int) {
	t.Helper()
	ran := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.ran)
	}
	until := ran() + n
	require.Eventually(t, func() bool { return ran() >= until }, soon, time.Millisecond, "nothing goes on")
}

// end adds no more, and requires that every job which was acknowledged ended once and as it should,
// and that there is no other one.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.halt()
	l.produced.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for id := range l.added {
		_, err := l.client.Wait(ctx, id)
		require.NoError(t, err, "job %s", id)
	}
	l.stop()
	l.working.Wait()
	require.Empty(t, l.wrong)
	stored, again, lost := 0, 0, int64(0)
	for job, err := range l.client.List(ctx) {
		require.NoError(t, err)
		if job.Type != "load" {
			continue
		}
		stored++
		require.Contains(t, l.added, job.Id, "nobody was told of this job")
		require.Equal(t, client.Finished, job.State)
		require.JSONEq(t, l.added[job.Id], string(job.Args))
		require.JSONEq(t, l.added[job.Id], string(job.Result))
		require.Contains(t, l.ran[job.Id], job.Attempt, "the attempt that was reported has run")
		lost += job.Retries
		if job.Attempt > 1 {
			again++
			l.requireAttempts(ctx, t, job.Id, job.Attempt)
		}
	}
	require.Equal(t, len(l.added), stored, "jobs whose enqueue was acknowledged")
	t.Logf("%d jobs were added and finished, %d of which had several leases; %d leases were lost", stored, again, lost)
}

// requireAttempts requires that the leases of a job grew by one, that each began after the one before
// it had ended, and that only the last one was reported.
func (l *load) requireAttempts(ctx context.Context, t *testing.T, id uuid.UUID, want int64) {
	t.Helper()
	answer, err := l.client.API().ListAttemptsWithResponse(ctx, id)
	require.NoError(t, err)
	attempts := answer.JSON200.Attempts
	require.Len(t, attempts, int(want))
	for i, a := range attempts {
		require.EqualValues(t, i+1, a.Attempt)
		require.NotNil(t, a.EndedAt)
		require.Equal(t, i+1 == len(attempts), *a.End == client.EndReported)
		if i > 0 {
			require.False(t, a.StartedAt.Before(*attempts[i-1].EndedAt), "leases overlap")
		}
	}
}

func TestAServerThatIsKilledCostsItsClientsOneRepeat(t *testing.T) {
	t.Parallel()
	// A lease that a server was granted when it was killed may be nobody's: it goes back when it is silent.
	f := startFleet(t, 3, "--heartbeat-timeout=10s", "--reap-interval=500ms")
	l := startLoad(t, f)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // not for secrets
	for range 4 {
		l.awaitMore(t, 1+random.IntN(50))
		i := random.IntN(len(f.members))
		require.Error(t, f.end(f.members[i], func(c *exec.Cmd) error { return c.Process.Kill() }), "it was killed")
		l.awaitMore(t, 1+random.IntN(50)) // the others go on without it
		f.replace(t, i)
	}
	l.end(t)
	f.requireSound(t)
}

// never is a type that there are no jobs of.
const never = "never"

// held is a lease, and who waits at the same server.
type held struct {
	token   uuid.UUID
	job     uuid.UUID
	polled  chan answered // the answer to a request for a job
	watched chan answered // the answer to a request for the end of the job
}

type answered struct {
	status int
	err    error
}

// holdAt takes a lease at a server, and has somebody wait there for a job, and for the end of that one.
func holdAt(t *testing.T, m *member) *held {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New("http://"+m.address, client.Options{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	kind := "held-" + uuid.NewString()
	job, err := c.Enqueue(t.Context(), client.NewJob{Type: kind})
	require.NoError(t, err)
	lease, err := c.API().DequeueWithResponse(t.Context(), &client.DequeueParams{}, client.DequeueRequest{Types: []string{kind}})
	require.NoError(t, err)
	h := &held{token: lease.JSON201.Token, job: job.Id, polled: make(chan answered, 1), watched: make(chan answered, 1)}
	go func() {
		answer, err := c.API().DequeueWithResponse(context.Background(), &client.DequeueParams{},
			client.DequeueRequest{Types: []string{never}, Worker: &kind, WaitSeconds: new(50.0)})
		if err != nil {
			h.polled <- answered{0, err}
			return
		}
		h.polled <- answered{answer.StatusCode(), nil}
	}()
	go func() {
		answer, err := c.API().GetJobWithResponse(context.Background(), job.Id, &client.GetJobParams{WaitSeconds: new(50.0)})
		if err != nil {
			h.watched <- answered{0, err}
			return
		}
		h.watched <- answered{answer.StatusCode(), nil}
	}()
	require.Eventually(t, func() bool {
		workers, err := c.API().ListWorkersWithResponse(t.Context(), &client.ListWorkersParams{})
		if err != nil {
			return false
		}
		for _, w := range workers.JSON200.Workers {
			if w.Worker == kind && w.Waiting == 1 {
				return true
			}
		}
		return false
	}, soon, time.Millisecond, "nobody waits")
	return h
}

func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3, "--heartbeat-timeout=30s", "--reap-interval=500ms")
	l := startLoad(t, f)
	for i, m := range f.members {
		h := holdAt(t, m)
		l.awaitMore(t, 20)
		require.NoError(t, f.end(m, func(c *exec.Cmd) error { return c.Process.Signal(syscall.SIGTERM) }), "it stops in order")
		require.Equal(t, answered{http.StatusNoContent, nil}, <-h.polled, "who waited for a job")
		require.Equal(t, answered{http.StatusOK, nil}, <-h.watched, "who waited for a job's end")
		l.awaitMore(t, 20)
		_, err := l.client.API().HeartbeatWithResponse(t.Context(), h.token, client.HeartbeatJSONRequestBody{})
		require.NoError(t, err)
		_, err = l.client.API().FinishLeaseWithResponse(t.Context(), h.token, client.FinishLeaseJSONRequestBody{})
		require.NoError(t, err)
		job, err := l.client.Job(t.Context(), h.job)
		require.NoError(t, err)
		require.Equal(t, client.Finished, job.State)
		require.EqualValues(t, 1, job.Attempt)
		f.replace(t, i)
	}
	l.end(t)
	f.requireSound(t)
}
