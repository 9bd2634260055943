package wait_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

var (
	laneA = queue.Lane{Channel: "default", Type: "a"}
	laneB = queue.Lane{Channel: "default", Type: "b"}
)

func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	var line wait.Line[string, int]
	first := line.Join([]queue.Lane{laneA, laneB}, "first")
	second := line.Join([]queue.Lane{laneA}, "second")
	third := line.Join([]queue.Lane{laneB}, "third")

	got, ok := line.Take(laneB)
	require.True(t, ok)
	require.Equal(t, "first", got.Request)
	require.Same(t, first, got)
	got, ok = line.Take(laneB)
	require.True(t, ok, "who was taken from one lane is out of the other")
	require.Same(t, third, got)
	got, ok = line.Take(laneA)
	require.True(t, ok)
	require.Same(t, second, got)
	for _, lane := range []queue.Lane{laneA, laneB, {Channel: "x", Type: "a"}} {
		_, ok = line.Take(lane)
		require.False(t, ok)
	}
}

func TestAGrantWakesItsWaiterAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line wait.Line[int, int]
		ctx, cancel := context.WithCancel(t.Context())
		var woken, gone atomic.Int64
		for i := range 100 {
			w := line.Join([]queue.Lane{laneA}, i)
			go func() {
				switch grant, ok := w.Wait(ctx, nil); {
				case !ok:
					gone.Add(1)
				case grant == i:
					woken.Add(1)
				}
			}()
		}
		for i := range 10 {
			w, ok := line.Take(laneA)
			require.True(t, ok)
			require.Equal(t, i, w.Request)
			w.Give(i)
			synctest.Wait()
			require.Equal(t, int64(i+1), woken.Load())
		}
		cancel()
		synctest.Wait()
		require.Equal(t, int64(90), gone.Load())
		_, ok := line.Take(laneA)
		require.False(t, ok, "who is gone cannot be chosen")
	})
}

func TestWaitEndsWithItsContextOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line wait.Line[int, int]
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, ok := line.Join([]queue.Lane{laneA, laneB}, 0).Wait(ctx, nil)
		require.False(t, ok)
		require.Equal(t, time.Minute, time.Since(start))
	})
}

func TestWaitEndsWithTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line wait.Line[int, int]
		closing := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(closing) })
		_, ok := line.Join([]queue.Lane{laneA}, 0).Wait(t.Context(), closing)
		require.False(t, ok)
	})
}

func TestWhoWasTakenGetsTheGrantThoughTheContextIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line wait.Line[int, int]
		ctx, cancel := context.WithCancel(t.Context())
		w := line.Join([]queue.Lane{laneA}, 0)
		taken, ok := line.Take(laneA)
		require.True(t, ok)
		cancel()
		got := make(chan int, 1)
		go func() {
			if grant, ok := w.Wait(ctx, nil); ok {
				got <- grant
			}
		}()
		synctest.Wait()
		require.Empty(t, got, "it waits for the grant that is on its way")
		taken.Give(7)
		require.Equal(t, 7, <-got)
	})
}

func TestNotifyWakesAllWhoSubscribedBefore(t *testing.T) {
	t.Parallel()
	var watch wait.Watch[string]
	a1, stop1 := watch.Subscribe("a")
	a2, stop2 := watch.Subscribe("a")
	b, stopB := watch.Subscribe("b")
	stop2() // one who leaves takes nobody with him
	watch.Notify("a")
	require.True(t, closed(a1))
	require.True(t, closed(a2))
	require.False(t, closed(b))
	again, stopAgain := watch.Subscribe("a")
	require.False(t, closed(again), "what happened before does not count")
	stop1() // late, and without effect on the new topic
	watch.Notify("a")
	require.True(t, closed(again))
	stopAgain()
	stopB()
	watch.Notify("b")
	require.False(t, closed(b), "nobody is subscribed any more")
	watch.Notify("never heard of")
}

func TestNotifyAllWakesEverybody(t *testing.T) {
	t.Parallel()
	var watch wait.Watch[string]
	a, stopA := watch.Subscribe("a")
	b, stopB := watch.Subscribe("b")
	watch.NotifyAll()
	require.True(t, closed(a))
	require.True(t, closed(b))
	again, stopAgain := watch.Subscribe("a")
	require.False(t, closed(again))
	stopA()
	stopB()
	watch.Notify("a")
	require.True(t, closed(again), "who left late took nobody with him")
	stopAgain()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
