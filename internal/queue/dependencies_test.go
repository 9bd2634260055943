package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var conditions = []queue.Condition{queue.IfSucceeded, queue.IfOver}

// dependent is a job with one dependency for each condition: depID first, then token's bytes as
// an id, then new ones.
func dependent(wants ...queue.Condition) queue.Job {
	j := queue.Job{Priority: 8}
	for i, want := range wants {
		id := []uuid.UUID{depID, token}
		j.Dependencies = append(j.Dependencies, queue.Edge{ID: id[i], If: want})
	}
	return j
}

// decided returns what the dependencies make of the job on their own: the state, who decides it
// if it is over, and how many are open.
func decided(j queue.Job, states ...queue.State) (want queue.State, cause uuid.UUID, open uint64) {
	want = queue.Pending
	for _, state := range states {
		if !state.Over() {
			open++
			want = queue.Blocked
		}
	}
	for i, state := range states {
		if j.Dependencies[i].If == queue.IfSucceeded && (state == queue.Failed || state == queue.Canceled) {
			return state, j.Dependencies[i].ID, 0 // the first in the order given decides
		}
	}
	return want, uuid.Nil, open
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	states := queue.States()
	for _, first := range conditions {
		for _, second := range conditions {
			for _, a := range states {
				for _, b := range states {
					t.Run(fmt.Sprint(first, a, second, b), func(t *testing.T) {
						t.Parallel()
						j := dependent(first, second)
						want, cause, open := decided(j, a, b)
						got, outcome := j.Admit([]queue.State{a, b}, then)
						require.Equal(t, want.String(), got.State.String())
						require.Equal(t, open, got.Open)
						require.Equal(t, then, got.Queued)
						require.Equal(t, 8, got.Priority)
						require.Equal(t, cause != uuid.Nil, got.ByDependency)
						require.Equal(t, uint64(1), got.Version)
						requireSound(t, got)
						requireCause(t, want, cause, outcome)
					})
				}
			}
		}
	}
}

func TestAdmitWithTimes(t *testing.T) {
	t.Parallel()
	soon, past := then.Add(time.Microsecond), then.Add(-time.Hour)
	for _, tc := range []struct {
		name             string
		runAt, expiresAt time.Time
		alone, blocked   queue.State // without a dependency, and with an open one
	}{
		{"at once", time.Time{}, time.Time{}, queue.Pending, queue.Blocked},
		{"run_at has passed", past, time.Time{}, queue.Pending, queue.Blocked},
		{"run_at is now", then, time.Time{}, queue.Pending, queue.Blocked},
		{"run_at is to come", soon, time.Time{}, queue.Scheduled, queue.Blocked},
		{"expires_at is to come", time.Time{}, soon, queue.Pending, queue.Blocked},
		{"both are to come", soon, soon.Add(1), queue.Scheduled, queue.Blocked},
		{"expires_at is now", time.Time{}, then, queue.Failed, queue.Failed},
		{"expires_at has passed", time.Time{}, past, queue.Failed, queue.Failed},
		{"both have passed", past.Add(-1), past, queue.Failed, queue.Failed},
	} {
		for i, want := range []queue.State{tc.alone, tc.blocked} {
			j := dependent([]queue.Condition{queue.IfSucceeded}[:i]...)
			j.RunAt, j.ExpiresAt = tc.runAt, tc.expiresAt
			got, outcome := j.Admit([]queue.State{queue.Running}[:i], then)
			require.Equal(t, want.String(), got.State.String(), tc.name)
			requireSound(t, got)
			require.Equal(t, tc.runAt, got.RunAt)
			if want != queue.Failed {
				require.Equal(t, tc.expiresAt, got.ExpiresAt)
				require.Nil(t, outcome)
				continue
			}
			require.Equal(t, queue.ReasonExpired, outcome.Error.Reason, tc.name)
			require.False(t, got.ByDependency, tc.name)
		}
	}
}

func TestADependencyDecidesBeforeTheExpiry(t *testing.T) {
	t.Parallel()
	j := dependent(queue.IfSucceeded)
	j.ExpiresAt = then
	got, outcome := j.Admit([]queue.State{queue.Canceled}, then)
	require.Equal(t, queue.Canceled, got.State)
	require.Nil(t, outcome)
	require.True(t, got.ByDependency)
}

