package limit_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/limit"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestCallersMayCallAsOftenAsTheRateSays(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	for range 4 { // what a second brings, at once
		require.Zero(t, rates.Take("a", 4, start))
	}
	require.Equal(t, time.Second/4, rates.Take("a", 4, start))
	require.Zero(t, rates.Take("b", 4, start), "another caller")
	require.Equal(t, time.Second/8, rates.Take("a", 4, start.Add(time.Second/8)))
	require.Zero(t, rates.Take("a", 4, start.Add(time.Second/4)))
	require.NotZero(t, rates.Take("a", 4, start.Add(time.Second/4)))
	// Over a long time it comes to the rate, whatever is tried.
	allowed := 0
	for i := range 10_000 {
		if rates.Take("a", 4, start.Add(time.Second+time.Duration(i)*time.Millisecond)) == 0 {
			allowed++
		}
	}
	require.InDelta(t, 4*10+3, allowed, 1)
}

func TestARateBelowOnceASecondLetsACallerCallOnce(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	require.Zero(t, rates.Take("a", 0.1, start))
	require.Equal(t, 10*time.Second, rates.Take("a", 0.1, start))
	require.Equal(t, 5*time.Second, rates.Take("a", 0.1, start.Add(5*time.Second)))
	require.Zero(t, rates.Take("a", 0.1, start.Add(10*time.Second)))
	require.NotZero(t, rates.Take("a", 0.1, start.Add(10*time.Second)))
}

func TestACallerThatIsForgottenMayDoNoMoreThanOneThatIsNot(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	require.Zero(t, rates.Take("a", 1, start))
	for i := range 40 {
		now := start.Add(time.Duration(i) * time.Second / 4)
		if wait := rates.Take("a", 1, now); i%4 == 0 && i > 0 {
			require.Zero(t, wait, "after %v", now.Sub(start))
		} else {
			require.NotZero(t, wait, "after %v", now.Sub(start))
		}
	}
}

func TestTimeThatGoesBackBringsNothing(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	require.Zero(t, rates.Take("a", 1, start))
	require.NotZero(t, rates.Take("a", 1, start.Add(-time.Hour)))
	require.NotZero(t, rates.Take("a", 1, start))
	require.Zero(t, rates.Take("a", 1, start.Add(time.Second)))
}

func TestManyCallersShareABucketRatherThanFillTheMemory(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	refused := 0
	for i := range 40_000 {
		if rates.Take(strconv.Itoa(i), 1, start) > 0 {
			refused++
		}
	}
	require.Equal(t, 40_000-20_000-1, refused)
	require.Zero(t, rates.Take("late", 1, start.Add(time.Minute)), "those before it have been away")
}

func TestEachCallerHasARateOfTheirOwn(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	now := start
	allowed := make(map[string]int)
	for range 10_000 { // ten times as long as the slowest takes for one
		now = now.Add(10 * time.Millisecond)
		for name, rate := range map[string]float64{"slow": 0.1, "fast": 20, "free": 0} {
			if rates.Take(name, rate, now) == 0 {
				allowed[name]++
			}
		}
	}
	require.Equal(t, 10_000, allowed["free"])
	require.InDelta(t, 20*100+20, allowed["fast"], 2)
	require.InDelta(t, 10, allowed["slow"], 1)
}

func TestACallerIsHeldToTheRateOfEachCredential(t *testing.T) {
	t.Parallel()
	var rates limit.Rates
	require.Zero(t, rates.Take("a", 10, start))
	require.Zero(t, rates.Take("a", 2, start))
	require.Zero(t, rates.Take("a", 2, start.Add(time.Second/2)))
	require.Zero(t, rates.Take("a", 2, start.Add(time.Second/2)))
	require.NotZero(t, rates.Take("a", 2, start.Add(time.Second/2)), "what the other one had left is not for this one")
}

func TestWaitersAreBoundedInAllAndForEachCaller(t *testing.T) {
	t.Parallel()
	waiting := limit.NewWaiting(3)
	require.NoError(t, waiting.Enter("a", 2))
	require.NoError(t, waiting.Enter("a", 2))
	require.ErrorIs(t, waiting.Enter("a", 2), limit.ErrTooMany)
	require.NoError(t, waiting.Enter("", 2))
	require.ErrorIs(t, waiting.Enter("b", 2), limit.ErrCrowded)
	require.ErrorIs(t, waiting.Enter("", 2), limit.ErrCrowded)
	waiting.Leave("a")
	require.NoError(t, waiting.Enter("a", 2))
	waiting.Leave("a")
	require.ErrorIs(t, waiting.Enter("a", 1), limit.ErrTooMany, "with another credential, of fewer")
	require.NoError(t, waiting.Enter("a", 0))
	waiting.Leave("a")
	waiting.Leave("a")
	waiting.Leave("")
	for range 3 {
		require.NoError(t, waiting.Enter("", 2), "all of them have left")
	}
}

func TestMemoryIsShortUntilThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	var used uint64
	now := start
	memory := limit.NewMemory(1000, func() uint64 { return used }, func() {})
	for _, step := range []struct {
		used  uint64
		short bool
	}{{0, false}, {849, false}, {850, true}, {800, true}, {750, true}, {749, false}, {800, false}, {2000, true}} {
		used = step.used
		now = now.Add(time.Second)
		require.Equal(t, step.short, memory.Short(now), "%d of 1000 bytes", step.used)
	}
	used = 0
	require.True(t, memory.Short(now.Add(time.Millisecond)), "it was asked for a moment ago")
	require.False(t, limit.NewMemory(0, func() uint64 { return 1 << 40 }, nil).Short(now))
}

func TestMemoryThatIsShortIsCollectedThoughNobodyIsLetIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var used atomic.Uint64
		used.Store(2000)
		memory := limit.NewMemory(1000, used.Load, func() { used.Store(100) })
		require.True(t, memory.Short(time.Now()))
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		require.False(t, memory.Short(time.Now()))
	})
}

func TestMemoryThatStaysShortIsCollectedNowAndThen(t *testing.T) {
	t.Parallel()
	for took, each := range map[time.Duration]time.Duration{time.Millisecond: time.Second, time.Second: 20 * time.Second} {
		t.Run(took.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var collections []time.Time // one at a time
				memory := limit.NewMemory(1000, func() uint64 { return 2000 }, func() {
					time.Sleep(took)
					collections = append(collections, time.Now())
				})
				for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					require.True(t, memory.Short(time.Now()))
				}
				synctest.Wait()
				require.Greater(t, len(collections), 1)
				for i := range collections[1:] {
					require.InDelta(t, each+took, collections[i+1].Sub(collections[i]), float64(100*time.Millisecond))
				}
			})
		})
	}
}

func TestWhatIsUsedIsMeasured(t *testing.T) {
	t.Parallel()
	require.Greater(t, limit.Used(), uint64(100<<10))
}
