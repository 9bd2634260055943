package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// creators are both calls that create jobs.
func creators(f *fixture, options ...client.EnqueueOption) map[string]func() error {
	return map[string]func() error{
		"create": func() error {
			_, err := f.api().Enqueue(f.t.Context(), client.NewJob{Type: "t"}, options...)
			return err
		},
		"batch": func() error {
			_, err := f.api().EnqueueBatch(f.t.Context(), []client.NewJob{{Type: "t"}}, options...)
			return err
		},
	}
}

func TestAJobIsCreatedOnceHoweverOftenItsRequestIsSent(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"requests are lost":        {lost: true},
		"answers are lost":         {cut: true},
		"answers are cut short":    {cutBody: true},
		"requests hang":            {hang: true},
		"a proxy answers":          {status: http.StatusBadGateway},
		"the server is busy":       {status: http.StatusServiceUnavailable, code: client.CodeUnavailable, after: "2"},
		"the server is too busy":   {status: http.StatusTooManyRequests, after: "2"},
		"the first is under way":   {status: http.StatusConflict, code: client.CodeIdempotencyKeyInUse, after: "1"},
		"the server has a bad day": {status: http.StatusInternalServerError, code: "internal"},
	} {
		for _, op := range []string{"create", "batch"} {
			t.Run(name+", "+op, func(t *testing.T) {
				t.Parallel()
				within(t, func(t *testing.T, f *fixture) {
					f.retry = 5 * time.Minute
					f.server.faults = faultsOf(op, 3, broken)
					require.NoError(t, creators(f)[op]())
					require.Len(t, f.server.jobs, 1)
					calls := f.server.seen(op)
					require.Len(t, calls, 4)
					require.NoError(t, uuid.Validate(calls[0].key))
					for _, c := range calls[1:] {
						require.Equal(t, calls[0].key, c.key)
						require.Equal(t, calls[0].body, c.body)
					}
					require.NoError(t, creators(f)[op]())
					require.Len(t, f.server.jobs, 2, "another intended call, with the same jobs")
				})
			})
		}
	}
}

// Something in between may say that all is well, in JSON, and know nothing of jobs.
func TestAnAnswerThatShowsNoJobIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(ctx context.Context, c *client.Client) error{
		"enqueue": func(ctx context.Context, c *client.Client) error {
			_, err := c.Enqueue(ctx, client.NewJob{Type: "t"})
			return err
		},
		"job": func(ctx context.Context, c *client.Client) error {
			_, err := c.Job(ctx, uuid.New())
			return err
		},
		"update": func(ctx context.Context, c *client.Client) error {
			_, err := c.Update(ctx, uuid.New(), client.JobUpdate{Priority: new(1)}, "")
			return err
		},
		"cancel": func(ctx context.Context, c *client.Client) error { return c.Cancel(ctx, uuid.New()) },
		"retry": func(ctx context.Context, c *client.Client) error {
			_, err := c.Retry(ctx, uuid.New())
			return err
		},
		"list": func(ctx context.Context, c *client.Client) error {
			for _, err := range c.List(ctx) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newClient(t, respond(http.StatusOK, "application/json", `{"status":"ok"}`))
			require.ErrorContains(t, call(t.Context(), api), "the answer")
		})
	}
	_, err := newClient(t, respond(http.StatusCreated, "application/json", `{"jobs":[]}`)).EnqueueBatch(t.Context(), []client.NewJob{{Type: "t"}})
	require.ErrorContains(t, err, "the answer")
}

func TestAJobIsCreatedThoughSomethingInBetweenSaysThatAllIsWell(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("create", 2, fault{well: true})
		job, err := f.api().Enqueue(t.Context(), client.NewJob{Type: "t"})
		require.NoError(t, err)
		require.Len(t, f.server.jobs, 1)
		require.Equal(t, f.server.jobs[0].lease.Id, job.Id)
	})
}

func TestCreatingIsGivenUpAfterItsTimeout(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"create", "batch"} {
		within(t, func(t *testing.T, f *fixture) {
			f.server.faults = func(string, int) fault { return fault{cut: time.Since(f.begun) < time.Minute} }
			create := creators(f, client.WithIdempotencyKey("order-17"))[op]
			err := create()
			require.ErrorIs(t, err, errNetwork)
			require.LessOrEqual(t, time.Since(f.begun), 30*time.Second)
			require.GreaterOrEqual(t, time.Since(f.begun), 20*time.Second)
			require.Less(t, len(f.server.seen(op)), 15, "attempts are paced")
			f.pass(time.Minute)
			require.NoError(t, create(), "the caller goes on with the same key")
			require.Len(t, f.server.jobs, 1)
			require.Equal(t, "order-17", f.server.seen(op)[0].key)
		})
	}
}

func TestCreatingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(string, int) fault { return fault{lost: true} }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.api().Enqueue(ctx, client.NewJob{Type: "t"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errNetwork, "why it had not succeeded before")
		require.Equal(t, time.Second, time.Since(f.begun))
	})
}

func TestWhatTheServerDoesNotWantIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]fault{
		"invalid":           {status: http.StatusBadRequest, code: client.CodeInvalidRequest},
		"a key of others":   {status: http.StatusUnprocessableEntity, code: client.CodeIdempotencyKeyReused},
		"no dependency":     {status: http.StatusUnprocessableEntity, code: client.CodeDependencyNotFound},
		"a wrong address":   {status: http.StatusNotFound},
		"no password":       {status: http.StatusUnauthorized},
		"a proxy's limit":   {status: http.StatusRequestEntityTooLarge},
		"an unknown answer": {status: http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(string, int) fault { return refused }
				for op, create := range creators(f) {
					var problem *client.Problem
					require.ErrorAs(t, create(), &problem)
					require.Equal(t, refused.status, problem.Status)
					require.Len(t, f.server.seen(op), 1)
				}
				require.Equal(t, f.begun, time.Now())
			})
		})
	}
}

func TestWithoutARetryTimeoutARequestIsSentOnce(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.retry = -1
		f.server.faults = func(string, int) fault { return fault{lost: true} }
		for op, create := range creators(f) {
			require.ErrorIs(t, create(), errNetwork)
			require.Len(t, f.server.seen(op), 1)
		}
	})
}

func TestAUniqueJobThatExistsCanBeRecognised(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		job := client.NewJob{Type: "t", UniqueKey: new("nightly")}
		first, err := f.api().Enqueue(t.Context(), job)
		require.NoError(t, err)
		require.False(t, first.Existing)
		require.Equal(t, `"1"`, first.ETag)
		second, err := f.api().Enqueue(t.Context(), job)
		require.NoError(t, err)
		require.True(t, second.Existing)
		require.Equal(t, first.Id, second.Id)
		both, err := f.api().EnqueueBatch(t.Context(), []client.NewJob{{Type: "t"}, job})
		require.NoError(t, err)
		require.Nil(t, both.Jobs[0].Existing)
		require.True(t, *both.Jobs[1].Existing)
		require.Equal(t, first.Id, both.Jobs[1].Id)
	})
}

func TestAGraphIsMadeOfNames(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		created, err := f.api().EnqueueBatch(t.Context(), []client.NewJob{
			{Type: "resize", Name: new("left"), Args: json.RawMessage(`"<&>"`)},
			{Type: "resize", Name: new("right"), Priority: new(-5)},
			{Type: "merge", Needs: client.Needs("left", "right")},
			{Type: "clean", Needs: client.Needs(client.Need{Name: "left"}, client.Need{Name: "right", If: new(client.NeedIfFinished)})},
		})
		require.NoError(t, err)
		require.JSONEq(t, `{"jobs":[
			{"args":"<&>","name":"left","type":"resize"},
			{"name":"right","priority":-5,"type":"resize"},
			{"needs":["left","right"],"type":"merge"},
			{"needs":[{"name":"left"},{"if":"finished","name":"right"}],"type":"clean"}]}`, f.server.seen("batch")[0].body)
		require.Contains(t, f.server.seen("batch")[0].body, `<&>`, "six bytes of one might be too many")
		require.Len(t, created.Jobs, 4)
		require.Equal(t, map[string]client.CreatedJob{"left": created.Jobs[0], "right": created.Jobs[1]}, created.ByName())
	})
}

func TestJobsAreCreatedInTheTraceOfTheirContext(t *testing.T) {
	t.Parallel()
	type traceKey struct{}
	within(t, func(t *testing.T, f *fixture) {
		asked := 0
		f.trace = func(ctx context.Context) string {
			asked++
			trace, _ := ctx.Value(traceKey{}).(string)
			return trace
		}
		f.server.faults = faultsOf("create", 1, fault{lost: true})
		const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		api := f.api()
		ctx := context.WithValue(t.Context(), traceKey{}, trace)
		_, err := api.Enqueue(ctx, client.NewJob{Type: "t"})
		require.NoError(t, err)
		require.Equal(t, 1, asked, "once for one intended call")
		_, err = api.EnqueueBatch(ctx, []client.NewJob{{Type: "t"}})
		require.NoError(t, err)
		_, err = api.Enqueue(t.Context(), client.NewJob{Type: "t"})
		require.NoError(t, err)
		create := f.server.seen("create")
		require.Equal(t, trace, create[0].trace)
		require.Equal(t, trace, create[1].trace)
		require.Empty(t, create[2].trace)
		require.Equal(t, trace, f.server.seen("batch")[0].trace)
	})
}

