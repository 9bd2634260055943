package wait

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestNewsAreOfWhoAskedSinceOrWaitsOtherwiseThanWasTold(t *testing.T) {
	t.Parallel()
	var r Roster
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	ask := func(name string, second int, channels ...string) (answered func()) {
		return r.Asked(&queue.DequeueRequest{Worker: name, Types: []string{"build"}, Channels: channels}, at(second))
	}
	var told map[string]int
	news := func(since, now int) (names []string) {
		var found []queue.Worker
		found, told = r.News(at(since), told, at(now))
		for i := range found {
			names = append(names, found[i].Name)
		}
		return names
	}
	longAnswered := ask("long", 1)
	ask("short", 2)()
	require.Equal(t, []string{"short", "long"}, news(0, 3))
	require.Empty(t, news(3, 4), "one that waits was told of")
	ask("short", 4)()
	require.Equal(t, []string{"short"}, news(4, 5))
	longAnswered()
	require.Equal(t, []string{"long"}, news(5, 6), "it does not wait any more")
	require.Empty(t, news(6, 7))

	ask("moves", 7, "a")
	ask("moves", 8, "b")
	found, waiting := r.News(at(7), told, at(9))
	require.Len(t, found, 1)
	require.Equal(t, []string{"b"}, found[0].Channels, "it is told of as it asked last")
	require.Equal(t, map[string]int{"moves": 1, "long": 0, "short": 0}, waiting)
}
