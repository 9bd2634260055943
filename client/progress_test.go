package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// beats returns the bodies of the heartbeats, in order.
func (f *fixture) beats() []string {
	var bodies []string
	for _, c := range f.server.seen("heartbeat") {
		bodies = append(bodies, c.body)
	}
	return bodies
}

// telling is a handler that tells something, works for d, and returns err.
func telling(d time.Duration, err error, tell func(*client.Run)) client.Handler {
	return func(_ context.Context, run *client.Run) (any, error) {
		tell(run)
		time.Sleep(d)
		return nil, err
	}
}

func TestProgressGoesWithTheNextHeartbeatAndTheNewestWins(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.add("t", `null`)
		f.start(telling(100*time.Second, nil, func(run *client.Run) {
			for i := range 30 {
				run.Progress(float64(i), "page "+strconv.Itoa(i))
			}
			require.NoError(f.t, run.PartialResult(json.RawMessage(`{"b": "<&>", "a": 1e400}`)))
		}))
		f.pass(101 * time.Second)
		require.Equal(t, seconds(40, 80), f.since(f.server.seen("heartbeat")))
		require.Equal(t, []string{
			`{"progress":{"message":"page 29","percent":29},"partial_result":{"b": "<&>", "a": 1e400}}`,
			`{}`,
		}, f.beats())
	})
}

func TestProgressIsSentAtOnceIfTheHandlerAsks(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.add("t", `null`)
		f.start(telling(30*time.Second, nil, func(run *client.Run) {
			time.Sleep(10 * time.Second)
			run.Progress(10, "")
			run.Flush()
			run.Flush()
		}))
		f.pass(35 * time.Second)
		require.Equal(t, seconds(10), f.since(f.server.seen("heartbeat")))
		require.Equal(t, []string{`{"progress":{"percent":10}}`}, f.beats())
	})
}

func TestAHandlerThatAlwaysWantsToTellDoesNotFloodTheServer(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.add("t", `null`)
		f.start(telling(0, nil, func(run *client.Run) {
			for i := range 10_000 {
				run.Progress(float64(i)/100, "")
				run.Flush()
				time.Sleep(time.Millisecond)
			}
		}))
		f.pass(11 * time.Second)
		beats := f.beats()
		require.InDelta(t, 11, len(beats), 1, "one a second")
		require.JSONEq(t, `{"progress":{"percent":0}}`, beats[0], "the first at once")
		require.Regexp(t, `"percent":9[0-9]`, beats[len(beats)-1])
	})
}

// The pause between two of them is the lease's, if that is shorter.
func TestAHandlerThatWantsToTellDoesNotSlowTheHeart(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.pause, f.server.timeout = 0.2, 0.6
		f.server.add("t", `null`)
		f.start(telling(0, nil, func(run *client.Run) {
			for range 100 {
				run.Progress(1, "")
				run.Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}))
		f.pass(2 * time.Second)
		at := f.since(f.server.seen("heartbeat"))
		for i := 1; i < len(at); i++ {
			require.LessOrEqual(t, at[i]-at[i-1], 200*time.Millisecond)
		}
		require.InDelta(t, 6, len(at), 1)
	})
}

// Small news are sent again with each heartbeat; a partial result may be what was too long for
// the network, and must not cost the lease.
func TestNewsWhoseAcknowledgementWasLostAreSentAgain(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{"the request": {lost: true}, "the answer": {cut: true}, "a hanging": {hang: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("heartbeat", 2, broken)
				f.server.add("t", `null`)
				f.start(telling(170*time.Second, nil, func(run *client.Run) {
					run.Progress(1, "")
					require.NoError(f.t, run.PartialResult(7))
				}))
				f.pass(171 * time.Second)
				require.Equal(t, []string{
					`{"progress":{"percent":1},"partial_result":7}`,
					`{"progress":{"percent":1}}`,
					`{"progress":{"percent":1}}`,
					`{"partial_result":7}`,
				}, f.beats()[:4])
			})
		})
	}
}

