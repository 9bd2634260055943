package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestWorkerHandsTheJobToItsHandlerAndReportsTheResultAsItIs(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		dependency := client.Dependency{Id: uuid.New(), Type: "d", State: client.Finished, Result: json.RawMessage(`[1]`)}
		j := f.server.add("t", `{"b":1,"a":12345678901234567890}`, dependency)
		var got *client.Run
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			got = run
			return json.RawMessage(`{"z": "<&>",  "a": 1e400}`), nil
		})
		f.settle()
		require.Equal(t, `finish {"result":{"z": "<&>",  "a": 1e400}}`, f.server.reported(j))
		require.Equal(t, j.lease.Id, got.JobID)
		require.Equal(t, "t", got.Type)
		require.Equal(t, "default", got.Channel)
		require.EqualValues(t, 1, got.Attempt)
		require.Equal(t, `{"b":1,"a":12345678901234567890}`, string(got.Args))
		require.Equal(t, []client.Dependency{dependency}, got.Dependencies)
		require.False(t, got.Adopted)
	})
}

func TestWorkerAsksForWhatItWasToldTo(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.start(lasting(0), func(o *client.WorkerOptions) {
			o.Handlers = map[string]client.Handler{"b": lasting(0), "a": lasting(0)}
			o.Channels = []string{"acme", "zoo"}
			o.Name = "w1"
			o.PollWait = 10 * time.Second
		})
		f.settle()
		require.JSONEq(t, `{"types":["a","b"],"channels":["acme","zoo"],"worker":"w1","wait_seconds":10}`,
			f.server.seen("dequeue")[0].body)
	})
}

func TestWorkerRunsAsManyJobsAsItHasSlotsAndAsksOnlyForFreeOnes(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		for range 10 {
			f.server.add("t", `null`)
		}
		var now, most atomic.Int64
		f.server.onCall = func(op string) {
			if op == "dequeue" && now.Load() >= 3 {
				f.t.Error("asked for a job while every slot was taken")
			}
		}
		f.start(func(context.Context, *client.Run) (any, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return nil, nil
		}, func(o *client.WorkerOptions) { o.Concurrency = 3; o.Pollers = 2 })
		f.pass(4 * time.Second)
		require.EqualValues(t, 3, most.Load())
		require.Len(t, f.server.seen("finish"), 10)
		require.LessOrEqual(t, f.server.most, 2, "requests for jobs at once")
		require.Len(t, f.server.seen("dequeue"), 8, "one for each poller, one each time that three runs end, "+
			"one after the last, and again one that waits for each poller")
	})
}

