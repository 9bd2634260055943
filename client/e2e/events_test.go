package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestEventsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, "127.0.0.1:0", dir)
	address := server.Addr()
	api := connect(t, server)
	events := make(chan *client.Event, 100)
	ctx := soon(t)
	go func() {
		for e, err := range api.Events(ctx, client.StreamEventsParams{Type: new("t")}) {
			if err != nil {
				return
			}
			events <- e
		}
	}()
	// The stream begins with what happens after it was opened.
	var job *client.Snapshot
	for len(events) == 0 {
		var err error
		job, err = api.Enqueue(soon(t), client.NewJob{Type: "t"})
		require.NoError(t, err)
	}
	_, err := api.Enqueue(soon(t), client.NewJob{Type: "u"})
	require.NoError(t, err)
	last := next(t, events)
	require.Equal(t, client.EventJob, last.Kind)
	require.Equal(t, client.JobStatePending, last.Job.State)
	for last.Job.Id != job.Id {
		last = next(t, events)
	}
	stopServer(t, server)
	server = startServer(t, address, dir)
	defer stopServer(t, server)
	require.Equal(t, client.EventMissed, next(t, events).Kind)
	require.NoError(t, api.Cancel(soon(t), job.Id))
	got := next(t, events)
	require.Equal(t, client.JobStateCanceled, got.Job.State)
	require.Equal(t, job.Id, got.Job.Id)
	for _, err := range api.Events(soon(t), client.StreamEventsParams{Type: new("not a type")}) {
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
	}
}
