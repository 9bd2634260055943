package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var (
	then  = time.Date(2026, 11, 17, 9, 0, 0, 0, time.UTC)
	later = then.Add(time.Minute)
	token = uuid.MustParse("5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10")
	depID = uuid.MustParse("01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03")
)

// record returns a record as it may stand in the state, with something in every field that
// may be set there.
func record(state queue.State) queue.Record {
	r := queue.Record{State: state, Attempt: 4, Retries: 1, Queued: then, Worker: "w"}
	switch state {
	case queue.Blocked:
		r.Open = 2
	case queue.Pending:
	case queue.Running:
		r.Token, r.Started = token, then
	case queue.Finished, queue.Failed, queue.Canceled:
		r.Started, r.Finished = then, then
	}
	return r
}

// edges are all the changes there are, each as a function of the record it starts from.
var edges = map[string]func(queue.Record) (queue.Record, error){
	"grant": func(r queue.Record) (queue.Record, error) { return r.Grant(token, "w2", later) },
	"finish": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(0, queue.Outcome{}, later)
		return next, err
	},
	"fail": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(0, queue.Outcome{Error: &queue.JobError{Reason: "x"}}, later)
		return next, err
	},
	"requeue": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(2, queue.Outcome{Error: &queue.JobError{Reason: "x"}}, later)
		return next, err
	},
	"release": func(r queue.Record) (queue.Record, error) { return r.Release() },
	"cancel":  func(r queue.Record) (queue.Record, error) { return r.Cancel(later) },
	"dependency finished": func(r queue.Record) (queue.Record, error) {
		next, _ := r.Settle(queue.AllSucceeded, depID, queue.Finished, later)
		return next, nil
	},
	"dependency failed": func(r queue.Record) (queue.Record, error) {
		next, _ := r.Settle(queue.AllSucceeded, depID, queue.Failed, later)
		return next, nil
	},
	"dependency canceled": func(r queue.Record) (queue.Record, error) {
		next, _ := r.Settle(queue.AllSucceeded, depID, queue.Canceled, later)
		return next, nil
	},
}

// legal is the whole state machine: where each change leads from each state. What is not here
// leaves the record as it is.
var legal = map[queue.State]map[string]queue.State{
	queue.Blocked: {
		"cancel": queue.Canceled, "dependency failed": queue.Failed, "dependency canceled": queue.Canceled,
		"dependency finished": queue.Blocked, // of two
	},
	queue.Pending: {"grant": queue.Running, "cancel": queue.Canceled},
	queue.Running: {
		"finish": queue.Finished, "fail": queue.Failed, "requeue": queue.Pending,
		"release": queue.Pending, "cancel": queue.Canceled,
	},
	queue.Finished: {},
	queue.Failed:   {},
	queue.Canceled: {},
}

// refusals are the errors of changes that are not legal; the others are silent.
var refusals = map[string]error{
	"grant": queue.ErrNotPending, "finish": queue.ErrNotRunning, "fail": queue.ErrNotRunning,
	"requeue": queue.ErrNotRunning, "release": queue.ErrNotRunning, "cancel": queue.ErrNotRunning,
}

func TestEveryEdgeOfTheStateMachine(t *testing.T) {
	t.Parallel()
	for _, from := range queue.States() {
		for name, edge := range edges {
			t.Run(fmt.Sprintf("%s/%s", from, name), func(t *testing.T) {
				t.Parallel()
				before := record(from)
				got, err := edge(before)
				to, ok := legal[from][name]
				if !ok {
					want := refusals[name]
					if name == "cancel" && from == queue.Canceled {
						want = nil // again is no error
					}
					require.ErrorIs(t, err, want)
					require.Equal(t, before, got, "a refused change leaves the record as it is")
					return
				}
				require.NoError(t, err)
				require.Equal(t, to.String(), got.State.String())
				require.Equal(t, before.Queued, got.Queued)
				require.Equal(t, to == queue.Running, got.Token != uuid.Nil, "a token if and only if it runs")
				require.Equal(t, to.Over(), !got.Finished.IsZero(), "a finish time if and only if it is over")
				if to == queue.Pending {
					require.True(t, got.Started.IsZero(), "what waits has not started")
				}
				if to != queue.Blocked {
					require.Zero(t, got.Open)
				}
			})
		}
	}
}

