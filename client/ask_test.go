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

// keys returns the idempotency keys of the requests for jobs, in order.
func (f *fixture) keys() []string {
	var keys []string
	for _, c := range f.server.seen("dequeue") {
		keys = append(keys, c.key)
	}
	return keys
}

func TestALeaseWhoseAnswerWasLostIsHandedOverAgain(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fault{
		"lost":            {cut: true},
		"late and lost":   {cut: true, delay: time.Second},
		"a proxy answers": {cut: true, instead: http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("dequeue", 3, broken)
				j := f.server.add("t", `null`)
				f.start(lasting(0))
				f.pass(10 * time.Second)
				require.Equal(t, `finish {"result":"done"}`, f.server.reported(j))
				require.EqualValues(t, 1, j.lease.Attempt)
				keys := f.keys()
				require.NoError(t, uuid.Validate(keys[0]))
				require.Equal(t, []string{keys[0], keys[0], keys[0], keys[0]}, keys[:4])
				require.NotEqual(t, keys[3], keys[4], "the next job is asked for by another key")
			})
		})
	}
}

func TestEachIntendedRequestForAJobHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		for range 5 {
			f.server.add("t", `null`)
		}
		f.start(lasting(time.Second), func(o *client.WorkerOptions) { o.Concurrency, o.Pollers = 3, 3 })
		f.pass(95 * time.Second) // jobs, and answers that there is none
		seen := map[string]bool{}
		for _, key := range f.keys() {
			require.False(t, seen[key])
			seen[key] = true
		}
		require.Greater(t, len(seen), 10)
	})
}

// The first request still waits, because the server has not noticed that nobody listens.
func TestARequestThatIsStillUnderWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if op == "dequeue" && nth > 1 && nth < 8 {
				return fault{status: http.StatusConflict, code: client.CodeIdempotencyKeyInUse, after: "1"}
			}
			return fault{cut: op == "dequeue" && nth == 1}
		}
		j := f.server.add("t", `null`)
		f.start(lasting(0))
		f.pass(12 * time.Second)
		require.Equal(t, client.Finished, f.server.state(j))
		at := f.since(f.server.seen("dequeue"))
		for i := 2; i < 8; i++ {
			require.GreaterOrEqual(t, at[i]-at[i-1], time.Second, "as long as the server asks for")
			require.LessOrEqual(t, at[i]-at[i-1], 1500*time.Millisecond, "and not longer each time")
		}
		keys := f.keys()
		require.Equal(t, keys[0], keys[7])
	})
}

func TestAfterALeaseThatIsOverAnotherOneIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]struct {
		status int
		code   string
	}{
		"over":   {http.StatusConflict, client.CodeLeaseLost},
		"reused": {http.StatusUnprocessableEntity, client.CodeIdempotencyKeyReused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = func(op string, nth int) fault {
					switch {
					case op == "dequeue" && nth == 1:
						return fault{lost: true}
					case op == "dequeue" && nth == 2:
						return fault{status: fails.status, code: fails.code}
					}
					return fault{}
				}
				j := f.server.add("t", `null`)
				f.start(lasting(0))
				f.pass(time.Second)
				require.Equal(t, client.Finished, f.server.state(j))
				keys := f.keys()
				require.Equal(t, keys[0], keys[1])
				require.NotEqual(t, keys[1], keys[2])
			})
		})
	}
}

// It was granted when its first answer was lost, and has been silent ever since.
func TestALeaseThatIsHandedOverAgainIsAsOldAsItIs(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if op == "heartbeat" {
				return fault{delay: time.Second}
			}
			return fault{cut: nth == 1, lost: nth > 1 && time.Since(f.begun) < time.Minute}
		}
		f.server.add("t", `null`)
		var until time.Duration
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			until = run.ValidUntil().Sub(f.begun)
			time.Sleep(time.Second)
			return nil, nil
		}, func(o *client.WorkerOptions) { o.MaxBackoff = time.Second })
		f.pass(65 * time.Second)
		require.Equal(t, 120*time.Second, until)
		beats := f.since(f.server.seen("heartbeat"))
		require.Len(t, beats, 1)
		require.LessOrEqual(t, beats[0], 62*time.Second, "it was due 20 s ago")
	})
}

// A worker that was stopped, or a network that stood still, gets the answer of long ago.
func TestALeaseWhoseAnswerComesAfterItsTimeIsRunOnlyIfItLives(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"it was taken back": true, "the server was away too": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.pause, f.server.timeout = 5, 15
				f.server.faults = faultsOf("dequeue", 1, fault{slow: 40 * time.Second})
				j := f.server.add("t", `null`)
				var until []time.Duration
				f.start(func(_ context.Context, run *client.Run) (any, error) {
					until = append(until, run.ValidUntil().Sub(f.begun))
					return nil, nil
				})
				f.pass(30 * time.Second)
				f.server.set(j, func(j *fakeJob) { j.lost, j.lastBeat = lost, time.Now() })
				f.pass(20 * time.Second)
				if lost {
					require.Empty(t, until)
					return
				}
				require.Equal(t, []time.Duration{55 * time.Second}, until, "from the heartbeat that came before the run")
				require.Equal(t, `finish {"result":null}`, f.server.reported(j))
			})
		})
	}
}

func TestALeaseIsCountedFromItsRequestWhenItsAnswerTakesLong(t *testing.T) {
	t.Parallel()
	for name, concurrency := range map[string]int{"one": 1, "many": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("dequeue", 1, fault{slow: 35 * time.Second})
				f.server.add("t", `null`)
				var until time.Duration
				f.start(func(_ context.Context, run *client.Run) (any, error) {
					until = run.ValidUntil().Sub(f.begun)
					time.Sleep(50 * time.Second)
					return nil, nil
				}, slots(concurrency))
				f.pass(100 * time.Second)
				require.Equal(t, 120*time.Second, until)
				beats := f.since(f.server.seen("heartbeat"))
				require.NotEmpty(t, beats)
				require.LessOrEqual(t, beats[0], 80*time.Second, "there is time for another one")
			})
		})
	}
}
