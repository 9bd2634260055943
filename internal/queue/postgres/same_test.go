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

// failures is an observer that counts the rounds that have failed.
type failures struct {
	*queuetest.Observed
	rounds atomic.Int64
}

func (f *failures) Round(_ time.Duration, _ int, failed bool) {
	if failed {
		f.rounds.Add(1)
	}
}

// A client that has waited for too long sends its report again while the first one waits yet.
func TestAReportThatComesTwiceAtOnceFailsNobodysRound(t *testing.T) {
	t.Parallel()
	failed := &failures{Observed: new(queuetest.Observed)}
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{Observer: failed})
	add(t, s, queue.NewJob{Type: "one"}, queue.NewJob{Type: "one"})
	twice, other := take(t, s, "one"), take(t, s, "one")
	finish := func(l *queue.Lease) finishCall {
		return finishCall{{token: l.Token, ending: requeueOrFinish(0, queue.Outcome{})}}
	}
	waiting := []*batched[finishCall, finishAnswer]{s.finishes.add(finish(&twice)), s.finishes.add(finish(&other)), s.finishes.add(finish(&twice))}
	s.rounds.kick()
	for i, want := range []bool{true, true, false} {
		get(t, waiting[i].done)
		require.NoError(t, waiting[i].err)
		require.Equal(t, finishAnswer{want}, waiting[i].answer)
	}
	require.Zero(t, failed.rounds.Load())
	state, err := s.RequeueOrFinishJob(t.Context(), twice.Token, 0, queue.Outcome{})
	require.NoError(t, err, "the same again is answered the same")
	require.Equal(t, queue.Finished, state)
}
