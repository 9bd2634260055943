package client_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// faultsOf makes the first n requests of one kind fail in one way.
func faultsOf(op string, n int, f fault) func(string, int) fault {
	return func(this string, nth int) fault {
		if this == op && nth <= n {
			return f
		}
		return fault{}
	}
}

func TestAReportIsRepeatedAsItIsUntilItIsAcknowledged(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"requests are lost":     {lost: true},
		"answers are lost":      {cut: true},
		"answers are cut short": {cutBody: true},
		"requests hang":         {hang: true},
		"a proxy knows nothing": {status: http.StatusNotFound},
		"a proxy answers":       {status: http.StatusBadGateway},
		"the server fails":      {status: http.StatusInternalServerError, code: "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("finish", 3, broken)
				j := f.server.add("t", `null`)
				f.start(func(context.Context, *client.Run) (any, error) { return map[string]int{"b": 1, "a": 2}, nil })
				f.pass(100 * time.Second)
				require.Equal(t, `finish {"result":{"a":2,"b":1}}`, f.server.reported(j))
				reports := f.server.seen("finish")
				require.Len(t, reports, 4)
				for _, r := range reports {
					require.Equal(t, reports[0].body, r.body)
				}
			})
		})
	}
}

func TestAReportWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("fail", 1, fault{status: http.StatusServiceUnavailable, code: client.CodeUnavailable, after: "20"})
		f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) { return nil, errors.New("no") })
		f.pass(time.Minute)
		at := f.since(f.server.seen("fail"))
		require.Len(t, at, 2)
		require.GreaterOrEqual(t, at[1]-at[0], 20*time.Second)
		require.LessOrEqual(t, at[1]-at[0], 30*time.Second)
	})
}

// Heartbeats come more often than reports whose pauses have grown.
func TestTheFirstHeartbeatAfterAnOutageEndsThePauseOfAReport(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause, f.server.timeout = 2, 3600
		f.server.faults = func(string, int) fault {
			since := time.Since(f.begun)
			return fault{lost: since > 10*time.Second && since < 20*time.Minute}
		}
		j := f.server.add("t", `null`)
		f.start(lasting(time.Minute), func(o *client.WorkerOptions) { o.MaxBackoff = time.Hour })
		f.pass(20 * time.Minute)
		require.NotEmpty(t, f.server.seen("finish"), "the outage is long")
		f.pass(2300 * time.Millisecond) // the pause of heartbeats, and the shortest of reports
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

// A proxy that takes no large body, for example.
func TestHeartbeatsDoNotHurryAReportThatAloneFails(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause = 0.1
		f.server.faults = func(op string, _ int) fault { return fault{lost: op == "finish"} }
		f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(10 * time.Minute)
		require.Less(t, len(f.server.seen("finish")), 100, "two in each of the longest pauses")
	})
}

func TestTheLeaseIsKeptWhileItsReportIsRepeated(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			if op == "finish" && time.Since(f.begun) < 300*time.Second {
				return fault{lost: true}
			}
			return fault{}
		}
		j := f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(340 * time.Second)
		require.Equal(t, client.Finished, f.server.state(j))
		require.GreaterOrEqual(t, len(f.server.seen("heartbeat")), 7)
	})
}

// The report was accepted and its answer lost. Heartbeats say that the lease is over; only
// the report's own answer says that it was accepted.
func TestAHeartbeatDoesNotEndTheRepeatingOfAReport(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause = 1
		f.server.faults = faultsOf("finish", 6, fault{cut: true})
		f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(2 * time.Minute)
		require.Len(t, f.server.seen("finish"), 7)
		require.NotContains(t, f.log.text(), "too late")
	})
}

func TestAReportThatComesTooLateIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fakeJob){
		"lost":     func(j *fakeJob) { j.lost = true },
		"canceled": func(j *fakeJob) { j.canceled = true },
		"reported": func(j *fakeJob) { j.report = "finish something else" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				j := f.server.add("t", `null`)
				f.start(lasting(10 * time.Second))
				f.pass(time.Second)
				f.server.set(j, change)
				f.pass(time.Minute)
				require.Len(t, f.server.seen("finish"), 1)
				require.Empty(t, f.server.seen("fail"))
			})
		})
	}
}

