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
		got := make(chan func(), 1)
		go func() {
			third, err := room.Take(context.Background(), 1)
			if err == nil {
				got <- third
			}
		}()
		synctest.Wait()
		require.Empty(t, got)
		second()
		second() // which gives nothing back that is another's
		(<-got)()
		first()
		all, err := room.Take(t.Context(), 1000)
		require.NoError(t, err, "what is larger than the room takes all of it")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = room.Take(ctx, 1)
		require.ErrorIs(t, err, context.Canceled)
		all()
		_, err = room.Take(t.Context(), 100)
		require.NoError(t, err)
	})
}

func TestNoRoomIsRoomForEverything(t *testing.T) {
	t.Parallel()
	var room *limit.Room
	for range 2 {
		giveBack, err := room.Take(t.Context(), 1<<60)
		require.NoError(t, err)
		giveBack()
	}
}
