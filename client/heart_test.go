package client_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestHeartbeatsFollowTheServersCadence(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.add("t", `null`)
		f.start(lasting(95 * time.Second))
		f.pass(50 * time.Second)
		f.server.mu.Lock()
		f.server.pause = 10 // answered to the beat at 80 s, and followed from then on
		f.server.mu.Unlock()
		f.pass(100 * time.Second)
		require.Equal(t, seconds(40, 80, 90), f.since(f.server.seen("heartbeat")))
	})
}

func TestACadenceThatMakesNoSenseIsReplaced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pause, timeout float64
		want           []time.Duration
	}{
		"no pause":               {0, 30, seconds(10, 20)},
		"pause over the timeout": {31, 30, seconds(10, 20)},
		"nothing at all":         {0, 0, nil}, // 120 s, so 40 s
		"negative":               {-1, -1, nil},
		"endless":                {1e300, 1e300, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.pause, f.server.timeout = test.pause, test.timeout
				f.server.add("t", `null`)
				f.start(lasting(25 * time.Second))
				f.pass(26 * time.Second)
				require.ElementsMatch(t, test.want, f.since(f.server.seen("heartbeat")))
			})
		})
	}
}

func TestACancelEndsTheHandlersContextAndNothingIsReported(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 1)
		j := f.server.add("t", `null`)
		f.start(untilEnd(causes))
		f.pass(time.Second)
		f.server.set(j, func(j *fakeJob) { j.canceled = true; j.state = client.Canceled })
		f.pass(39 * time.Second)
		require.ErrorIs(t, <-causes, client.ErrCanceled)
		require.Equal(t, client.Canceled, f.server.state(j))
		require.Empty(t, f.server.seen("fail"))
		require.Empty(t, f.server.seen("release"))
		require.Len(t, f.server.seen("heartbeat"), 1, "the lease is not kept any longer")
	})
}

func TestALostLeaseEndsTheHandlersContextAndNothingIsReported(t *testing.T) {
	t.Parallel()
	for _, code := range []string{client.CodeLeaseLost, client.CodeLeaseNotFound, client.CodeAlreadyReported} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(op string, _ int) fault {
					if op == "heartbeat" {
						return fault{status: http.StatusConflict, code: code}
					}
					return fault{}
				}
				causes := make(chan error, 1)
				f.server.add("t", `null`)
				f.start(untilEnd(causes))
				f.pass(40 * time.Second)
				require.ErrorIs(t, <-causes, client.ErrLeaseLost)
				require.Empty(t, f.server.seen("fail"))
				require.Empty(t, f.server.seen("finish"))
				require.Empty(t, f.server.seen("release"))
			})
		})
	}
}

// A heartbeat counts from when it was sent, so the handler stops before the server can have
// given the job to somebody else.
func TestSilenceForTheTimeoutCountsAsALostLease(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"requests are lost":     {lost: true},
		"answers are lost":      {cut: true},
		"requests hang":         {hang: true},
		"a proxy answers":       {status: http.StatusBadGateway},
		"a proxy knows nothing": {status: http.StatusNotFound},
		"a conflict of a proxy": {status: http.StatusConflict},
		"the server is busy":    {status: http.StatusServiceUnavailable, code: client.CodeUnavailable, after: "300"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(op string, nth int) fault {
					if op == "heartbeat" && nth > 1 { // the first, at 40 s, is answered
						return broken
					}
					return fault{}
				}
				causes := make(chan error, 1)
				f.server.add("t", `null`)
				f.start(untilEnd(causes))
				f.pass(40*time.Second + 120*time.Second - time.Millisecond)
				require.Empty(t, causes, "the lease may still be alive")
				f.pass(2 * time.Millisecond)
				require.ErrorIs(t, <-causes, client.ErrLeaseLost)
				require.Empty(t, f.server.seen("fail"))
				require.Empty(t, f.server.seen("release"))
				require.Greater(t, len(f.server.seen("heartbeat")), 3, "one failure is not the end")
				require.Less(t, len(f.server.seen("heartbeat")), 30, "attempts are paced")
			})
		})
	}
}

func TestAShortOutageLosesNothing(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			if since := time.Since(f.begun); op == "heartbeat" && since > 30*time.Second && since < 140*time.Second {
				return fault{lost: true}
			}
			return fault{}
		}
		f.server.timeout = 160
		j := f.server.add("t", `null`)
		f.start(lasting(300 * time.Second))
		f.pass(301 * time.Second)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestALeaseThatWasCanceledBeforeItArrivedIsNotRun(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.server.set(j, func(j *fakeJob) { j.lease.Canceled = true })
		f.start(func(context.Context, *client.Run) (any, error) {
			f.t.Error("it ran")
			return nil, nil
		})
		f.pass(time.Second)
		require.Empty(t, f.server.reported(j))
	})
}
