package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/app"
)

// connectTo returns a client of a server at an address.
func connectTo(t *testing.T, address string) *client.Client {
	t.Helper()
	own := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(own.CloseIdleConnections)
	api, err := client.New(address, client.Options{HTTPClient: &http.Client{Transport: own}, RetryTimeout: patience})
	require.NoError(t, err)
	return api
}

// start starts a server that ends with the test, and returns a client of it.
func start(t *testing.T) (*client.Client, *app.App) {
	t.Helper()
	server := startServer(t, "127.0.0.1:0", t.TempDir())
	t.Cleanup(func() { stopServer(t, server) })
	return connect(t, server), server
}

func TestAGraphIsRunInItsOrderAndKnowsItsNames(t *testing.T) {
	t.Parallel()
	api, _ := start(t)
	drain := startWorker(t, api, map[string]client.Handler{
		"number": func(_ context.Context, run *client.Run) (any, error) {
			if string(run.Args) == `0` {
				return nil, &client.Failure{Reason: "zero"}
			}
			return run.Args, nil
		},
		"divide": func(_ context.Context, run *client.Run) (any, error) {
			a, _ := run.Dependency("a")
			b, _ := run.Dependency("b")
			return []any{a.Result, b.State, b.Error.Reason, len(run.Dependencies)}, nil
		},
	})
	defer drain()
	before, err := api.Enqueue(t.Context(), client.NewJob{Type: "number", Args: json.RawMessage(`1`)})
	require.NoError(t, err)
	created, err := api.EnqueueBatch(t.Context(), []client.NewJob{
		{
			Name: new("all"), Type: "divide", Dependencies: &[]client.JobId{before.Id},
			Needs: client.Needs(client.Need{Name: "b", If: new(client.NeedIfFinished)}, client.Need{Name: "a"}),
		},
		{Name: new("strict"), Type: "divide", Needs: client.Needs("a", "b")},
		{Name: new("a"), Type: "number", Args: json.RawMessage(`7`)},
		{Name: new("b"), Type: "number", Args: json.RawMessage(`0`)},
	})
	require.NoError(t, err)
	named := created.ByName()
	all, err := api.Wait(soon(t), named["all"].Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, all.State)
	require.JSONEq(t, `[7,"failed","zero",3]`, string(all.Result))
	strict, err := api.Wait(soon(t), named["strict"].Id)
	require.NoError(t, err)
	require.Equal(t, client.Failed, strict.State)
	require.Equal(t, "dependency-failed", strict.Error.Reason)
}

func TestAJobIsTriedAgainUntilItsAttemptsAreUsedAndThenByAnOperator(t *testing.T) {
	t.Parallel()
	api, _ := start(t)
	var mu sync.Mutex
	works := false
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(_ context.Context, run *client.Run) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			if !works {
				run.Progress(40, "page 12 of 30")
				return nil, client.Retryable(errors.New("no route"), -1)
			}
			return run.Attempt, nil
		},
	})
	defer drain()
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", Retry: &client.RetryPolicy{MaxAttempts: 3, InitialSeconds: new(3600.0)}})
	require.NoError(t, err)
	dependent, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", Dependencies: &[]client.JobId{job.Id}})
	require.NoError(t, err)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Failed, job.State)
	require.EqualValues(t, 3, job.Failures)
	require.EqualValues(t, 3, job.Attempt)
	require.Equal(t, "page 12 of 30", *job.Progress.Message)

	var dead []uuid.UUID
	for failed, err := range api.List(t.Context(), client.Failed) {
		require.NoError(t, err)
		dead = append(dead, failed.Id)
	}
	require.Equal(t, []uuid.UUID{dependent.Id, job.Id}, dead, "newest first")
	mu.Lock()
	works = true
	mu.Unlock()
	again, err := api.Retry(t.Context(), job.Id)
	require.NoError(t, err)
	require.EqualValues(t, 1, again.Generation)
	dependent, err = api.Wait(soon(t), dependent.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, dependent.State)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Equal(t, `4`, string(job.Result))
	require.Zero(t, job.Failures)
}

func TestProgressIsSeenWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	api, _ := start(t)
	goOn := make(chan struct{})
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(_ context.Context, run *client.Run) (any, error) {
			run.Progress(40, "page 12 of 30")
			if err := run.PartialResult(json.RawMessage(`{"pages": 12}`)); err != nil {
				return nil, err
			}
			run.Flush()
			<-goOn
			return "all", nil
		},
	})
	defer drain()
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		job, err = api.Job(t.Context(), job.Id)
		require.NoError(t, err)
		return job.Progress != nil
	}, patience, 10*time.Millisecond)
	require.InDelta(t, 40, *job.Progress.Percent, 0)
	require.Equal(t, `{"pages": 12}`, string(job.PartialResult))
	close(goOn)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Nil(t, job.Progress)
	require.Nil(t, job.PartialResult)
}

func TestAJobThatWaitsIsUpdatedIfItIsWhatItWas(t *testing.T) {
	t.Parallel()
	api, _ := start(t)
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", DelaySeconds: new(3600.0), UniqueKey: new("k")})
	require.NoError(t, err)
	require.Equal(t, client.Scheduled, job.State)
	other, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", UniqueKey: new("k")})
	require.NoError(t, err)
	require.True(t, other.Existing)
	require.Equal(t, job.Id, other.Id)
	changed, err := api.Update(t.Context(), job.Id, client.JobUpdate{RunAt: new(time.Now()), Priority: new(7)}, job.ETag)
	require.NoError(t, err)
	require.Equal(t, client.Pending, changed.State)
	require.EqualValues(t, 7, changed.Priority)
	var problem *client.Problem
	_, err = api.Update(t.Context(), job.Id, client.JobUpdate{Priority: new(8)}, job.ETag)
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeJobChanged, problem.Code)
	_, err = api.Retry(t.Context(), job.Id)
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeJobNotFailed, problem.Code)
}

func TestARunThatTakesTooLongSpendsItsOwnBudget(t *testing.T) {
	t.Parallel()
	api, _ := start(t)
	drain := startWorker(t, api, map[string]client.Handler{
		"t": func(ctx context.Context, run *client.Run) (any, error) {
			if run.Attempt > 1 {
				return run.Attempt, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	defer drain()
	job, err := api.Enqueue(t.Context(), client.NewJob{Type: "t", TimeoutSeconds: new(1.0), MaxTimeouts: new(1)})
	require.NoError(t, err)
	job, err = api.Wait(soon(t), job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, job.State)
	require.EqualValues(t, 1, job.Timeouts)
	require.Zero(t, job.Failures)
	require.Zero(t, job.Retries)
}
