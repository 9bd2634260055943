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
	then   = time.Date(2026, 11, 17, 9, 0, 0, 0, time.UTC)
	now    = then.Add(time.Minute) // when all changes are made that do not say otherwise
	expiry = then.Add(time.Hour)
	token  = uuid.MustParse("5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10")
	depID  = uuid.MustParse("01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03")
)

// record returns a record as it may stand in the state, with something in every field that
// may be set there.
func record(state queue.State) queue.Record {
	r := queue.Record{
		State: state, Attempt: 4, Retries: 1, Failures: 2, Timeouts: 3, Generation: 5, Version: 70,
		Priority: 8, Queued: then, RunAt: then, Worker: "w",
	}
	switch state {
	case queue.Scheduled:
		r.RunAt, r.ExpiresAt = now, expiry
	case queue.Blocked:
		r.Open, r.ExpiresAt = 2, expiry
	case queue.Pending:
		r.ExpiresAt = expiry
	case queue.Running:
		r.Token, r.Started, r.Principal = token, then, "key:w"
	case queue.Finished, queue.Failed, queue.Canceled:
		r.Started, r.Finished, r.Principal = then, then, "key:w"
	}
	return r
}

func retryable(reason string) queue.Failure {
	return queue.Failure{Error: queue.JobError{Reason: reason}, Retryable: true}
}

// threeAttempts lets the record of a running job fail once more: it has failed twice.
var threeAttempts = &queue.RetryPolicy{MaxAttempts: 4, Initial: time.Second, Factor: 2, Max: time.Minute}

// edges are all the changes there are, each as a function of the record it starts from.
var edges = map[string]func(queue.Record) (queue.Record, error){
	"grant": func(r queue.Record) (queue.Record, error) {
		return r.Grant(token, queue.Holder{Worker: "w2", Principal: "key:w2"}, now)
	},
	"grant expired": func(r queue.Record) (queue.Record, error) {
		return r.Grant(token, queue.Holder{Worker: "w2", Principal: "key:w2"}, expiry)
	},
	"finish": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(0, queue.Outcome{}, now)
		return next, err
	},
	"finish with an error": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(0, failure("x"), now)
		return next, err
	},
	"requeue": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(2, failure("x"), now)
		return next, err
	},
	"requeue too often": func(r queue.Record) (queue.Record, error) {
		next, _, err := r.RequeueOrFinish(1, failure("x"), now)
		return next, err
	},
	"fail": func(r queue.Record) (queue.Record, error) {
		return r.Fail(queue.Failure{Error: queue.JobError{Reason: "x"}}, threeAttempts, 0, now)
	},
	"fail without a policy": func(r queue.Record) (queue.Record, error) { return r.Fail(retryable("x"), nil, 0, now) },
	"fail with an attempt left": func(r queue.Record) (queue.Record, error) {
		return r.Fail(retryable("x"), threeAttempts, 0, now)
	},
	"fail with an attempt left, at once": func(r queue.Record) (queue.Record, error) {
		return r.Fail(retryable("x"), &queue.RetryPolicy{MaxAttempts: 4}, 0, now)
	},
	"fail with no attempt left": func(r queue.Record) (queue.Record, error) {
		return r.Fail(retryable("x"), &queue.RetryPolicy{MaxAttempts: 3, Initial: time.Second}, 0, now)
	},
	"time out": func(r queue.Record) (queue.Record, error) { return r.TimeOut(3, threeAttempts, 0, now) },
	"time out with a run left": func(r queue.Record) (queue.Record, error) {
		return r.TimeOut(4, nil, 0, now)
	},
	"time out with a run left, and a policy": func(r queue.Record) (queue.Record, error) {
		return r.TimeOut(4, threeAttempts, 0, now)
	},
	"release":              func(r queue.Record) (queue.Record, error) { return r.Release(0, now) },
	"release with a delay": func(r queue.Record) (queue.Record, error) { return r.Release(time.Second, now) },
	"cancel":               func(r queue.Record) (queue.Record, error) { return r.Cancel(now) },
	"due":                  func(r queue.Record) (queue.Record, error) { return r.Due(now), nil },
	"due too early":        func(r queue.Record) (queue.Record, error) { return r.Due(now.Add(-1)), nil },
	"expire":               func(r queue.Record) (queue.Record, error) { return r.Expire(expiry), nil },
	"expire too early":     func(r queue.Record) (queue.Record, error) { return r.Expire(expiry.Add(-1)), nil },
	"dependency finished":  settled(queue.IfSucceeded, queue.Finished),
	"dependency failed":    settled(queue.IfSucceeded, queue.Failed),
	"dependency canceled":  settled(queue.IfSucceeded, queue.Canceled),
	"dependency over":      settled(queue.IfOver, queue.Failed),
	"dependency reopened":  func(r queue.Record) (queue.Record, error) { return r.Reopen(), nil },
	"update":               func(r queue.Record) (queue.Record, error) { return r.Update(queue.Update{Priority: new(-9)}, now) },
	"update to later": func(r queue.Record) (queue.Record, error) {
		at := now.Add(1)
		return r.Update(queue.Update{RunAt: &at}, now)
	},
	"update to at once": func(r queue.Record) (queue.Record, error) {
		return r.Update(queue.Update{RunAt: &time.Time{}}, now)
	},
	"update of another version": func(r queue.Record) (queue.Record, error) {
		version := r.Version + 1
		return r.Update(queue.Update{IfVersion: &version}, now)
	},
	"update expired": func(r queue.Record) (queue.Record, error) { return r.Update(queue.Update{}, expiry) },
	"renew": func(r queue.Record) (queue.Record, error) {
		return (&queue.Job{}).Renew(r, nil, now)
	},
	"renew against a dependency": func(r queue.Record) (queue.Record, error) {
		j := queue.Job{Dependencies: []queue.Edge{{ID: depID, If: queue.IfSucceeded}}}
		return j.Renew(r, []queue.State{queue.Failed}, now)
	},
	"note": func(r queue.Record) (queue.Record, error) { return r.Note(), nil },
}