func TestFailuresAreReportedAsWhatTheyAre(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 5000)
	for name, test := range map[string]struct {
		handle client.Handler
		want   string // prefix of the report
	}{
		"an error": {
			func(context.Context, *client.Run) (any, error) { return "ignored", errors.New("disk <full>") },
			`fail {"error":{"details":{"message":"disk <full>"},"reason":"error"}}`,
		},
		"a failure inside of another error": {
			func(context.Context, *client.Run) (any, error) {
				return nil, fmt.Errorf("step 2: %w", &client.Failure{Reason: "quota", Details: map[string]int{"left": 0}})
			},
			`fail {"error":{"details":{"left":0},"reason":"quota"}}`,
		},
		"a failure without details": {
			func(context.Context, *client.Run) (any, error) { return nil, &client.Failure{Reason: "quota"} },
			`fail {"error":{"reason":"quota"}}`,
		},
		"a failure whose details are no JSON": {
			func(context.Context, *client.Run) (any, error) {
				return nil, &client.Failure{Reason: "odd", Details: make(chan int)}
			},
			`fail {"error":{"details":{"message":"the failure's details: json: unsupported type: chan int"},"reason":"odd"}}`,
		},
		"a failure that another run may not have": {
			func(context.Context, *client.Run) (any, error) {
				return nil, &client.Failure{Reason: "quota", Retryable: true, RetryAfter: 90 * time.Second}
			},
			`fail {"error":{"reason":"quota"},"retry_after_seconds":90,"retryable":true}`,
		},
		"a failure that is final, whenever": {
			func(context.Context, *client.Run) (any, error) {
				return nil, &client.Failure{Reason: "quota", RetryAfter: time.Minute}
			},
			`fail {"error":{"reason":"quota"}}`,
		},
		"an error that another run may not have": {
			func(context.Context, *client.Run) (any, error) {
				return nil, fmt.Errorf("fetch: %w", client.Retryable(errors.New("no route"), 0))
			},
			`fail {"error":{"details":{"message":"fetch: no route"},"reason":"error"},"retryable":true}`,
		},
		"a failure inside, to be repeated at once": {
			func(context.Context, *client.Run) (any, error) {
				return nil, client.Retryable(&client.Failure{Reason: "quota"}, -1)
			},
			`fail {"error":{"reason":"quota"},"retry_after_seconds":0,"retryable":true}`,
		},
		"too long a wait": {
			func(context.Context, *client.Run) (any, error) {
				return nil, client.Retryable(errors.New("no"), math.MaxInt64)
			},
			`fail {"error":{"details":{"message":"no"},"reason":"error"},"retry_after_seconds":315360000,"retryable":true}`,
		},
		"giving it back": {
			func(context.Context, *client.Run) (any, error) { return nil, client.Release(0) },
			`release {}`,
		},
		"giving it back for a while": {
			func(context.Context, *client.Run) (any, error) {
				return nil, fmt.Errorf("not now: %w", client.Release(1500*time.Millisecond))
			},
			`release {"delay_seconds":1.5}`,
		},
		"a long and broken text": {
			func(context.Context, *client.Run) (any, error) { return nil, errors.New("\xff" + long) },
			`fail {"error":{"details":{"message":"�é`,
		},
		"a panic": {
			func(context.Context, *client.Run) (any, error) { panic("at the disco") },
			`fail {"error":{"details":{"message":"at the disco","stack":"goroutine`,
		},
		"the end of the goroutine": {
			func(context.Context, *client.Run) (any, error) { runtime.Goexit(); return nil, nil },
			`fail {"error":{"details":{"message":"the handler ended its goroutine without returning"},"reason":"panic"}}`,
		},
		"a result that is no JSON": {
			func(context.Context, *client.Run) (any, error) { return func() {}, nil },
			`fail {"error":{"details":{"message":"json: unsupported type: func()"},"reason":"invalid-result"}}`,
		},
		"a raw result that is no JSON": {
			func(context.Context, *client.Run) (any, error) { return json.RawMessage(`{`), nil },
			`fail {"error":{"details":{"message":"a json.RawMessage that is not valid JSON in UTF-8"},"reason":"invalid-result"}}`,
		},
		"no result": {
			func(context.Context, *client.Run) (any, error) { return nil, nil },
			`finish {"result":null}`,
		},
		"a nil raw result": {
			func(context.Context, *client.Run) (any, error) { return json.RawMessage(nil), nil },
			`finish {"result":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				j := f.server.add("t", `null`)
				next := f.server.add("t", `"next"`)
				f.start(func(ctx context.Context, run *client.Run) (any, error) {
					if string(run.Args) == `"next"` {
						return "still alive", nil
					}
					return test.handle(ctx, run)
				})
				f.settle()
				got := f.server.reported(j)
				require.True(t, strings.HasPrefix(got, test.want), "got %s\nwant %s...", got, test.want)
				require.Less(t, len(got), 16<<10)
				require.Equal(t, client.Finished, f.server.state(next), "the worker goes on")
			})
		})
	}
}

func TestWorkerRunsOnce(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.start(lasting(0))
		f.settle()
		require.ErrorContains(t, f.worker.Run(t.Context()), "it ran before")
	})
}

func TestNewWorkerRefusesWhatTheServerWould(t *testing.T) {
	t.Parallel()
	handlers := map[string]client.Handler{"t": lasting(0)}
	for name, options := range map[string]client.WorkerOptions{
		"no handler":           {},
		"a nil handler":        {Handlers: map[string]client.Handler{"t": nil}},
		"a type with a blank":  {Handlers: map[string]client.Handler{"a b": lasting(0)}},
		"an empty channel":     {Handlers: handlers, Channels: []string{""}},
		"too many channels":    {Handlers: handlers, Channels: strings.Split(strings.Repeat("a,", 65), ",")},
		"a long name":          {Handlers: handlers, Name: strings.Repeat("a", 129)},
		"negative concurrency": {Handlers: handlers, Concurrency: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, err := client.New("http://queue.test", client.Options{HTTPClient: &http.Client{Transport: newFake()}})
			require.NoError(t, err)
			_, err = client.NewWorker(api, options)
			require.Error(t, err)
		})
	}
}
