package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func slots(n int) func(*client.WorkerOptions) {
	return func(o *client.WorkerOptions) { o.Concurrency = n }
}

// add adds n jobs.
func (f *fixture) add(n int) []*fakeJob {
	jobs := make([]*fakeJob, n)
	for i := range jobs {
		jobs[i] = f.server.add("t", fmt.Sprint(i))
	}
	return jobs
}

// requireDoneOnce checks that all jobs are finished, by their first lease.
func (f *fixture) requireDoneOnce(jobs []*fakeJob) {
	for i, j := range jobs {
		require.Equal(f.t, client.Finished, f.server.state(j), "job %d", i)
		require.EqualValues(f.t, 1, j.lease.Attempt, "job %d", i)
	}
}

// single returns the requests of a kind that are for one lease.
func (f *fixture) single(op string) []call {
	var calls []call
	for _, c := range f.server.seen(op) {
		if !c.many {
			calls = append(calls, c)
		}
	}
	return calls
}

func TestManyJobsAreAskedForAndReportedTogether(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(40)
		tokens := newMemoryTokens()
		var now, most atomic.Int64
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Second)
			return run.Args, nil
		}, slots(16), with(tokens))
		f.pass(4 * time.Second)
		f.requireDoneOnce(jobs)
		for i, j := range jobs {
			require.Equal(t, fmt.Sprintf(`finish {"result":%d}`, i), f.server.reported(j))
		}
		require.EqualValues(t, 16, most.Load())
		require.Equal(t, seconds(0, 1, 2, 2, 3), f.since(f.server.seen("dequeue")),
			"for all slots, each time that runs end, and when there were slots left")
		require.Empty(t, f.single("finish"))
		require.Empty(t, tokens.all())
	})
}

func TestAWorkerOfOneSlotAsksForOneJobAndReportsItAlone(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(3)
		f.start(lasting(50 * time.Second))
		f.pass(151 * time.Second)
		f.requireDoneOnce(jobs)
		for _, op := range []string{"dequeue", "finish", "heartbeat"} {
			require.Len(t, f.single(op), len(f.server.seen(op)))
		}
	})
}

// The request that waits for jobs was sent before the run ended.
func TestAReportDoesNotWaitForJobs(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(2)
		f.start(func(ctx context.Context, run *client.Run) (any, error) {
			if string(run.Args) == "0" {
				time.Sleep(5 * time.Second)
			} else {
				<-ctx.Done()
			}
			return nil, nil
		}, slots(4), func(o *client.WorkerOptions) { o.DrainTimeout = -1 })
		f.pass(5 * time.Second)
		require.Equal(t, 1, f.server.polls, "one waits")
		f.pass(2 * time.Millisecond)
		require.Equal(t, client.Finished, f.server.state(jobs[0]))
		require.Contains(t, f.log.text(), "reported a run", "and that was acknowledged")
		next := f.server.add("t", "0")
		f.pass(6 * time.Second)
		require.Equal(t, client.Finished, f.server.state(next))
	})
}

func TestReportsThatAreMadeWithinMillisecondsGoTogether(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(10)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			var n int
			unpack(string(run.Args), &n)
			time.Sleep(time.Second + time.Duration(n)*500*time.Microsecond)
			return nil, nil
		}, slots(10))
		f.pass(2 * time.Second)
		f.requireDoneOnce(jobs)
		reports := f.since(f.server.seen("finish"))
		for i, at := range reports {
			ended := time.Second + time.Duration(i)*500*time.Microsecond
			require.LessOrEqual(t, at-ended, 2*time.Millisecond)
		}
		require.Less(t, len(f.server.seen("dequeue")), 8)
	})
}

// Whether the request or its answer was lost, it is asked again for the same: what was granted
// is not lost, and nothing is granted twice. The reports do not wait for that.
func TestAnExchangeWhoseAnswerWasLostCostsNothing(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"the request":     {lost: true},
		"the answer":      {cut: true},
		"half of it":      {cutBody: true},
		"a hanging":       {hang: true},
		"a proxy answers": {cut: true, instead: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.timeout = 3600
				f.server.faults = func(op string, nth int) fault {
					if op == "dequeue" && (nth == 1 || nth == 3) {
						return broken
					}
					return fault{}
				}
				jobs := f.add(24)
				var now, most atomic.Int64
				f.start(func(context.Context, *client.Run) (any, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					time.Sleep(time.Second)
					return nil, nil
				}, slots(8))
				f.pass(3 * time.Minute)
				f.requireDoneOnce(jobs)
				require.LessOrEqual(t, most.Load(), int64(8))
				asked := f.server.seen("dequeue")
				for _, i := range []int{0, 2} {
					require.Equal(t, asked[i].key, asked[i+1].key)
					require.Equal(t, asked[i].body, asked[i+1].body)
				}
				require.NotEqual(t, asked[1].key, asked[2].key)
				require.Len(t, f.single("finish"), 8, "those that were with it are repeated alone")
			})
		})
	}
}

// One that is refused is what it would be alone, and harms no other.
func TestEachOfManyReportsHasAnOutcomeOfItsOwn(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(6)
		tokens := newMemoryTokens()
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			time.Sleep(time.Second)
			if string(run.Args) == "4" {
				return nil, errors.New("no")
			}
			return run.Args, nil
		}, slots(6), with(tokens))
		f.pass(500 * time.Millisecond)
		f.server.set(jobs[0], func(j *fakeJob) { j.lost = true })
		f.server.set(jobs[1], func(j *fakeJob) { j.canceled = true })
		f.server.set(jobs[2], func(j *fakeJob) { j.report = "finish something else" })
		next := f.add(6)
		f.pass(time.Second)
		require.Equal(t, `finish {"result":3}`, f.server.reported(jobs[3]))
		require.Equal(t, `fail {"error":{"details":{"message":"no"},"reason":"error"}}`, f.server.reported(jobs[4]))
		require.Equal(t, `finish {"result":5}`, f.server.reported(jobs[5]))
		require.Equal(t, 3, strings.Count(f.log.text(), "a report came too late"))
		f.pass(time.Second)
		f.requireDoneOnce(append(next[:4:4], next[5]))
		require.Empty(t, f.single("finish"))
		require.Empty(t, tokens.all())
	})
}