func settled(condition queue.Condition, state queue.State) func(queue.Record) (queue.Record, error) {
	return func(r queue.Record) (queue.Record, error) {
		next, _ := r.Settle(depID, condition, state, now)
		return next, nil
	}
}

// legal is the whole state machine: where each change leads from each state. What is not here
// leaves the record as it is.
var legal = map[queue.State]map[string]queue.State{
	queue.Scheduled: {
		"due": queue.Pending, "expire": queue.Failed, "cancel": queue.Canceled, "dependency reopened": queue.Blocked,
		"update": queue.Scheduled, "update to later": queue.Scheduled, "update to at once": queue.Pending,
		"note": queue.Scheduled,
	},
	queue.Blocked: {
		"expire": queue.Failed, "cancel": queue.Canceled,
		"dependency finished": queue.Blocked, "dependency over": queue.Blocked, // of two
		"dependency failed": queue.Failed, "dependency canceled": queue.Canceled, "dependency reopened": queue.Blocked,
		"update": queue.Blocked, "update to later": queue.Blocked, "update to at once": queue.Blocked,
		"note": queue.Blocked,
	},
	queue.Pending: {
		"grant": queue.Running, "expire": queue.Failed, "cancel": queue.Canceled, "dependency reopened": queue.Blocked,
		"update": queue.Pending, "update to later": queue.Scheduled, "update to at once": queue.Pending,
		"note": queue.Pending,
	},
	queue.Running: {
		"finish": queue.Finished, "finish with an error": queue.Failed,
		"requeue": queue.Pending, "requeue too often": queue.Failed,
		"fail": queue.Failed, "fail without a policy": queue.Failed, "fail with no attempt left": queue.Failed,
		"fail with an attempt left": queue.Scheduled, "fail with an attempt left, at once": queue.Pending,
		"time out": queue.Failed, "time out with a run left": queue.Pending,
		"time out with a run left, and a policy": queue.Scheduled,
		"release":                                queue.Pending, "release with a delay": queue.Scheduled, "cancel": queue.Canceled,
		"dependency reopened": queue.Running, "note": queue.Running,
	},
	queue.Finished: {"note": queue.Finished},
	queue.Failed:   {"note": queue.Failed, "renew": queue.Pending},
	queue.Canceled: {"note": queue.Canceled, "renew": queue.Pending},
}

// silent are the changes that leave what is shown as it was, so that the version stays.
var silent = map[queue.State]map[string]bool{
	queue.Blocked: {"dependency finished": true, "dependency over": true, "dependency reopened": true},
	queue.Running: {"dependency reopened": true},
}

// refusals are the errors of changes that are not legal; the others are no error.
var refusals = map[string]error{
	"grant": queue.ErrNotPending, "grant expired": queue.ErrNotPending,
	"finish": queue.ErrNotRunning, "finish with an error": queue.ErrNotRunning,
	"requeue": queue.ErrNotRunning, "requeue too often": queue.ErrNotRunning,
	"fail": queue.ErrNotRunning, "fail without a policy": queue.ErrNotRunning, "fail with no attempt left": queue.ErrNotRunning,
	"fail with an attempt left": queue.ErrNotRunning, "fail with an attempt left, at once": queue.ErrNotRunning,
	"time out": queue.ErrNotRunning, "time out with a run left": queue.ErrNotRunning,
	"time out with a run left, and a policy": queue.ErrNotRunning,
	"release":                                queue.ErrNotRunning, "release with a delay": queue.ErrNotRunning, "cancel": queue.ErrNotRunning,
	"update": queue.ErrNotPending, "update to later": queue.ErrNotPending, "update to at once": queue.ErrNotPending,
	"update expired": queue.ErrNotPending, "update of another version": queue.ErrChanged,
	"renew": queue.ErrNotFailed, "renew against a dependency": queue.ErrNotFailed,
}

