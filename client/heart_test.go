package client_test

import (
	"context"
	"net/http"
	"strconv"
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

// The server gives every lease a fresh heartbeat when it is started again, so silence alone
// says nothing. The result is fenced by the token, whatever became of the lease.
func TestARunOutlastsASilenceOfAnyLengthAndItsResultIsReported(t *testing.T) {
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
				f.server.faults = func(string, int) fault {
					// The heartbeat at 40 s is answered, and then nothing for four timeouts.
					if since := time.Since(f.begun); since > time.Minute && since < 540*time.Second {
						return broken
					}
					return fault{}
				}
				tokens := newMemoryTokens()
				j := f.server.add("t", `null`)
				f.start(lasting(530*time.Second), with(tokens))
				f.pass(529 * time.Second)
				f.server.set(j, func(j *fakeJob) { j.lastBeat = time.Now() }) // as a server does at its start
				require.Len(t, tokens.all(), 1)
				at := f.since(f.server.seen("heartbeat"))
				require.Less(t, len(at), 80, "attempts are paced")
				for i := 1; i < len(at); i++ {
					require.LessOrEqual(t, at[i]-at[i-1], 70*time.Second, "a server that is back hears of the lease in time")
				}
				f.pass(10 * time.Minute)
				require.Equal(t, client.Finished, f.server.state(j))
				require.Empty(t, tokens.all())
			})
		})
	}
}

// The network was down, the server was not, and gave the job to somebody else.
func TestARunThatTheServerGaveAwayDuringASilenceEndsWhenTheServerSaysSo(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(string, int) fault {
			since := time.Since(f.begun)
			return fault{lost: since > time.Minute && since < 300*time.Second}
		}
		causes := make(chan error, 1)
		f.server.add("t", `null`)
		f.start(untilEnd(causes))
		f.pass(299 * time.Second)
		require.Empty(t, causes)
		f.pass(31 * time.Second)
		require.ErrorIs(t, <-causes, client.ErrLeaseLost)
		for _, op := range []string{"finish", "fail", "release"} {
			require.Empty(t, f.server.seen(op))
		}
	})
}

func TestAHandlerCanSeeUntilWhenTheLeaseIsItsOwn(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if op != "heartbeat" {
				return fault{}
			}
			// The second takes 20 s to be answered, and no later one is.
			return fault{delay: map[bool]time.Duration{true: 20 * time.Second}[nth == 2], lost: nth > 2}
		}
		runs := make(chan *client.Run, 1)
		f.server.add("t", `null`)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			runs <- run
			time.Sleep(400 * time.Second)
			return nil, nil
		})
		f.pass(time.Second)
		run := <-runs
		until := func() time.Duration { return run.ValidUntil().Sub(f.begun) }
		require.Equal(t, 120*time.Second, until(), "from the grant")
		f.pass(40 * time.Second)
		require.Equal(t, 160*time.Second, until(), "from the first heartbeat")
		f.pass(60 * time.Second)
		require.Equal(t, 200*time.Second, until(), "from the sending of the second, not its answer")
		f.pass(300 * time.Second)
		require.Equal(t, 200*time.Second, until())
		require.Contains(t, f.log.text(), "no heartbeat was answered for the heartbeat timeout")
	})
	require.Zero(t, new(client.Run).ValidUntil(), "of a run that no worker made")
}

// However short the lease is, a heartbeat that hangs leaves time for another.
func TestAHeartbeatThatHangsLeavesTimeForAnother(t *testing.T) {
	t.Parallel()
	for _, timeout := range []float64{120, 3, 1, 0.1} {
		t.Run(strconv.FormatFloat(timeout, 'g', -1, 64), func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.pause, f.server.timeout = timeout/3, timeout
				f.server.faults = faultsOf("heartbeat", 1, fault{hang: true})
				j := f.server.add("t", `null`)
				f.start(lasting(seconds(2 * timeout)[0]), func(o *client.WorkerOptions) { o.RequestTimeout = time.Hour })
				f.pass(seconds(3 * timeout)[0])
				beats := f.since(f.server.seen("heartbeat"))
				require.Greater(t, len(beats), 1)
				require.Less(t, beats[1], seconds(timeout)[0])
				require.Equal(t, client.Finished, f.server.state(j))
			})
		})
	}
}

func TestAServerThatWantsHeartbeatsAllTheTimeIsNotFlooded(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause, f.server.timeout = 1e-9, 1e-9
		f.server.faults = func(op string, nth int) fault {
			if op == "heartbeat" && nth > 200 {
				panic("a flood of heartbeats") // in virtual time it would never end
			}
			return fault{}
		}
		f.server.onCall = func(op string) {
			if op == "heartbeat" { // the fake server's own patience
				f.server.mu.Lock()
				defer f.server.mu.Unlock()
				f.server.jobs[0].lastBeat = time.Now()
			}
		}
		f.server.add("t", `null`)
		f.start(lasting(time.Second))
		f.pass(2 * time.Second)
		require.InDelta(t, 100, len(f.server.seen("heartbeat")), 2, "one each 10 ms")
	})
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

// Something in between may say that all is well, in JSON, and know nothing of the lease.
func TestAnAnswerThatIsNotToAHeartbeatDoesNotKeepTheLease(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			return fault{well: op == "heartbeat"}
		}
		runs := make(chan *client.Run, 1)
		f.server.add("t", `null`)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			runs <- run
			time.Sleep(200 * time.Second)
			return nil, nil
		})
		f.pass(150 * time.Second)
		require.Equal(t, 120*time.Second, (<-runs).ValidUntil().Sub(f.begun), "from the grant")
		require.Contains(t, f.log.text(), "no heartbeat was answered for the heartbeat timeout")
		f.pass(60 * time.Second)
	})
}