func TestGrantCountsAttempts(t *testing.T) {
	t.Parallel()
	got, err := record(queue.Pending).Grant(token, "w2", later)
	require.NoError(t, err)
	require.Equal(t, queue.Record{
		State: queue.Running, Attempt: 5, Retries: 1, Queued: then, Started: later, Token: token, Worker: "w2",
	}, got)
}

func TestRequeueCounting(t *testing.T) {
	t.Parallel()
	lost := queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}}
	for retries := range uint64(5) {
		for maxRetries := range uint64(5) {
			r := record(queue.Running)
			r.Retries = retries
			got, end, err := r.RequeueOrFinish(maxRetries, lost, later)
			require.NoError(t, err)
			require.Equal(t, queue.EndLost, end, "its worker went silent, whatever becomes of the job")
			if retries < maxRetries {
				require.Equal(t, queue.Pending, got.State)
				require.Equal(t, retries+1, got.Retries)
			} else {
				require.Equal(t, queue.Failed, got.State)
				require.Equal(t, retries, got.Retries)
			}
			require.Equal(t, r.Attempt, got.Attempt)
		}
	}
}

func TestAReportEndsTheLeaseAsReported(t *testing.T) {
	t.Parallel()
	for _, outcome := range []queue.Outcome{{}, {Error: &queue.JobError{Reason: "broken"}}} {
		_, end, err := record(queue.Running).RequeueOrFinish(0, outcome, later)
		require.NoError(t, err)
		require.Equal(t, queue.EndReported, end)
	}
}

func TestReleaseCostsNothing(t *testing.T) {
	t.Parallel()
	before := record(queue.Running)
	got, err := before.Release()
	require.NoError(t, err)
	require.Equal(t, before.Retries, got.Retries)
	require.Equal(t, before.Attempt, got.Attempt)
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	states := queue.States()
	for _, runIf := range []queue.RunIf{queue.AllSucceeded, queue.AllFinished} {
		for _, a := range states {
			for _, b := range states {
				t.Run(fmt.Sprintf("%s/%s,%s", runIf, a, b), func(t *testing.T) {
					t.Parallel()
					got, outcome := queue.Admit(runIf, []queue.Dependency{{ID: depID, State: a}, {ID: token, State: b}}, then)
					want := queue.Pending
					cause := uuid.Nil
					open := uint64(0)
					for _, d := range []queue.State{a, b} {
						if !d.Over() {
							open++
							want = queue.Blocked
						}
					}
					if runIf == queue.AllSucceeded {
						// The first in the order given decides.
						switch {
						case a == queue.Failed || a == queue.Canceled:
							want, cause = a, depID
						case b == queue.Failed || b == queue.Canceled:
							want, cause = b, token
						}
					}
					require.Equal(t, want.String(), got.State.String())
					require.Equal(t, then, got.Queued)
					require.Equal(t, want.Over(), !got.Finished.IsZero())
					if want == queue.Blocked {
						require.Equal(t, open, got.Open)
					} else {
						require.Zero(t, got.Open)
					}
					requireCause(t, want, cause, outcome)
				})
			}
		}
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for _, runIf := range []queue.RunIf{queue.AllSucceeded, queue.AllFinished} {
		for _, state := range []queue.State{queue.Finished, queue.Failed, queue.Canceled} {
			for open := uint64(1); open <= 3; open++ {
				r := record(queue.Blocked)
				r.Open = open
				got, outcome := r.Settle(runIf, depID, state, later)
				want := queue.Blocked
				if open == 1 {
					want = queue.Pending
				}
				if runIf == queue.AllSucceeded && state != queue.Finished {
					want = state
				}
				require.Equal(t, want, got.State)
				if want == queue.Blocked {
					require.Equal(t, open-1, got.Open)
				} else {
					require.Zero(t, got.Open)
				}
				requireCause(t, want, depID, outcome)
			}
		}
	}
}

func requireCause(t *testing.T, state queue.State, cause uuid.UUID, outcome *queue.Outcome) {
	t.Helper()
	if state != queue.Failed {
		require.Nil(t, outcome)
		return
	}
	require.Equal(t, queue.ReasonDependencyFailed, outcome.Error.Reason)
	require.JSONEq(t, fmt.Sprintf(`{"dependency": %q}`, cause), string(outcome.Error.Details))
}

func TestNoDependenciesIsPending(t *testing.T) {
	t.Parallel()
	got, outcome := queue.Admit(queue.AllSucceeded, nil, then)
	require.Equal(t, queue.Record{State: queue.Pending, Queued: then}, got)
	require.Nil(t, outcome)
}
