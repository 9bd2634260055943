package client_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestAnIdleWorkerAsksAgainAsSoonAsItWasToldThatThereIsNothing(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.start(lasting(0))
		f.pass(95 * time.Second)
		require.Equal(t, seconds(0, 30, 60, 90), f.since(f.server.seen("dequeue")))
	})
}

func TestFailedRequestsForJobsArePaced(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"lost":             {lost: true},
		"a proxy answers":  {status: http.StatusBadGateway},
		"wrong address":    {status: http.StatusNotFound, code: "route-not-found"},
		"not a lease":      {status: http.StatusOK},
		"redirected":       {status: http.StatusFound},
		"a page as answer": {status: http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("dequeue", 10, broken)
				j := f.server.add("t", `null`)
				f.start(lasting(0))
				f.pass(4 * time.Minute)
				at := f.since(f.server.seen("dequeue"))
				require.GreaterOrEqual(t, len(at), 11)
				step := 200 * time.Millisecond
				for i := range 10 {
					pause := at[i+1] - at[i]
					require.GreaterOrEqual(t, pause, step/2, "pause %d", i)
					require.LessOrEqual(t, pause, step, "pause %d", i)
					step = min(2*step, 30*time.Second)
				}
				require.Equal(t, client.Finished, f.server.state(j))
			})
		})
	}
}

func TestRequestsForJobsWaitAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]time.Duration{
		"60":                            time.Minute,
		"999999":                        5 * time.Minute, // bounded
		"Sat, 01 Jan 2000 00:02:00 GMT": 2 * time.Minute, // a bubble's time begins in 2000
	} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("dequeue", 1, fault{status: http.StatusTooManyRequests, code: "slow-down", after: after})
				f.start(lasting(0))
				f.pass(8 * time.Minute)
				at := f.since(f.server.seen("dequeue"))
				require.GreaterOrEqual(t, at[1], want)
				require.LessOrEqual(t, at[1], want+want/2)
			})
		})
	}
}

func TestAServerThatDoesNotHoldItsAnswersBackIsNotFlooded(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			if op == "dequeue" {
				return fault{status: http.StatusNoContent}
			}
			return fault{}
		}
		f.start(lasting(0))
		f.pass(time.Minute)
		require.Less(t, len(f.server.seen("dequeue")), 15)
		require.Empty(t, f.log.text(), "it is no error")
	})
}

// The job was granted, the answer broke off. The header has the token, so the job need not
// wait until its lease is taken back.
func TestALeaseWhoseAnswerBreaksOffIsTakenUpNevertheless(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("dequeue", 1, fault{cutBody: true})
		j := f.server.add("t", `{"a":1}`)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			require.False(f.t, run.Adopted)
			return run.Args, nil
		})
		f.pass(time.Second)
		require.Equal(t, `finish {"result":{"a":1}}`, f.server.reported(j))
	})
}

func TestAPollThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("dequeue", 1, fault{hang: true})
		j := f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(61 * time.Second)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestAGrantEndsTheLongPausesOfAnOutage(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault { return fault{lost: op == "dequeue" && nth != 8} }
		f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(2 * time.Minute)
		at := f.since(f.server.seen("dequeue"))
		require.Greater(t, at[7]-at[6], 5*time.Second, "the outage is long")
		require.LessOrEqual(t, at[9]-at[8], 200*time.Millisecond, "the first pause after the grant")
	})
}

// Heartbeats come more often than requests for jobs whose pauses have grown.
func TestTheFirstHeartbeatAfterAnOutageEndsThePausesOfTheRequestsForJobs(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause, f.server.timeout = 2, 3600
		f.server.faults = func(string, int) fault {
			since := time.Since(f.begun)
			return fault{lost: since > 10*time.Second && since < 20*time.Minute}
		}
		f.server.add("t", `"long"`)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			if string(run.Args) == `"long"` {
				time.Sleep(25 * time.Minute)
			}
			return nil, nil
		}, func(o *client.WorkerOptions) { o.Concurrency = 2; o.MaxBackoff = time.Hour })
		f.pass(20 * time.Minute)
		j := f.server.add("t", `"next"`)
		f.pass(2300 * time.Millisecond) // the pause of heartbeats, and the shortest of requests for jobs
		require.Equal(t, client.Finished, f.server.state(j))
		f.pass(10 * time.Minute)
	})
}

// A kind of request that alone fails keeps its own pace, or a worker that runs many jobs would
// repeat it with each heartbeat.
func TestHeartbeatsDoNotHurryRequestsForJobsThatAloneFail(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause = 0.1
		f.server.faults = func(op string, nth int) fault {
			if op == "dequeue" && nth > 1 {
				return fault{status: http.StatusInternalServerError, code: "internal"}
			}
			return fault{}
		}
		f.server.add("t", `null`)
		f.start(lasting(5*time.Minute), func(o *client.WorkerOptions) { o.Concurrency = 2 })
		f.pass(5 * time.Minute)
		require.Less(t, len(f.server.seen("dequeue")), 30)
	})
}

// Workers that failed together do not return together.
func TestPausesDiffer(t *testing.T) {
	t.Parallel()
	pauses := map[time.Duration]bool{}
	for range 10 {
		within(t, func(_ *testing.T, f *fixture) {
			f.server.faults = faultsOf("dequeue", 1, fault{lost: true})
			f.start(lasting(0))
			f.pass(time.Second)
			at := f.since(f.server.seen("dequeue"))
			pauses[at[1]-at[0]] = true
		})
	}
	require.Greater(t, len(pauses), 5, "of ten")
}
