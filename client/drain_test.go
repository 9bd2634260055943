package client_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestADrainLetsRunningJobsEndAndTakesNoMore(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(lasting(10*time.Second), func(o *client.WorkerOptions) { o.Concurrency = 2 })
		f.pass(time.Second)
		f.stop()
		f.settle()
		next := f.server.add("t", `null`)
		f.pass(8 * time.Second)
		require.Equal(t, client.Running, f.server.state(j))
		f.pass(time.Second)
		<-f.done
		require.NoError(t, f.err)
		require.Equal(t, client.Finished, f.server.state(j))
		require.Equal(t, client.Pending, f.server.state(next))
	})
}

func TestAfterTheDrainTimeoutJobsAreGivenBack(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 1)
		j := f.server.add("t", `null`)
		f.start(untilEnd(causes), func(o *client.WorkerOptions) { o.DrainTimeout = 70 * time.Second })
		f.pass(time.Second)
		f.stop()
		f.pass(69 * time.Second)
		require.Empty(t, causes)
		require.Len(t, f.server.seen("heartbeat"), 1, "the lease is kept while it drains")
		f.pass(time.Second)
		<-f.done
		require.ErrorIs(t, <-causes, client.ErrDraining)
		require.NoError(t, f.err)
		require.Equal(t, "release {}", f.server.reported(j))
	})
}

func TestWithoutADrainTimeoutJobsAreGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 1)
		j := f.server.add("t", `null`)
		f.start(untilEnd(causes), func(o *client.WorkerOptions) { o.DrainTimeout = -1 })
		f.pass(time.Second)
		f.stop()
		f.settle()
		require.ErrorIs(t, <-causes, client.ErrDraining)
		require.Equal(t, "release {}", f.server.reported(j))
	})
}

func TestAHandlerThatGivesItsJobBackDuringTheDrainSaysForHowLong(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			<-ctx.Done()
			return nil, client.Release(time.Minute)
		})
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.Equal(t, `release {"delay_seconds":60}`, f.server.reported(j))
	})
}

func TestAResultThatComesAfterTheDrainTimeoutIsReported(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			<-ctx.Done()
			return "all the same", nil
		})
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.Equal(t, `finish {"result":"all the same"}`, f.server.reported(j))
	})
}

func TestAHandlerThatDoesNotReturnHoldsUpNobody(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(lasting(time.Hour))
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.ErrorContains(t, f.err, "1 handlers did not return within 10s")
		require.Equal(t, 41*time.Second, time.Since(f.begun), "drain timeout and stop grace")
		require.Equal(t, "release {}", f.server.reported(j))
		f.pass(time.Hour)
		require.Empty(t, f.server.seen("finish"), "what it returns later is not reported")
	})
}

func TestADrainEndsThoughTheServerIsAway(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{"cut off": {lost: true}, "hanging": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(op string, _ int) fault {
					if op == "dequeue" {
						return fault{}
					}
					return broken
				}
				tokens := newMemoryTokens()
				causes := make(chan error, 1)
				f.server.add("t", `null`)
				f.start(untilEnd(causes), func(o *client.WorkerOptions) { o.Tokens = tokens })
				f.pass(time.Second)
				f.stop()
				<-f.done
				require.NoError(t, f.err)
				require.LessOrEqual(t, time.Since(f.begun), 46*time.Second)
				require.Len(t, tokens.all(), 1, "a later process may find the lease alive")
			})
		})
	}
}

// The answer to the last request for a job may arrive after the worker was told to stop.
func TestALeaseThatArrivesDuringTheDrainIsGivenBack(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(string, int) fault { return fault{late: true} }
		f.server.onCall = func(op string) {
			if op == "dequeue" {
				f.stop()
			}
		}
		j := f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) {
			f.t.Error("it ran")
			return nil, nil
		})
		<-f.done
		require.Equal(t, "release {}", f.server.reported(j))
	})
}

// A server does not undo a lease that is asked for by key, so hanging up at once would lose it.
func TestAnAnswerThatIsOnItsWayIsWaitedForDuringTheDrain(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault { return fault{late: op == "dequeue", slow: 900 * time.Millisecond} }
		j := f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) {
			f.t.Error("it ran")
			return nil, nil
		})
		f.pass(100 * time.Millisecond)
		f.stop()
		<-f.done
		require.Equal(t, "release {}", f.server.reported(j))
		require.EqualValues(t, 1, j.lease.Attempt)
	})
}

