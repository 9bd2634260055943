package wait_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/wait"
)

func readAll(f *wait.Feed[string, int], after uint64, most int) (items []string, upTo, missed uint64) {
	upTo, missed = f.Read(after, most, func(_ uint64, item *string) bool {
		items = append(items, *item)
		return *item != "stop"
	})
	return items, upTo, missed
}

func TestAFeedKeepsTheNewestAndTellsWhatIsMissed(t *testing.T) {
	t.Parallel()
	f := wait.NewFeed[string, int](3)
	items, upTo, missed := readAll(f, 0, 10)
	require.Empty(t, items)
	require.Zero(t, upTo+missed)
	for _, item := range []string{"a", "b", "c"} {
		f.Append(item)
	}
	items, upTo, missed = readAll(f, 0, 2)
	require.Equal(t, []string{"a", "b"}, items)
	require.Equal(t, uint64(2), upTo)
	require.Zero(t, missed)
	f.Append("d")
	f.Append("e")
	items, upTo, missed = readAll(f, 0, 10)
	require.Equal(t, []string{"c", "d", "e"}, items)
	require.Equal(t, uint64(5), upTo)
	require.Equal(t, uint64(2), missed)
	items, _, missed = readAll(f, 2, 10)
	require.Equal(t, []string{"c", "d", "e"}, items)
	require.Zero(t, missed)
	items, upTo, _ = readAll(f, 5, 10)
	require.Empty(t, items)
	require.Equal(t, uint64(5), upTo)
	require.Equal(t, uint64(5), f.Last())
	f.Append("stop")
	f.Append("g")
	items, upTo, _ = readAll(f, 5, 10)
	require.Equal(t, []string{"stop"}, items)
	require.Equal(t, uint64(6), upTo)
}

func TestAnItemWakesWhoWaitsForItsKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := wait.NewFeed[string, int](2)
		ctx, cancel := context.WithCancel(t.Context())
		every := func(*string) bool { return true }
		woken := make(chan string, 10)
		waiter := func(name string, keys ...int) {
			go func() {
				if before, ok := f.Wait(ctx, nil, f.Last(), keys, every); ok {
					woken <- name + " before " + string(rune('0'+before))
				} else {
					woken <- name + " in vain"
				}
			}()
			synctest.Wait()
		}
		waiter("seven", 7)
		waiter("eight or nine", 8, 9)
		waiter("ten", 10)
		for range 3 { // nobody waits for them, and they are not kept
			f.Append("x", 1, 2)
		}
		synctest.Wait()
		require.Empty(t, woken)
		f.Append("y", 8, 9)
		require.Equal(t, "eight or nine before 3", <-woken)
		f.Append("z", 7, 9)
		require.Equal(t, "seven before 4", <-woken)
		synctest.Wait()
		require.Empty(t, woken)
		before, ok := f.Wait(ctx, nil, 3, []int{1}, func(item *string) bool { return *item == "z" })
		require.True(t, ok)
		require.Equal(t, uint64(4), before, "it is there already")
		before, ok = f.Wait(ctx, nil, 1, []int{1}, func(item *string) bool { return *item == "z" })
		require.True(t, ok)
		require.Equal(t, uint64(1), before, "nobody knows what is not kept any more")
		go func() {
			if before, ok := f.Wait(ctx, nil, f.Last(), nil, every); ok {
				woken <- "all before " + string(rune('0'+before))
			}
		}()
		synctest.Wait()
		f.Append("w")
		require.Equal(t, "all before 5", <-woken)
		cancel()
		require.Equal(t, "ten in vain", <-woken)
		closing := make(chan struct{})
		close(closing)
		_, ok = f.Wait(t.Context(), closing, 4, []int{1}, func(*string) bool { return false })
		require.False(t, ok)
	})
}