// allowed are the changes that are no error although they change nothing.
var allowed = map[queue.State][]string{
	queue.Failed:   {"renew against a dependency"},
	queue.Canceled: {"renew against a dependency", "cancel"},
}

func TestEveryEdgeOfTheStateMachine(t *testing.T) {
	t.Parallel()
	for _, from := range queue.States() {
		for name, edge := range edges {
			t.Run(fmt.Sprintf("%s/%s", from, name), func(t *testing.T) {
				t.Parallel()
				before := record(from)
				got, err := edge(before)
				require.Equal(t, record(from), before, "a rule never changes what it was given")
				to, ok := legal[from][name]
				if !ok {
					want := refusals[name]
					for _, is := range allowed[from] {
						if is == name {
							want = nil
						}
					}
					require.ErrorIs(t, err, want)
					require.Equal(t, before, got, "a refused change leaves the record as it is")
					return
				}
				require.NoError(t, err)
				require.Equal(t, to.String(), got.State.String())
				requireSound(t, got)
				require.Equal(t, before.Queued, got.Queued)
				version := before.Version + 1
				if silent[from][name] {
					version = before.Version
				}
				require.Equal(t, version, got.Version, "one change is one version")
			})
		}
	}
}

// requireSound requires what holds of every record.
func requireSound(t *testing.T, r queue.Record) {
	t.Helper()
	require.Equal(t, r.State == queue.Running, r.Token != uuid.Nil, "a token if and only if it runs")
	require.Equal(t, r.State.Over(), !r.Finished.IsZero(), "a finish time if and only if it is over")
	if r.State == queue.Running {
		require.False(t, r.Started.IsZero(), "what runs has started")
	} else {
		require.Equal(t, r.State == queue.Blocked, r.Open > 0, "what waits is blocked if and only if something is open")
	}
	if r.State.Waiting() {
		require.True(t, r.Started.IsZero(), "what waits has not started")
		require.Empty(t, r.Principal, "what waits has no lease")
	} else {
		require.True(t, r.ExpiresAt.IsZero(), "only what waits expires")
	}
}

func TestTheTableNamesOnlyEdgesThatAre(t *testing.T) {
	t.Parallel()
	tables := []map[string]queue.State{}
	for _, to := range legal {
		tables = append(tables, to)
	}
	for _, table := range tables {
		for name := range table {
			require.Contains(t, edges, name)
		}
	}
	for name := range refusals {
		require.Contains(t, edges, name)
	}
}

func TestGrantCountsAttemptsAndEndsTheExpiry(t *testing.T) {
	t.Parallel()
	want := record(queue.Pending)
	want.State, want.Attempt, want.Version, want.Token, want.Started = queue.Running, 5, 71, token, now
	want.Worker, want.Principal = "w2", "key:w2"
	want.ExpiresAt = time.Time{}
	got, err := record(queue.Pending).Grant(token, queue.Holder{Worker: "w2", Principal: "key:w2"}, now)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestDueAndExpireAreNeverEarlyNorLate(t *testing.T) {
	t.Parallel()
	for offset, wantDue := range map[time.Duration]queue.State{
		-time.Microsecond: queue.Scheduled, 0: queue.Pending, time.Hour: queue.Pending,
	} {
		require.Equal(t, wantDue.String(), record(queue.Scheduled).Due(now.Add(offset)).State.String(), "%s", offset)
	}
	for _, state := range []queue.State{queue.Scheduled, queue.Blocked, queue.Pending} {
		for offset, want := range map[time.Duration]bool{-time.Microsecond: false, 0: true, time.Hour: true} {
			r := record(state)
			require.Equal(t, want, r.Expired(expiry.Add(offset)), "%s %s", state, offset)
			got := r.Expire(expiry.Add(offset))
			require.Equal(t, want, got.State == queue.Failed, "%s %s", state, offset)
			require.False(t, got.ByDependency)
		}
		r := record(state)
		r.ExpiresAt = time.Time{}
		require.False(t, r.Expired(expiry), "a job without expires_at never expires")
	}
	require.Equal(t, queue.ReasonExpired, queue.ExpiredOutcome().Error.Reason)
}

func TestStatesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for state, want := range map[queue.State][2]bool{ // waiting, over
		queue.Scheduled: {true, false}, queue.Blocked: {true, false}, queue.Pending: {true, false}, queue.Running: {false, false},
		queue.Finished: {false, true}, queue.Failed: {false, true}, queue.Canceled: {false, true}, 0: {false, false},
	} {
		require.Equal(t, want, [2]bool{state.Waiting(), state.Over()}, "%s", state)
	}
}
