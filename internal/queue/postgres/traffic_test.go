package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// traffic are producers and workers of one queue, while somebody harms its database. They note what
// they were told, and that nothing else than ErrUnavailable befalls them.
type traffic struct {
	ctx       context.Context
	producing context.Context
	halt      context.CancelFunc
	stop      context.CancelFunc
	running   sync.WaitGroup
	produced  sync.WaitGroup
	finished  atomic.Int64

	mu     sync.Mutex // guards what follows
	added  []uuid.UUID
	leases map[uuid.UUID]int // how many a job has had
	ended  map[uuid.UUID]bool
	wrong  []string
}

// startTraffic starts some producers and workers at each server. They end with the test at last.
func startTraffic(t *testing.T, servers ...*Store) *traffic {
	t.Helper()
	f := &traffic{leases: make(map[uuid.UUID]int), ended: make(map[uuid.UUID]bool)}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.producing, f.halt = context.WithCancel(f.ctx)
	for i, s := range servers {
		for range 2 {
			f.produced.Go(func() { f.produce(s) })
		}
		for range 4 {
			f.running.Go(func() { f.work(s, servers[(i+1)%len(servers)]) })
		}
	}
	t.Cleanup(func() {
		f.stop()
		f.produced.Wait()
		f.running.Wait()
	})
	return f
}

func (f *traffic) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wrong) < 10 {
		f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
	}
}

// produce adds jobs one by one; those with an unknown outcome again, with the same key.
func (f *traffic) produce(s *Store) {
	for f.producing.Err() == nil {
		key := once(uuid.NewString())
		for f.ctx.Err() == nil {
			added, err := s.EnqueueOnce(f.ctx, []queue.NewJob{{Type: "traffic"}}, key)
			if err == nil {
				f.mu.Lock()
				f.added = append(f.added, added[0].ID)
				f.mu.Unlock()
				break
			}
			if !errors.Is(err, queue.ErrUnavailable) {
				f.fault("an enqueue failed: %v", err)
			}
			f.breathe()
		}
	}
}

// breathe keeps callers of a database that is away from doing nothing else than asking.
func (f *traffic) breathe() {
	ctx, cancel := context.WithTimeout(f.ctx, tick)
	defer cancel()
	<-ctx.Done()
}

// work runs jobs, which it reports at another server.
func (f *traffic) work(s, at *Store) {
	for f.ctx.Err() == nil {
		l, err := s.Dequeue(f.ctx, queue.DequeueRequest{Types: []string{"traffic"}})
		switch {
		case err == nil:
			f.run(at, &l)
		case errors.Is(err, queue.ErrDequeueTimeout) && f.ctx.Err() != nil:
		case errors.Is(err, queue.ErrUnavailable):
			f.breathe()
		default:
			f.fault("a dequeue failed: %v", err)
		}
	}
}

func (f *traffic) run(at *Store, l *queue.Lease) {
	f.mu.Lock()
	f.leases[l.JobID]++
	if f.leases[l.JobID] > 1 {
		f.wrong = append(f.wrong, fmt.Sprintf("job %s was handed out again, as attempt %d", l.JobID, l.Attempt))
	}
	f.mu.Unlock()
	for f.ctx.Err() == nil {
		state, err := at.RequeueOrFinishJob(f.ctx, l.Token, 0, queue.Outcome{Result: json.RawMessage(`"done"`)})
		if err == nil && state == queue.Finished {
			f.mu.Lock()
			f.ended[l.JobID] = true
			f.mu.Unlock()
			f.finished.Add(1)
			return
		}
		if !errors.Is(err, queue.ErrUnavailable) {
			f.fault("a finish of job %s failed: state %v, %v", l.JobID, state, err)
			return
		}
		f.breathe()
	}
}

// awaitMore waits until so many more jobs are finished.
func (f *traffic) awaitMore(t *testing.T, n int64) {
	t.Helper()
	until := f.finished.Load() + n
	require.Eventually(t, func() bool { return f.finished.Load() >= until }, 2*soon, tick, "nothing goes on: %v", f)
}

// end has no more added, waits until all is done, and requires that it was done well.
func (f *traffic) end(t *testing.T, s *Store) {
	t.Helper()
	f.halt()
	f.produced.Wait()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.ended) >= len(f.added)
	}, soon, tick, "jobs are left")
	f.stop()
	f.running.Wait()
	require.Empty(t, f.wrong)
	t.Logf("%d jobs were added, leased once and finished", len(f.added))
	rows, err := s.pool.Query(t.Context(), `SELECT id, state FROM longshore.records`)
	require.NoError(t, err)
	defer rows.Close()
	states := make(map[uuid.UUID]queue.State)
	for rows.Next() {
		var id uuid.UUID
		var state int16
		require.NoError(t, rows.Scan(&id, &state))
		states[id] = queue.State(state)
	}
	require.NoError(t, rows.Err())
	for _, id := range f.added {
		require.Equal(t, queue.Finished, states[id], "job %s, whose enqueue was acknowledged", id)
		require.True(t, f.ended[id], "job %s", id)
	}
}
