package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestAJobThatAChangeLooksAtIsFoundAfterIt(t *testing.T) {
	t.Parallel()
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{})
	awaitListening(t, s)
	require.Eventually(t, s.isAlone, soon, tick, "a single server does not know that it is alone")
	id := add(t, s, queue.NewJob{Type: "looked-at"})[0]
	// A job that another one is to depend on is locked and stays as it is.
	require.NoError(t, s.change(t.Context(), func(c *change) error {
		if _, err := c.read(id); err != nil {
			return err
		}
		_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"looked-at"}})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		return nil
	}))
	l := take(t, s, "looked-at")
	require.Equal(t, id, l.JobID)
	done(t, s, &l)
}

func TestChangesAtManyLanesNeedOneConnectionEach(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	a, b := openServer(t, dsn, Options{}), openServer(t, dsn, Options{Connections: 2, NoListen: true})

	var jobs []queue.NewJob
	for i := range 64 {
		jobs = append(jobs, queue.NewJob{Type: fmt.Sprintf("lane-%d", i), UniqueKey: "one"})
	}
	ids := add(t, a, jobs...)
	errs := make(chan error, len(ids))
	for _, id := range ids {
		go func() { errs <- b.CancelJob(context.Background(), id) }()
	}
	for range ids {
		require.NoError(t, get(t, errs))
	}
}