func TestAJobIsUpdatedIfItIsWhatItWas(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		created, err := f.api().Enqueue(t.Context(), client.NewJob{Type: "t"})
		require.NoError(t, err)
		job, err := f.api().Job(t.Context(), created.Id)
		require.NoError(t, err)
		labels := client.Labels{"team": "print"}
		job, err = f.api().Update(t.Context(), job.Id, client.JobUpdate{Priority: new(50), Labels: &labels}, job.ETag)
		require.NoError(t, err)
		require.Equal(t, created.Id, job.Id)
		require.Equal(t, `"7"`, job.ETag)
		_, err = f.api().Update(t.Context(), job.Id, client.JobUpdate{Priority: new(0)}, "")
		require.NoError(t, err)
		calls := f.server.seen("update")
		require.Equal(t, `"7"`, calls[0].match)
		require.JSONEq(t, `{"labels":{"team":"print"},"priority":50}`, calls[0].body)
		require.Empty(t, calls[1].match)
		f.server.faults = func(string, int) fault {
			return fault{status: http.StatusPreconditionFailed, code: client.CodeJobChanged}
		}
		_, err = f.api().Update(t.Context(), job.Id, client.JobUpdate{}, job.ETag)
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, client.CodeJobChanged, problem.Code)
	})
}

func TestAFailedJobIsRetried(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		created, err := f.api().Enqueue(t.Context(), client.NewJob{Type: "t"})
		require.NoError(t, err)
		job, err := f.api().Retry(t.Context(), created.Id)
		require.NoError(t, err)
		require.Equal(t, created.Id, job.Id)
		require.Equal(t, `"7"`, job.ETag)
		f.server.faults = func(string, int) fault {
			return fault{status: http.StatusConflict, code: client.CodeJobNotFailed}
		}
		_, err = f.api().Retry(t.Context(), created.Id)
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, client.CodeJobNotFailed, problem.Code)
		require.Len(t, f.server.seen("retry"), 2)
	})
}

func TestListsAreGoneThroughPageByPage(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		var want []uuid.UUID
		for range 5 {
			want = append(want, f.server.add("t", `null`).lease.Id)
		}
		f.server.faults = faultsOf("list", 2, fault{cutBody: true})
		var got []uuid.UUID
		for job, err := range f.api().List(t.Context(), client.Failed, client.Canceled) {
			require.NoError(t, err)
			got = append(got, job.Id)
		}
		require.Equal(t, want, got)
		pages := f.server.seen("list")
		require.Len(t, pages, 7, "two that failed, three, and the empty ones between")
		require.Equal(t, "state=failed%2Ccanceled", strings.ReplaceAll(pages[2].query, "failed,canceled", "failed%2Ccanceled"))

		all := f.api().List(t.Context())
		for range 2 {
			for job, err := range all {
				require.NoError(t, err)
				require.Equal(t, want[0], job.Id)
				break
			}
		}
		pages = f.server.seen("list")
		require.Len(t, pages, 9, "a page that nobody looks at is not fetched")
		require.Empty(t, pages[8].query)
	})
}

func TestAListThatFailsSaysSoAtItsEnd(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		for range 3 {
			f.server.add("t", `null`)
		}
		f.server.faults = func(_ string, nth int) fault { return fault{lost: nth > 1} }
		jobs, errs := 0, 0
		for job, err := range f.api().List(t.Context()) {
			if err != nil {
				require.ErrorIs(t, err, errNetwork)
				require.Nil(t, job)
				errs++
				continue
			}
			require.Zero(t, errs)
			jobs++
		}
		require.Equal(t, pageSize, jobs)
		require.Equal(t, 1, errs)
	})
}

// A batch of 32 MiB takes its time on a slow line.
func TestALongRequestHasMoreTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		c := newClient(t, func(req *http.Request) (*http.Response, error) {
			begun := time.Now()
			<-req.Context().Done()
			took = time.Since(begun)
			return nil, req.Context().Err()
		})
		args := json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
		_, err := c.Enqueue(t.Context(), client.NewJob{Type: "t", Args: args})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 46*time.Second, took)
	})
}
