package queuetest

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var dequeueBatchTests = map[string]func(*testing.T, *fixture){
	"as many as may be asked for are leased at once": func(t *testing.T, f *fixture) {
		for range queue.MaxBatch / 100 {
			f.enqueue(t, make100("work")...)
		}
		f.enqueue1(t, "work")
		answer, err := f.Queue().DequeueBatch(now(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"work"}}, Max: queue.MaxBatch})
		require.NoError(t, err)
		require.Len(t, answer.Leases, queue.MaxBatch)
		require.Len(t, f.runToEnd(t, "work"), 1)
	},
	"it leases as many as are wanted and ready, in order": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:5]...)
		first := f.enqueue(t, queue.NewJob{Type: "other", Priority: 1})
		require.Equal(t, append(first, ids[:2]...), leasedIDs(f.batch(t, 3, "work", "other").Leases))
		require.Equal(t, ids[2:], leasedIDs(f.batch(t, queue.MaxBatch, "work", "other").Leases))
		require.Empty(t, f.batch(t, 1, "work", "other").Leases)
	},
	"it reports and leases in one call": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:4]...)
		leases := f.batch(t, 2, "work").Leases
		answer := f.exchange(t, 2, "work", queue.Report{Token: leases[0].Token, Result: args(`"done"`)}, failed(leases[1].Token))
		require.Equal(t, []queue.Reported{{State: queue.Finished}, {State: queue.Failed}}, answer.Reported)
		require.Equal(t, ids[2:], leasedIDs(answer.Leases))
		f.requireState(t, ids[0], queue.Finished)
		require.Equal(t, args(`"done"`), f.status(t, ids[0]).Result)
		f.requireFailed(t, ids[1], "broken")
		f.Restart(t)
		f.requireState(t, ids[0], queue.Finished)
		f.requireState(t, ids[3], queue.Running)
	},
	"each report has an outcome of its own": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:5]...)
		leases := f.batch(t, 5, "work").Leases
		f.cancel(t, leases[0].JobID)
		f.lose(t, leases[1].Token, 1)
		f.finish(t, leases[2].Token, `1`)
		f.finish(t, leases[3].Token, `1`)
		reserved := failed(leases[4].Token)
		reserved.Failure.Error.Reason = queue.ReasonTimeout
		answer := f.exchange(t, 1, "else", done(uuid.New()), done(leases[0].Token), done(leases[1].Token), done(leases[2].Token),
			failed(leases[3].Token), reserved)
		require.ErrorIs(t, answer.Reported[0].Err, queue.ErrNotExist)
		require.ErrorIs(t, answer.Reported[1].Err, queue.ErrCanceled)
		require.ErrorIs(t, answer.Reported[2].Err, queue.ErrLeaseLost)
		require.Equal(t, queue.Reported{State: queue.Finished}, answer.Reported[3], "the same again")
		require.ErrorIs(t, answer.Reported[4].Err, queue.ErrAlreadyReported)
		require.ErrorAs(t, answer.Reported[5].Err, new(*queue.InvalidError))
		f.requireState(t, leases[4].JobID, queue.Running)
		f.finish(t, leases[4].Token, `1`)
	},
	"a strict call is refused as a whole": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:3]...)
		leases := f.batch(t, 1, "work").Leases
		request := batchOf(5, "work", done(leases[0].Token), done(uuid.New()))
		request.Strict = true
		_, err := f.Queue().DequeueBatch(now(), request)
		require.ErrorIs(t, err, queue.ErrNotExist)
		f.requireState(t, ids[0], queue.Running)
		require.Equal(t, ids[1:], leasedIDs(f.batch(t, 5, "work").Leases), "nothing was leased, and nothing lost")
	},
	"a call that only reports leases nothing": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:4]...)
		request := batchOf(1, "work", done(f.dequeue(t, "work").Token))
		request.ReportOnly, request.Once = true, once("k", "")
		answer, err := f.Queue().DequeueBatch(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, []queue.Reported{{State: queue.Finished}}, answer.Reported)
		require.Empty(t, answer.Leases)
		f.requireState(t, ids[1], queue.Pending)

		request.ReportOnly = false
		first, err := f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err, "it has not used its key")
		require.Equal(t, ids[1:2], leasedIDs(first.Leases))
		request.ReportOnly = true
		again, err := f.Queue().DequeueBatch(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, first, again, "what was leased before is told")
		f.requireState(t, ids[2], queue.Pending)
	},
	"what its own reports make ready is there for it": func(t *testing.T, f *fixture) {
		for name, ctx := range map[string]context.Context{"it waits": t.Context(), "it does not": now()} {
			ids := f.enqueue(t, chain("work", 3)...)
			l := f.dequeue(t, "work")
			for i := range 2 {
				answer, err := f.Queue().DequeueBatch(ctx, batchOf(10, "work", done(l.Token)))
				require.NoError(t, err)
				require.Equal(t, []queue.Reported{{State: queue.Finished}}, answer.Reported, name)
				require.Equal(t, ids[i+1:i+2], leasedIDs(answer.Leases), name)
				l = answer.Leases[0]
			}
			f.finish(t, l.Token, `1`)
		}
	},
	"it waits for a job, and its reports do not": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "other")
		l := f.dequeue(t, "other")
		answers := make(chan queue.BatchAnswer, 1)
		q := f.Queue()
		go func() {
			answer, err := q.DequeueBatch(context.Background(), batchOf(3, "work", done(l.Token)))
			if err == nil {
				answers <- answer
			}
		}()
		status, err := q.Await(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Finished, status.State)
		want := f.enqueue1(t, "work")
		answer := receive(t, answers)
		require.Equal(t, []uuid.UUID{want}, leasedIDs(answer.Leases))
		require.Equal(t, []queue.Reported{{State: queue.Finished}}, answer.Reported)
	},
	"bad requests are refused, and change nothing": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		for field, request := range map[string]queue.BatchRequest{
			"max":             batchOf(0, "work", done(l.Token)),
			"finish":          batchOf(1, "work", make([]queue.Report, queue.MaxBatch+1)...),
			"finish[1].token": batchOf(1, "work", done(l.Token), failed(l.Token)),
			"types":           {Max: 1},
		} {
			_, err := f.Queue().DequeueBatch(now(), request)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid, field)
			require.Equal(t, field, invalid.Field)
		}
		f.requireState(t, id, queue.Running)
	},
	"the same key is answered with the same leases": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:6]...)
		l := f.dequeue(t, "work")
		request := batchOf(3, "work", done(l.Token))
		request.Once = once("k", "")
		first, err := f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err)
		require.Equal(t, ids[1:4], leasedIDs(first.Leases))
		f.Restart(t)
		again, err := f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err)
		require.Equal(t, first, again)
		f.finish(t, first.Leases[1].Token, `1`)
		f.release(t, first.Leases[2].Token, 0)
		again, err = f.Queue().DequeueBatch(now(), request)
		require.NoError(t, err)
		require.Equal(t, first.Leases[:1], again.Leases, "those that are still held")
		f.finish(t, first.Leases[0].Token, `1`)
		_, err = f.Queue().DequeueBatch(now(), request)
		require.ErrorIs(t, err, queue.ErrLeaseLost)
		require.Equal(t, ids[3:], leasedIDs(f.batch(t, 10, "work").Leases))
	},
	"many at once lease each job once": func(t *testing.T, f *fixture) {
		const jobs, callers = 500, 16
		for range jobs / 100 {
			f.enqueue(t, make100("work")...)
		}
		var mu sync.Mutex
		leased := make(map[uuid.UUID]int)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				var reports []queue.Report
				for {
					answer, err := f.Queue().DequeueBatch(now(), batchOf(i+1, "work", reports...))
					if err != nil || len(answer.Leases) == 0 {
						return
					}
					reports = nil
					mu.Lock()
					for _, l := range answer.Leases {
						leased[l.JobID]++
						reports = append(reports, done(l.Token))
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		require.Len(t, leased, jobs)
		for id, times := range leased {
			require.Equal(t, 1, times, "job %s", id)
			f.requireState(t, id, queue.Finished)
		}
	},
}

func batchOf(most int, jobType string, reports ...queue.Report) queue.BatchRequest {
	return queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{jobType}}, Max: most, Reports: reports}
}

// batch leases jobs, without waiting.
func (f *fixture) batch(t *testing.T, most int, types ...string) queue.BatchAnswer {
	t.Helper()
	answer, err := f.Queue().DequeueBatch(now(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: types}, Max: most})
	require.NoError(t, err)
	return answer
}

// exchange reports, and leases jobs, without waiting.
func (f *fixture) exchange(t *testing.T, most int, jobType string, reports ...queue.Report) queue.BatchAnswer {
	t.Helper()
	answer, err := f.Queue().DequeueBatch(now(), batchOf(most, jobType, reports...))
	require.NoError(t, err)
	require.Len(t, answer.Reported, len(reports))
	return answer
}

func done(token uuid.UUID) queue.Report { return queue.Report{Token: token, Result: args(`1`)} }

func failed(token uuid.UUID) queue.Report {
	return queue.Report{Token: token, Failure: &queue.Failure{Error: queue.JobError{Reason: "broken"}}}
}

func leasedIDs(leases []queue.Lease) []uuid.UUID {
	ids := make([]uuid.UUID, len(leases))
	for i := range leases {
		ids[i] = leases[i].JobID
	}
	return ids
}
