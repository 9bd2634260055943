package limit_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// store counts jobs by channel.
type store struct {
	mu    sync.Mutex // guards all below
	jobs  map[string]int64
	asked int
	err   error
}

func (s *store) count(_ context.Context, channels []string) (map[string]queue.Amount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	counts := make(map[string]queue.Amount)
	for _, channel := range channels {
		counts[channel] = queue.Amount{Jobs: s.jobs[channel], Bytes: queue.UnknownBytes}
	}
	return counts, s.err
}

func (s *store) add(channel string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[channel] += n
}

func one(channel string, n int64) map[string]queue.Amount {
	return map[string]queue.Amount{channel: {Jobs: n}}
}

func TestAChannelIsFilledToItsQuotaAndNoFurther(t *testing.T) {
	t.Parallel()
	s := &store{jobs: map[string]int64{"a": 8}}
	quota := limit.NewQuota(queue.Amount{Jobs: 10}, 0, s.count)
	require.NoError(t, quota.Reserve(t.Context(), one("a", 2), start))
	s.add("a", 2)
	quota.Release(one("a", 2), one("a", 2))
	var full *limit.QuotaError
	require.ErrorAs(t, quota.Reserve(t.Context(), one("a", 1), start), &full)
	require.Equal(t, limit.QuotaError{Channel: "a", Limit: 10}, *full)
	require.NoError(t, quota.Reserve(t.Context(), one("b", 10), start), "another channel")
	quota.Release(one("b", 10), one("b", 10))
	s.add("a", -1)
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start), "a job was over")
	quota.Release(one("a", 1), one("a", 1))
}

func TestAQuotaIsForAllJobsOfACallOrNone(t *testing.T) {
	t.Parallel()
	s := &store{jobs: map[string]int64{"a": 9, "b": 10}}
	quota := limit.NewQuota(queue.Amount{Jobs: 10}, 0, s.count)
	require.ErrorContains(t, quota.Reserve(t.Context(), map[string]queue.Amount{"a": {Jobs: 1}, "b": {Jobs: 1}}, start), "channel b")
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start), "nothing was kept of it")
}

func TestWhatIsBeingAddedCountsUntilItIsThereOrNot(t *testing.T) {
	t.Parallel()
	s := &store{jobs: make(map[string]int64)}
	quota := limit.NewQuota(queue.Amount{Jobs: 2}, 0, s.count)
	require.NoError(t, quota.Reserve(t.Context(), one("a", 2), start))
	require.Error(t, quota.Reserve(t.Context(), one("a", 1), start))
	quota.Release(one("a", 2), nil)
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start))
	s.err = errors.New("the store is away")
	require.ErrorIs(t, quota.Reserve(t.Context(), one("a", 1), start), s.err)
	s.err = nil
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start))
}

func TestOfWhatWasWantedOnlyThatCountsWhichWasAdded(t *testing.T) {
	t.Parallel()
	s := &store{jobs: make(map[string]int64)}
	quota := limit.NewQuota(queue.Amount{Jobs: 3}, time.Hour, s.count)
	for _, added := range []map[string]queue.Amount{nil, one("a", 1), {}, one("a", 1)} {
		require.NoError(t, quota.Reserve(t.Context(), one("a", 2), start))
		require.Error(t, quota.Reserve(t.Context(), one("a", 2), start), "until it is known")
		quota.Release(one("a", 2), added)
	}
	require.Error(t, quota.Reserve(t.Context(), one("a", 2), start))
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start))
}

func TestWhatTheStoreSaidIsGoodForAWhile(t *testing.T) {
	t.Parallel()
	s := &store{jobs: make(map[string]int64)}
	quota := limit.NewQuota(queue.Amount{Jobs: 5}, time.Second, s.count)
	for range 5 {
		require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start))
		quota.Release(one("a", 1), one("a", 1))
	}
	require.Equal(t, 1, s.asked)
	require.Error(t, quota.Reserve(t.Context(), one("a", 1), start), "by what this server has added")
	require.NoError(t, quota.Reserve(t.Context(), one("a", 1), start.Add(time.Second)), "all of them were over since")
	require.Equal(t, 2, s.asked)
}

func TestCallersThatAddAtOnceNeverGoOverTheQuota(t *testing.T) {
	t.Parallel()
	s := &store{jobs: make(map[string]int64)}
	quota := limit.NewQuota(queue.Amount{Jobs: 50}, 0, s.count)
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			for range 200 {
				if quota.Reserve(t.Context(), one("a", 1), start) == nil {
					s.add("a", 1)
					quota.Release(one("a", 1), one("a", 1))
				}
			}
		})
	}
	adding.Wait()
	require.EqualValues(t, 50, s.jobs["a"])
}

func TestChannelsThatNobodyAddsToAreForgotten(t *testing.T) {
	t.Parallel()
	s := &store{jobs: make(map[string]int64)}
	quota := limit.NewQuota(queue.Amount{Jobs: 1}, time.Second, s.count)
	for i := range 10_000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		require.NoError(t, quota.Reserve(t.Context(), one(strconv.Itoa(i), 1), now))
		quota.Release(one(strconv.Itoa(i), 1), one(strconv.Itoa(i), 1))
	}
	require.Error(t, quota.Reserve(t.Context(), one("9999", 1), start.Add(9999*time.Millisecond)), "it is known that it is full")
}

func TestAQuotaOfJobsAndBytesIsKeptInBoth(t *testing.T) {
	t.Parallel()
	stored := map[string]queue.Amount{"a": {Jobs: 1, Bytes: 60}, "b": {Bytes: queue.UnknownBytes}}
	quota := limit.NewQuota(queue.Amount{Jobs: 3, Bytes: 100}, time.Hour, func(context.Context, []string) (map[string]queue.Amount, error) {
		return stored, nil
	})
	try := func(wanted map[string]queue.Amount) error {
		err := quota.Reserve(t.Context(), wanted, start)
		if err == nil {
			quota.Release(wanted, wanted)
		}
		return err
	}
	var full *limit.QuotaError
	require.ErrorAs(t, try(map[string]queue.Amount{"a": {Jobs: 1, Bytes: 41}, "c": {Jobs: 1, Bytes: 1}}), &full)
	require.Equal(t, limit.QuotaError{Channel: "a", Limit: 100, Bytes: true}, *full)
	require.EqualError(t, full, "channel a may have 100 bytes of args in jobs that are not over")
	require.NoError(t, try(map[string]queue.Amount{"a": {Jobs: 1, Bytes: 40}}), "nothing was kept of it")
	require.ErrorAs(t, try(map[string]queue.Amount{"a": {Jobs: 1, Bytes: 1}}), &full)
	require.True(t, full.Bytes)
	require.NoError(t, try(map[string]queue.Amount{"a": {Jobs: 1}}))
	require.ErrorAs(t, try(map[string]queue.Amount{"a": {Jobs: 1}}), &full)
	require.Equal(t, limit.QuotaError{Channel: "a", Limit: 3}, *full)
	// Where nobody knows how much there is, only what this server adds counts.
	require.NoError(t, try(map[string]queue.Amount{"b": {Jobs: 1, Bytes: 100}}))
	require.Error(t, try(map[string]queue.Amount{"b": {Jobs: 1, Bytes: 1}}))
	require.Error(t, try(map[string]queue.Amount{"c": {Jobs: 1, Bytes: 101}}), "that alone is more")
}
