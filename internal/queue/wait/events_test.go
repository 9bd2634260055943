package wait_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

func TestReadersLearnThatThereWasABreak(t *testing.T) {
	t.Parallel()
	now := time.Now()
	events := wait.NewEvents(10, now)
	start := events.Position()
	events.Append(queue.Event{Lane: laneA, Version: 1})
	found := events.Read(t.Context(), nil, &queue.EventFilter{}, start, 10)
	require.Len(t, found.Events, 1)
	require.False(t, found.Missed)

	events.Break(now.Add(time.Second))
	missed := events.Read(t.Context(), nil, &queue.EventFilter{}, found.Next, 10)
	require.True(t, missed.Missed)
	require.Empty(t, missed.Events)
	events.Append(queue.Event{Lane: laneA, Version: 2})
	found = events.Read(t.Context(), nil, &queue.EventFilter{}, missed.Next, 10)
	require.Len(t, found.Events, 1)
	require.Equal(t, uint64(2), found.Events[0].Version)
}