func TestARequestForAJobThatWaitsIsHungUpAtOnceWhenTheWorkerStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after, want time.Duration
		end         func(f *fixture)
	}{
		"drain":          {10 * time.Second, 10 * time.Second, func(f *fixture) { f.stop() }},
		"just sent":      {100 * time.Millisecond, time.Second, func(f *fixture) { f.stop() }},
		"kill":           {100 * time.Millisecond, 100 * time.Millisecond, func(f *fixture) { f.worker.Kill() }},
		"kill the drain": {100 * time.Millisecond, 100 * time.Millisecond, func(f *fixture) { f.stop(); f.settle(); f.worker.Kill() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.start(lasting(0))
				f.pass(test.after)
				test.end(f)
				<-f.done
				require.Equal(t, test.want, time.Since(f.begun))
				require.Zero(t, f.server.polls)
			})
		})
	}
}

func TestKillReportsNothingAndKeepsTheTokens(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 1)
		tokens := newMemoryTokens()
		j := f.server.add("t", `null`)
		f.start(untilEnd(causes), func(o *client.WorkerOptions) { o.Tokens = tokens })
		f.pass(time.Second)
		f.worker.Kill()
		<-f.done
		require.ErrorIs(t, <-causes, client.ErrKilled)
		require.Equal(t, time.Second, time.Since(f.begun))
		require.Equal(t, client.Running, f.server.state(j))
		require.Equal(t, []uuid.UUID{j.lease.Token}, tokens.all())
	})
}

// A report that is under way does not hold it up.
func TestKillEndsRequestsThatAreUnderWay(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault { return fault{hang: op == "finish"} }
		tokens := newMemoryTokens()
		j := f.server.add("t", `null`)
		f.start(lasting(0), with(tokens))
		f.pass(time.Second)
		require.Len(t, f.server.seen("finish"), 1)
		f.worker.Kill()
		<-f.done
		require.Equal(t, time.Second, time.Since(f.begun))
		require.Equal(t, client.Running, f.server.state(j))
		require.Equal(t, []uuid.UUID{j.lease.Token}, tokens.all())
	})
}

// What handlers return when their contexts end is not reported, even if they are as fast as can be.
func TestKillIsFasterThanTheHandlersThatItEnds(t *testing.T) {
	t.Parallel()
	for range 20 {
		within(t, func(t *testing.T, f *fixture) {
			for range 20 {
				f.server.add("t", `null`)
			}
			f.start(func(ctx context.Context, _ *client.Run) (any, error) {
				<-ctx.Done()
				return "a result", nil
			}, func(o *client.WorkerOptions) { o.Concurrency = 20 })
			f.pass(time.Second)
			f.worker.Kill()
			<-f.done
			for _, op := range []string{"finish", "fail", "release"} {
				require.Empty(t, f.server.seen(op))
			}
		})
	}
}

func TestKillCutsADrainShort(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 1)
		f.server.add("t", `null`)
		f.start(untilEnd(causes))
		f.pass(time.Second)
		f.stop()
		f.pass(time.Second)
		f.worker.Kill()
		<-f.done
		require.ErrorIs(t, <-causes, client.ErrKilled)
		require.Equal(t, 2*time.Second, time.Since(f.begun))
		require.Empty(t, f.server.seen("release"))
	})
}

func TestAWorkerThatIsNotUnderstoodDrainsAndSaysSo(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.server.faults = func(op string, nth int) fault {
			if op == "dequeue" && nth == 2 {
				return fault{delay: time.Second, status: http.StatusBadRequest, code: client.CodeInvalidRequest}
			}
			return fault{}
		}
		f.start(lasting(10*time.Second), func(o *client.WorkerOptions) { o.Concurrency = 2 })
		<-f.done
		var problem *client.Problem
		require.ErrorAs(t, f.err, &problem)
		require.Equal(t, client.CodeInvalidRequest, problem.Code)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestTheLeaseIsKeptUntilTheHandlerHasReturned(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(lasting(150*time.Second), func(o *client.WorkerOptions) { o.DrainTimeout = -1; o.StopGrace = 200 * time.Second })
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.NoError(t, f.err)
		require.Equal(t, seconds(40, 80, 120), f.since(f.server.seen("heartbeat")))
		require.Equal(t, client.Finished, f.server.state(j))
	})
}