func TestAReportThatTheServerDoesNotAcceptFailsTheJobInstead(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]fault{
		"too large for the server": {status: http.StatusRequestEntityTooLarge, code: "body-too-large"},
		"too large for a proxy":    {status: http.StatusRequestEntityTooLarge},
		"too deep":                 {status: http.StatusBadRequest, code: client.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("finish", 1, refused)
				j := f.server.add("t", `null`)
				f.start(func(context.Context, *client.Run) (any, error) { return strings.Repeat("x", 1000), nil })
				f.pass(time.Second)
				require.Equal(t, client.Failed, f.server.state(j))
				require.Contains(t, f.server.reported(j), `"reason":"report-refused"`)
				require.Contains(t, f.server.reported(j), `"code":"`+refused.code+`"`)
			})
		})
	}
}

func TestAReasonWithACharacterThatTheContractRefusesIsToldWithoutIt(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) { return nil, &client.Failure{Reason: "a\x00b"} })
		f.pass(time.Second)
		require.Equal(t, client.Failed, f.server.state(j))
		require.Contains(t, f.server.reported(j), "\"reason\":\"a\uFFFDb\"")
	})
}

// It may refuse the replacement too: that is repeated like any report, and not at once.
func TestAServerThatAcceptsNoReportIsNotFlooded(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if nth > 100 {
				panic("a flood of reports") // in virtual time it would never end
			}
			if op == "finish" || op == "fail" {
				return fault{status: http.StatusBadRequest, code: client.CodeInvalidRequest}
			}
			return fault{}
		}
		f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(10 * time.Minute)
		require.Len(t, f.server.seen("finish"), 1)
		require.Less(t, len(f.server.seen("fail")), 50)
		require.Greater(t, len(f.server.seen("fail")), 2)
	})
}

// The lease may live on, if it was the server that was away: the next process finds out.
func TestAReportThatIsGivenUpKeepsItsToken(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault { return fault{lost: op == "finish"} }
		tokens := newMemoryTokens()
		f.server.add("t", `null`)
		f.start(lasting(0), with(tokens))
		f.pass(time.Hour - time.Minute)
		require.NotContains(t, f.log.text(), "gave up")
		f.pass(2 * time.Minute)
		require.Contains(t, f.log.text(), "gave up")
		require.Len(t, tokens.all(), 1)
	})
}

func TestAReportIsGivenUpAfterItsTimeout(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault {
			return fault{lost: op == "finish"}
		}
		f.server.add("t", `"first"`)
		f.server.add("t", `"second"`)
		f.start(lasting(0), func(o *client.WorkerOptions) { o.ReportTimeout = 5 * time.Minute })
		f.pass(5*time.Minute - time.Second)
		require.Len(t, f.server.seen("dequeue"), 1)
		f.pass(2 * time.Second)
		require.Len(t, f.server.seen("dequeue"), 2, "the slot is free again")
		require.Less(t, len(f.server.seen("finish")), 40, "attempts are paced")
	})
}

// Something in between may say that all is well, in JSON, and know nothing of the report.
func TestAnAnswerThatIsNotToAReportDoesNotAcknowledgeIt(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		reports := 0
		between := transport(func(req *http.Request) (*http.Response, error) {
			if opOf(req) == "finish" {
				reports++
			}
			if reports == 1 {
				return respond(http.StatusOK, "application/json", `{"status":"ok"}`)(req)
			}
			return f.server.RoundTrip(req)
		})
		api, err := client.New("http://queue.test", client.Options{HTTPClient: &http.Client{Transport: between}})
		require.NoError(t, err)
		worker, err := client.NewWorker(api, client.WorkerOptions{Handlers: map[string]client.Handler{"t": lasting(0)}})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		f.pass(10 * time.Second)
		stop()
		require.NoError(t, <-done)
		require.Equal(t, `finish {"result":"done"}`, f.server.reported(j))
	})
}

func TestTheLogSaysWhyARunFailed(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) { return nil, &client.Failure{Reason: "quota"} })
		f.pass(time.Second)
		require.Equal(t, `fail {"error":{"reason":"quota"}}`, f.server.reported(j))
		require.Contains(t, f.log.text(), "reported a run")
		require.Contains(t, f.log.text(), "report fail reason quota")
	})
}
