package queuetest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var channelTests = map[string]func(*testing.T, *fixture){
	"of jobs": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "x", Channel: "a"}, queue.NewJob{Type: "x"}, queue.NewJob{Type: "y", Channel: "b"})
		got, err := f.Queue().ChannelsOf(t.Context(), []uuid.UUID{ids[2], uuid.New(), ids[0], ids[1], ids[0]})
		require.NoError(t, err)
		require.Equal(t, []string{"b", "", "a", queue.DefaultChannel, "a"}, got)
		got, err = f.Queue().ChannelsOf(t.Context(), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	},
	"of leases, live and over": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "x", Channel: "a"}, queue.NewJob{Type: "x", Channel: "b"}, queue.NewJob{Type: "x", Channel: "c"})
		var tokens []uuid.UUID
		for range 3 {
			l, err := f.Queue().Dequeue(now(), queue.DequeueRequest{Types: []string{"x"}, Channels: []string{"a", "b", "c"}})
			require.NoError(t, err)
			tokens = append(tokens, l.Token)
		}
		f.finish(t, tokens[1], "1")
		_, err := f.Queue().Release(t.Context(), tokens[2], 0)
		require.NoError(t, err)
		for range 2 {
			got, err := f.Queue().LeaseChannels(t.Context(), tokens)
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b", "c"}, got)
			f.Restart(t)
		}
	},
}
