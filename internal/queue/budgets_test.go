package queue_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestRequeueCounting(t *testing.T) {
	t.Parallel()
	lost := failure(queue.ReasonHeartbeatLost)
	for retries := range uint64(5) {
		for maxRetries := range uint64(5) {
			r := record(queue.Running)
			r.Retries = retries
			got, end, err := r.RequeueOrFinish(maxRetries, lost, now)
			require.NoError(t, err)
			require.Equal(t, queue.EndLost, end, "its worker went silent, whatever becomes of the job")
			want := queue.Pending
			if retries < maxRetries {
				require.Equal(t, retries+1, got.Retries)
			} else {
				want = queue.Failed
				require.Equal(t, retries, got.Retries)
			}
			require.Equal(t, want, got.State)
			require.Equal(t, r.Attempt, got.Attempt)
			require.Equal(t, r.RunAt, got.RunAt, "it need not wait")
		}
	}
}

func TestAReportEndsTheLeaseAsReported(t *testing.T) {
	t.Parallel()
	for _, outcome := range []queue.Outcome{{}, failure("broken")} {
		_, end, err := record(queue.Running).RequeueOrFinish(0, outcome, now)
		require.NoError(t, err)
		require.Equal(t, queue.EndReported, end)
	}
}

func TestFailureCounting(t *testing.T) {
	t.Parallel()
	for failures := range uint64(4) {
		for attempts := uint64(1); attempts <= 4; attempts++ {
			for _, failure := range []queue.Failure{{Error: queue.JobError{Reason: "x"}}, retryable("x")} {
				r := record(queue.Running)
				r.Failures = failures
				policy := &queue.RetryPolicy{MaxAttempts: attempts, Initial: time.Minute, Factor: 2, Max: time.Hour}
				got, err := r.Fail(failure, policy, 0, now)
				require.NoError(t, err)
				require.Equal(t, failures+1, got.Failures, "each one counts")
				if !failure.Retryable || failures+1 >= attempts {
					require.Equal(t, queue.Failed, got.State)
					require.Equal(t, r.RunAt, got.RunAt)
					continue
				}
				require.Equal(t, queue.Scheduled, got.State)
				require.Equal(t, now.Add(time.Minute<<failures), got.RunAt)
			}
		}
	}
}

func TestTheWorkersWaitWins(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]queue.State{0: queue.Pending, time.Hour: queue.Scheduled} {
		failure := retryable("x")
		failure.RetryAfter = &wait
		got, err := record(queue.Running).Fail(failure, threeAttempts, 0, now)
		require.NoError(t, err)
		require.Equal(t, want, got.State)
		if want == queue.Scheduled {
			require.Equal(t, now.Add(wait), got.RunAt)
		}
		got, err = record(queue.Running).Fail(failure, nil, 0, now)
		require.NoError(t, err)
		require.Equal(t, queue.Failed, got.State, "it does not grant an attempt that the job's policy does not have")
	}
}

func TestTimeoutCounting(t *testing.T) {
	t.Parallel()
	for timeouts := range uint64(4) {
		for maxTimeouts := range uint64(4) {
			r := record(queue.Running)
			r.Timeouts = timeouts
			got, err := r.TimeOut(maxTimeouts, threeAttempts, 0, now)
			require.NoError(t, err)
			require.Equal(t, timeouts+1, got.Timeouts)
			if timeouts+1 > maxTimeouts {
				require.Equal(t, queue.Failed, got.State)
				continue
			}
			require.Equal(t, queue.Scheduled, got.State)
			require.Equal(t, now.Add(time.Second<<timeouts), got.RunAt, "it waits as long as after as many failures")
		}
	}
	require.Equal(t, queue.ReasonTimeout, queue.TimeoutOutcome().Error.Reason)
}

// GUARANTEES S9.
func TestBudgetsAreSeparate(t *testing.T) {
	t.Parallel()
	type counts struct{ retries, failures, timeouts uint64 }
	policy := &queue.RetryPolicy{MaxAttempts: 2}
	changes := []struct {
		name string
		cost counts
		end  func(queue.Record) (queue.Record, error)
	}{
		{"silence", counts{retries: 1}, func(r queue.Record) (queue.Record, error) {
			next, _, err := r.RequeueOrFinish(1, failure(queue.ReasonHeartbeatLost), now)
			return next, err
		}},
		{"failure", counts{failures: 1}, func(r queue.Record) (queue.Record, error) { return r.Fail(retryable("x"), policy, 0, now) }},
		{"timeout", counts{timeouts: 1}, func(r queue.Record) (queue.Record, error) { return r.TimeOut(1, policy, 0, now) }},
		{"release", counts{}, func(r queue.Record) (queue.Record, error) { return r.Release(0, now) }},
	}
	r := record(queue.Running)
	r.Retries, r.Failures, r.Timeouts = 0, 0, 0
	var want counts
	for _, change := range changes {
		got, err := change.end(r)
		require.NoError(t, err)
		require.Equal(t, queue.Pending.String(), got.State.String(), "one of each is survived: %s", change.name)
		want.retries += change.cost.retries
		want.failures += change.cost.failures
		want.timeouts += change.cost.timeouts
		require.Equal(t, want, counts{got.Retries, got.Failures, got.Timeouts}, change.name)
		r, err = got.Grant(token, queue.Holder{Worker: "w"}, now)
		require.NoError(t, err)
	}
	for _, change := range changes[:3] {
		got, err := change.end(r)
		require.NoError(t, err)
		require.Equal(t, queue.Failed.String(), got.State.String(), "a second one of each is not: %s", change.name)
	}
}