func TestNoDependenciesIsPending(t *testing.T) {
	t.Parallel()
	got, outcome := (&queue.Job{}).Admit(nil, then)
	require.Equal(t, queue.Record{State: queue.Pending, Queued: then, Version: 1}, got)
	require.Nil(t, outcome)
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for _, condition := range conditions {
		for _, state := range []queue.State{queue.Finished, queue.Failed, queue.Canceled} {
			for _, runAt := range []time.Time{{}, now, now.Add(1)} {
				for open := uint64(1); open <= 3; open++ {
					r := record(queue.Blocked)
					r.Open, r.RunAt = open, runAt
					got, outcome := r.Settle(depID, condition, state, now)
					want := queue.Blocked
					switch {
					case condition == queue.IfSucceeded && state != queue.Finished:
						want = state
					case open > 1:
						require.Equal(t, open-1, got.Open)
					case runAt.After(now):
						want = queue.Scheduled
					default:
						want = queue.Pending
					}
					require.Equal(t, want.String(), got.State.String())
					require.Equal(t, want.Over(), got.ByDependency)
					require.Equal(t, want == queue.Blocked, got.Version == r.Version, "only what is shown makes a version")
					requireSound(t, got)
					requireCause(t, want, depID, outcome)
				}
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

func TestAReopenedDependencyIsWaitedForAgain(t *testing.T) {
	t.Parallel()
	for _, state := range []queue.State{queue.Scheduled, queue.Blocked, queue.Pending} {
		before := record(state)
		got := before.Reopen()
		require.Equal(t, before.Open+1, got.Open, "%s", state)
		for range before.Open + 1 {
			require.Equal(t, queue.Blocked, got.State)
			got, _ = got.Settle(depID, queue.IfOver, queue.Failed, now.Add(-1))
		}
		if state != queue.Blocked {
			require.Equal(t, state.String(), got.State.String(), "it is what it was before")
		}
		require.Equal(t, before.RunAt, got.RunAt)
		require.Equal(t, before.ExpiresAt, got.ExpiresAt, "%s", state)
	}
}

func TestARunningJobWaitsForAReopenedDependencyWhenItComesBack(t *testing.T) {
	t.Parallel()
	policy := &queue.RetryPolicy{MaxAttempts: 9, Initial: time.Hour, Factor: 1, Max: time.Hour}
	backs := map[string]func(queue.Record) (queue.Record, error){
		"lost": func(r queue.Record) (queue.Record, error) {
			next, _, err := r.RequeueOrFinish(9, queue.Outcome{}, now)
			return next, err
		},
		"released":  func(r queue.Record) (queue.Record, error) { return r.Release(0, now) },
		"failed":    func(r queue.Record) (queue.Record, error) { return r.Fail(retryable("x"), policy, 0, now) },
		"timed out": func(r queue.Record) (queue.Record, error) { return r.TimeOut(9, policy, 0, now) },
	}
	for name, back := range backs {
		running := record(queue.Running).Reopen()
		want, err := back(record(queue.Running))
		require.NoError(t, err)

		blocked, err := back(running)
		require.NoError(t, err)
		require.Equal(t, queue.Blocked, blocked.State, name)
		requireSound(t, blocked)
		require.Equal(t, want.Version, blocked.Version, name)
		got, _ := blocked.Settle(depID, queue.IfOver, queue.Failed, now)
		require.Equal(t, want.Version+1, got.Version, name)
		got.Version = want.Version
		require.Equal(t, want, got, "%s: then it goes on as it would have", name)

		settled, outcome := running.Settle(depID, queue.IfOver, queue.Finished, now)
		require.Nil(t, outcome)
		require.Equal(t, record(queue.Running), settled, "what runs, runs on")
		got, err = back(settled)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
	over, _, err := record(queue.Running).Reopen().RequeueOrFinish(0, queue.Outcome{}, now)
	require.NoError(t, err)
	require.Zero(t, over.Open)
}

func TestRenewBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, from := range []queue.State{queue.Failed, queue.Canceled} {
		for _, condition := range conditions {
			for _, state := range queue.States() {
				for _, runAt := range []time.Time{{}, now, now.Add(time.Hour)} {
					j := dependent(condition)
					j.ExpiresAt = then.Add(1) // which has passed, and counts no more
					before := record(from)
					before.ByDependency, before.RunAt = true, runAt
					got, err := j.Renew(before, []queue.State{state}, now)
					require.NoError(t, err)
					want, _, open := decided(j, state)
					if want.Over() {
						require.Equal(t, before, got, "it is left as it was where a dependency decides against it")
						continue
					}
					if want == queue.Pending && runAt.After(now) {
						want = queue.Scheduled
					}
					require.Equal(t, queue.Record{
						State: want, Attempt: before.Attempt, Generation: before.Generation + 1, Version: before.Version + 1,
						Open: open, Priority: before.Priority, Queued: before.Queued, RunAt: runAt,
					}, got, "%s, dependency %s %d", from, state, condition)
				}
			}
		}
	}
}

func TestUpdateChangesWhatIsGiven(t *testing.T) {
	t.Parallel()
	priority, same, other := -7, uint64(70), uint64(69)
	for _, state := range []queue.State{queue.Scheduled, queue.Blocked, queue.Pending} {
		before := record(state)
		got, err := before.Update(queue.Update{Priority: &priority, IfVersion: &same}, now.Add(-1))
		require.NoError(t, err)
		want := before
		want.Priority, want.Version = -7, 71
		require.Equal(t, want, got, "%s", state)

		for _, runAt := range []time.Time{{}, then, now, now.Add(1), expiry.Add(-time.Microsecond)} {
			got, err := before.Update(queue.Update{RunAt: &runAt}, now)
			require.NoError(t, err)
			require.Equal(t, 8, got.Priority)
			require.False(t, got.RunAt.Before(runAt), "it is never early")
			want := queue.Blocked
			if state != queue.Blocked {
				want = queue.Pending
				if runAt.After(now) {
					want = queue.Scheduled
				}
			}
			require.Equal(t, want.String(), got.State.String())
			requireSound(t, got)
		}
		for _, runAt := range []time.Time{expiry, expiry.Add(time.Hour)} {
			got, err := before.Update(queue.Update{RunAt: &runAt}, now)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "run_at", invalid.Field)
			require.Equal(t, before, got)
		}
		_, err = before.Update(queue.Update{Priority: &priority, IfVersion: &other}, now)
		require.ErrorIs(t, err, queue.ErrChanged)
	}
}

func TestAnUpdateOfAnotherVersionIsThatWhateverTheState(t *testing.T) {
	t.Parallel()
	other := uint64(69)
	for _, state := range queue.States() {
		_, err := record(state).Update(queue.Update{IfVersion: &other}, now)
		require.ErrorIs(t, err, queue.ErrChanged, "%s: the client knows less than it thinks", state)
	}
}
