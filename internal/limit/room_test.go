package limit_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/limit"
)

func TestRoomIsHeldByAsMuchAsFitsAndOthersWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		room := limit.NewRoom(100)
		first, err := room.Take(t.Context(), 60)
		require.NoError(t, err)
		second, err := room.Take(t.Context(), 40)
		require.NoError(t, err)
		got := make(chan *limit.Held, 1)
		go func() {
			if third, err := room.Take(context.Background(), 30); err == nil {
				got <- third
			}
		}()
		second.Keep(11)
		second.Keep(20) // which is more than it holds
		synctest.Wait()
		require.Empty(t, got)
		second.Keep(10)
		third := <-got
		third.GiveBack()
		third.GiveBack() // which gives nothing back that is another's
		second.GiveBack()
		first.GiveBack()
		all, err := room.Take(t.Context(), 1000)
		require.NoError(t, err, "what is larger than the room takes all of it")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = room.Take(ctx, 1)
		require.ErrorIs(t, err, context.Canceled)
		all.GiveBack()
		_, err = room.Take(t.Context(), 100)
		require.NoError(t, err)
	})
}

func TestNoRoomIsRoomForEverything(t *testing.T) {
	t.Parallel()
	var room *limit.Room
	for range 2 {
		held, err := room.Take(t.Context(), 1<<60)
		require.NoError(t, err)
		held.Keep(1)
		held.GiveBack()
	}
}
