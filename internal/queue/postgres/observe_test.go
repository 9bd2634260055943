package postgres

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// observer keeps what all engines tell, and for how many callers there were rounds.
type observer struct {
	*queuetest.Observed
	callers *atomic.Int64 // nil to leave them out
}

func (o observer) Round(_ time.Duration, callers int, _ bool) {
	if o.callers != nil {
		o.callers.Add(int64(callers))
	}
}

// told returns what the observer was told since the last call, with the durations only where none is
// known.
func (o observer) told() []queue.Move {
	moves := o.Moves()
	for i := range moves {
		moves[i].Took = min(moves[i].Took, 0)
	}
	return moves
}

func TestEachServersObserverIsToldWhatThatServerDid(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	var callers atomic.Int64
	mine, others := observer{new(queuetest.Observed), &callers}, observer{Observed: new(queuetest.Observed)}
	a, b := openServer(t, dsn, Options{Observer: mine}), openServer(t, dsn, Options{Observer: others})
	lane := queue.Lane{Channel: "default", Type: "t"}
	move := func(from, to queue.State, end queue.End, took time.Duration) []queue.Move {
		return []queue.Move{{Lane: lane, From: from, To: to, End: end, Took: took}}
	}
	id := add(t, a, queue.NewJob{Type: "t"})[0]
	require.Equal(t, move(0, queue.Pending, 0, -1), mine.told())
	l := take(t, b, "t")
	require.Equal(t, move(queue.Pending, queue.Running, 0, 0), others.told())
	_, err := a.Release(t.Context(), l.Token, 0)
	require.NoError(t, err)
	require.Equal(t, move(queue.Running, queue.Pending, queue.EndReleased, 0), mine.told())
	l, err = b.DequeueByID(t.Context(), id, queue.Holder{Worker: "w"}, queue.Once{})
	require.NoError(t, err)
	require.Equal(t, move(queue.Pending, queue.Running, 0, -1), others.told())
	done(t, a, &l)
	require.Equal(t, move(queue.Running, queue.Finished, queue.EndReported, 0), mine.told())
	require.NoError(t, b.DeleteJob(t.Context(), id))
	require.Equal(t, move(queue.Finished, 0, 0, -1), others.told())
	require.NoError(t, a.tail.sync(t.Context()))
	require.NoError(t, b.tail.sync(t.Context()))
	require.Empty(t, mine.told(), "what the other server did")
	require.Empty(t, others.told())
	require.Equal(t, 2, others.Claims())
	require.Positive(t, callers.Load())
	require.Positive(t, a.Stats().Connections)
	require.False(t, openServer(t, dsn, Options{NoListen: true}).Stats().Deaf, "it was told not to listen")
}
