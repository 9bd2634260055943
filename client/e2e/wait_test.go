package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestProducersWaitForManyJobsAndForChanges(t *testing.T) {
	t.Parallel()
	server := startServer(t, "127.0.0.1:0", t.TempDir())
	defer stopServer(t, server)
	api := connect(t, server)
	first, err := api.Enqueue(soon(t), client.NewJob{Type: "t"})
	require.NoError(t, err)
	second, err := api.Enqueue(soon(t), client.NewJob{Type: "t"})
	require.NoError(t, err)

	changes := make(chan *client.Snapshot, 1)
	go func() {
		if changed, err := api.WaitForChange(soon(t), first); err == nil {
			changes <- changed
		}
	}()
	updated, err := api.Update(soon(t), first.Id, client.JobUpdate{Priority: new(3)}, "")
	require.NoError(t, err)
	require.Equal(t, updated, next(t, changes))

	all := make(chan []client.JobState, 1)
	go func() {
		if states, err := api.WaitForAll(soon(t), second.Id, first.Id); err == nil {
			all <- states
		}
	}()
	require.NoError(t, api.Cancel(soon(t), first.Id))
	require.NoError(t, api.Cancel(soon(t), second.Id))
	require.Equal(t, []client.JobState{client.JobStateCanceled, client.JobStateCanceled}, next(t, all))

	_, err = api.WaitForAll(soon(t), client.JobId{})
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeJobNotFound, problem.Code)
}