func TestReleaseCostsNothing(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]queue.State{0: queue.Pending, time.Nanosecond: queue.Scheduled, time.Hour: queue.Scheduled} {
		before := record(queue.Running)
		got, err := before.Release(delay, now)
		require.NoError(t, err)
		require.Equal(t, want, got.State)
		require.Equal(t,
			[]uint64{before.Retries, before.Failures, before.Timeouts, before.Attempt},
			[]uint64{got.Retries, got.Failures, got.Timeouts, got.Attempt})
		require.False(t, got.State == queue.Scheduled && got.RunAt.Before(now.Add(delay)), "it is not handed out earlier")
	}
}

func TestDelayGrowsUpToItsBound(t *testing.T) {
	t.Parallel()
	policy := queue.RetryPolicy{MaxAttempts: 10, Initial: 3 * time.Second, Factor: 2, Max: 20 * time.Second}
	for failures, want := range map[uint64]time.Duration{0: 0, 1: 3 * time.Second, 2: 6 * time.Second, 3: 12 * time.Second, 4: 20 * time.Second, 1000: 20 * time.Second} {
		require.Equal(t, want, policy.Delay(failures, 0.99), "after %d", failures)
	}
	policy.Jitter = 0.5
	require.Equal(t, 3*time.Second, policy.Delay(1, 0))
	require.Equal(t, 2250*time.Millisecond, policy.Delay(1, 0.5), "the wait is shorter by up to the part that is left to chance")
	require.Zero(t, queue.RetryPolicy{}.Delay(1, 0))
}

func TestDelayHoldsItsBoundsWhateverThePolicy(t *testing.T) {
	t.Parallel()
	duration := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(queue.MaxDelay)).Draw(t, "ns"))
	})
	rapid.Check(t, func(t *rapid.T) {
		policy := queue.RetryPolicy{
			MaxAttempts: queue.MaxRetriesLimit,
			Initial:     duration.Draw(t, "initial"),
			Factor:      rapid.Float64Range(1, queue.MaxRetryFactor).Draw(t, "factor"),
			Jitter:      rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		policy.Max = max(policy.Initial, duration.Draw(t, "max"))
		failures := rapid.OneOf(rapid.Uint64Range(0, 1100), rapid.Just(uint64(1e6)), rapid.Just(uint64(math.MaxUint64))).Draw(t, "failures")
		random := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random")
		got := policy.Delay(failures, random)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, policy.Max)

		steady := policy
		steady.Jitter = 0
		whole := steady.Delay(failures, random)
		require.LessOrEqual(t, got, whole, "chance only shortens")
		if failures > 0 {
			require.GreaterOrEqual(t, whole, policy.Initial-rounding(policy.Initial))
			// One nanosecond for each of the two that were cut off.
			least := time.Duration(float64(whole) * (1 - policy.Jitter))
			require.GreaterOrEqual(t, got, least-2*time.Nanosecond-rounding(whole), "and by no more than the part that is left to it")
		}
	})
}

func TestDelayWithoutJitterNeverShrinks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy := queue.RetryPolicy{
			Initial: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "initial")),
			Factor:  1 + float64(rapid.IntRange(0, 999_000).Draw(t, "thousandths"))/1000,
			Max:     time.Duration(rapid.Int64Range(int64(time.Hour), int64(queue.MaxDelay)).Draw(t, "max")),
		}
		before := time.Duration(0)
		for failures := range uint64(200) {
			got := policy.Delay(failures, 0)
			require.GreaterOrEqual(t, got, before, "after %d failures", failures)
			before = got
		}
	})
}

func TestDelayDoesNotOverflow(t *testing.T) {
	t.Parallel()
	for _, initial := range []time.Duration{1, time.Second, queue.MaxDelay} {
		policy := queue.RetryPolicy{Initial: initial, Factor: queue.MaxRetryFactor, Max: queue.MaxDelay}
		for _, failures := range []uint64{7, 100, 1e6, math.MaxUint64} {
			require.Equal(t, queue.MaxDelay, policy.Delay(failures, 0), "%s after %d", initial, failures)
		}
	}
	require.Zero(t, queue.RetryPolicy{Factor: queue.MaxRetryFactor, Max: time.Hour}.Delay(1e6, 0), "no wait, however often it is multiplied")
	require.Equal(t, time.Hour, queue.RetryPolicy{Initial: time.Second, Factor: math.NaN(), Max: time.Hour}.Delay(2, 0), "not a number is the most")
}

// rounding is what floating point may be wrong by at that size.
func rounding(d time.Duration) time.Duration { return d/(1<<52) + 1 }
