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