func TestNewsThatComeWhileOthersAreSentAreNotLost(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("heartbeat", 1, fault{delay: 10 * time.Second})
		f.server.add("t", `null`)
		f.start(telling(100*time.Second, nil, func(run *client.Run) {
			run.Progress(1, "")
			run.Flush()
			time.Sleep(5 * time.Second)
			run.Progress(2, "")
		}))
		f.pass(106 * time.Second)
		require.Equal(t, []string{`{"progress":{"percent":1}}`, `{"progress":{"percent":2}}`, `{}`}, f.beats())
	})
}

func TestNewsThatTheServerRefusesDoNotCostTheLease(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("heartbeat", 1, fault{status: http.StatusRequestEntityTooLarge, code: client.CodeValueTooLarge})
		j := f.server.add("t", `null`)
		f.start(telling(130*time.Second, nil, func(run *client.Run) {
			require.NoError(f.t, run.PartialResult(strings.Repeat("x", 100)))
		}))
		f.pass(131 * time.Second)
		require.Equal(t, seconds(40, 40, 80, 120), f.since(f.server.seen("heartbeat")))
		require.Equal(t, []string{`{}`, `{}`, `{}`}, f.beats()[1:])
		require.Equal(t, client.Finished, f.server.state(j))
		require.Contains(t, f.log.text(), "refuses what a handler reports")
	})
}

// People who look at a job that failed see how far it came.
func TestTheLastNewsOfARunThatDoesNotFinishAreSentBeforeItsReport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"finish":  {nil, nil},
		"fail":    {errors.New("no"), []string{`{"progress":{"message":"page 12","percent":40}}`}},
		"release": {client.Release(0), []string{`{"progress":{"message":"page 12","percent":40}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.add("t", `null`)
				f.start(telling(time.Second, test.err, func(run *client.Run) { run.Progress(40, "page 12") }))
				f.pass(2 * time.Second)
				require.Equal(t, test.want, f.beats())
				require.Len(t, f.server.seen(name), 1)
			})
		})
	}
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		within(t, func(t *testing.T, f *fixture) {
			f.server.faults = faultsOf("heartbeat", 1, fault{lost: true})
			j := f.server.add("t", `null`)
			f.start(telling(time.Second, errors.New("no"), func(run *client.Run) { run.Progress(40, "") }))
			f.pass(time.Second)
			require.Equal(t, client.Failed, f.server.state(j))
			require.Len(t, f.server.seen("heartbeat"), 1)
		})
	})
}

func TestProgressIsMadeFitForTheServer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 1000)
	for name, test := range map[string]struct {
		percent float64
		message string
		want    string
	}{
		"fraction":  {0.125, "", `{"percent":0.125}`},
		"too much":  {1e300, "", `{"percent":100}`},
		"left open": {-1, "warming up", `{"message":"warming up"}`},
		"nonsense":  {math.NaN(), "", `{}`},
		"endless":   {math.Inf(1), "", `{"percent":100}`},
		"long":      {1, long, `{"message":"` + long[:1024] + `","percent":1}`},
		"no text":   {1, "a\xff<b>", `{"message":"a` + "\uFFFD" + `<b>","percent":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.add("t", `null`)
				f.start(telling(time.Second, nil, func(run *client.Run) {
					run.Progress(test.percent, test.message)
					run.Flush()
				}))
				f.pass(2 * time.Second)
				require.Equal(t, []string{`{"progress":` + test.want + `}`}, f.beats())
			})
		})
	}
}

func TestAPartialResultThatIsNoJSONIsAnError(t *testing.T) {
	t.Parallel()
	run := &client.Run{}
	require.ErrorContains(t, run.PartialResult(make(chan int)), "unsupported type")
	require.ErrorContains(t, run.PartialResult(json.RawMessage(`{`)), "not valid JSON")
}

// Handlers are tested without a worker.
func TestARunThatNoWorkerMadeCanBeTold(t *testing.T) {
	t.Parallel()
	run := &client.Run{}
	run.Progress(1, "")
	require.NoError(t, run.PartialResult(1))
	run.Flush()
}