func TestAReportThatIsRefusedAmongManyIsMadeAloneAndThenFailsTheJob(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if op == "finish" && (nth == 2 || nth == 5) { // among four, and then alone
				return fault{status: http.StatusRequestEntityTooLarge, code: client.CodeValueTooLarge}
			}
			return fault{}
		}
		jobs := f.add(4)
		f.start(lasting(time.Second), slots(4))
		f.pass(2 * time.Second)
		failed := 0
		for _, j := range jobs {
			if f.server.state(j) == client.Failed {
				failed++
				require.Contains(t, f.server.reported(j), `"code":"value-too-large"`)
			} else {
				require.Equal(t, client.Finished, f.server.state(j))
			}
		}
		require.Equal(t, 1, failed)
		require.Len(t, f.single("finish"), 1)
	})
}

// What is too much together is not too much alone.
func TestReportsThatAreRefusedTogetherAreMadeAlone(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]fault{
		"too large for a proxy": {status: http.StatusRequestEntityTooLarge},
		"not understood":        {status: http.StatusBadRequest, code: client.CodeInvalidRequest},
		"its key is spent":      {status: http.StatusConflict, code: client.CodeLeaseLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(op string, nth int) fault {
					if op == "dequeue" && nth == 2 {
						return refused
					}
					return fault{}
				}
				jobs := f.add(12)
				f.start(lasting(time.Second), slots(4))
				f.pass(3 * time.Second)
				f.requireDoneOnce(jobs)
				require.Len(t, f.single("finish"), 4)
			})
		})
	}
}

func TestLargeReportsGoAlone(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(40)
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			if string(run.Args) == "7" {
				return strings.Repeat("x", 100_000), nil
			}
			return strings.Repeat("x", 30_000), nil
		}, slots(40))
		f.pass(time.Second)
		f.requireDoneOnce(jobs)
		require.Len(t, f.single("finish"), 1)
		for _, c := range f.server.seen("dequeue") {
			require.Less(t, len(c.body), 300_000)
		}
	})
}

// It hands out jobs and takes no reports: each job whose report is not acknowledged keeps a
// slot, so that only a bounded number of them can gather.
func TestAServerThatTakesNoReportsIsSoonAskedForNoMore(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			if op == "finish" && time.Since(f.begun) < 10*time.Minute {
				return fault{status: http.StatusInternalServerError, code: "internal"}
			}
			return fault{}
		}
		f.add(100)
		f.start(lasting(time.Second), slots(8))
		f.pass(10 * time.Minute)
		require.LessOrEqual(t, len(f.server.tokens()), 16)
		f.pass(5 * time.Minute)
		require.Len(t, f.server.tokens(), 100)
	})
}

func TestADrainBringsTheReportsHomeAndAsksForNoMore(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(20)
		f.start(lasting(10*time.Second), slots(8))
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.NoError(t, f.err)
		f.requireDoneOnce(jobs[:8])
		for _, j := range jobs[8:] {
			require.Equal(t, client.Pending, f.server.state(j))
		}
		require.Len(t, f.server.seen("dequeue"), 1)
	})
}

func TestLeasesThatComeWithAReportDuringTheDrainAreGivenBack(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			return fault{slow: map[bool]time.Duration{true: time.Second}[op == "dequeue" && nth == 2]}
		}
		jobs := f.add(8)
		f.start(lasting(time.Second), slots(4))
		f.pass(1500 * time.Millisecond)
		f.stop()
		<-f.done
		f.requireDoneOnce(jobs[:4])
		for _, j := range jobs[4:] {
			require.Equal(t, "release {}", f.server.reported(j))
		}
	})
}

func TestKillEndsAnExchangeThatIsUnderWay(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault { return fault{hang: op == "dequeue" && nth > 1} }
		tokens := newMemoryTokens()
		f.add(4)
		f.start(lasting(time.Second), slots(4), with(tokens))
		f.pass(2 * time.Second)
		f.worker.Kill()
		<-f.done
		require.Equal(t, 2*time.Second, time.Since(f.begun))
		require.Len(t, tokens.all(), 4)
		require.Empty(t, f.single("finish"))
	})
}

// A new worker may be there before its server is.
func TestAServerThatDoesNotKnowRequestsForManyIsAskedOneByOne(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.manyUnknown = true
		f.server.pause, f.server.timeout = 1, 3
		jobs := f.add(12)
		f.start(lasting(10*time.Second), slots(4))
		f.pass(31 * time.Second)
		f.requireDoneOnce(jobs)
		many := 0
		for _, op := range []string{"dequeue", "heartbeats"} {
			for _, c := range f.server.seen(op) {
				if c.many {
					many++
				}
			}
		}
		require.Equal(t, 1, many)
	})
}

// Many leases may be more than can be read at once, even if each can.
func TestLeasesThatAreTooLongTogetherAreAllRun(t *testing.T) {
	t.Parallel()
	within(t, func(_ *testing.T, f *fixture) {
		f.answer = 10_000
		var jobs []*fakeJob
		for range 8 {
			jobs = append(jobs, f.server.add("t", `"`+strings.Repeat("x", 3000)+`"`))
		}
		f.start(lasting(time.Second), slots(8))
		f.pass(30 * time.Second)
		f.requireDoneOnce(jobs)
	})
}
