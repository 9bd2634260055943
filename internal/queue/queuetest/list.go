package queuetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var listTests = map[string]func(*testing.T, *fixture){
	"nothing": func(t *testing.T, f *fixture) {
		page, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: 1})
		require.NoError(t, err)
		require.Empty(t, page.Jobs)
		require.Equal(t, uuid.Nil, page.Next)
	},
	"newest first, in pages of any size": func(t *testing.T, f *fixture) {
		var want []uuid.UUID
		for range 5 {
			want = append(want, f.enqueue(t, make100("work")[:5]...)...)
		}
		slices.Reverse(want)
		f.Restart(t)
		newer := f.enqueue1(t, "work")
		want = append([]uuid.UUID{newer}, want...)
		for _, limit := range []int{1, 2, 7, 25, 26, 27, queue.MaxPage} {
			require.Equal(t, want, f.list(t, limit), "pages of %d", limit)
		}
		page, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: len(want)})
		require.NoError(t, err)
		require.Len(t, page.Jobs, len(want))
		require.Equal(t, uuid.Nil, page.Next, "that was the last one")
	},
	"a listed job is the job and its status": func(t *testing.T, f *fixture) {
		everything := retrying("work", 3)
		everything.Args, everything.Labels, everything.Priority = args(`{"a": 1}`), map[string]string{"a": "b"}, 7
		everything.TraceParent, everything.UniqueKey, everything.Timeout = traceParent, "k", timeout
		first := f.enqueue(t, everything)[0]
		f.enqueue(t, queue.NewJob{Type: "work", Dependencies: []uuid.UUID{first}}, queue.NewJob{Type: "work", Delay: time.Hour})
		l := f.dequeue(t, "work")
		f.beat(t, l.Token, queue.Beat{Progress: progress(5, "x"), PartialResult: args(`5`)})
		compare := func() {
			t.Helper()
			page, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: 10})
			require.NoError(t, err)
			require.Len(t, page.Jobs, 3)
			for _, listed := range page.Jobs {
				job, err := f.Queue().Job(t.Context(), listed.Job.ID)
				require.NoError(t, err)
				require.Equal(t, queue.ListedJob{Job: job, Status: f.status(t, listed.Job.ID)}, listed)
			}
		}
		compare()
		f.finish(t, l.Token, `{"r": 1}`)
		compare()
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		compare()
	},
	"by state, of which there may be several": func(t *testing.T, f *fixture) {
		byState := make(map[queue.State][]uuid.UUID)
		for range 3 {
			running, finished, failed := f.enqueue1(t, "a"), f.enqueue1(t, "a"), f.enqueue1(t, "a")
			f.dequeue(t, "a")
			f.finish(t, f.dequeue(t, "a").Token, `1`)
			f.fail(t, f.dequeue(t, "a").Token, "broken")
			ids := f.enqueue(t, queue.NewJob{Type: "b"}, queue.NewJob{Type: "b", Dependencies: []uuid.UUID{running}},
				queue.NewJob{Type: "b", Delay: time.Hour}, queue.NewJob{Type: "b"})
			f.cancel(t, ids[3])
			for state, id := range map[queue.State]uuid.UUID{
				queue.Running: running, queue.Finished: finished, queue.Failed: failed, queue.Pending: ids[0],
				queue.Blocked: ids[1], queue.Scheduled: ids[2], queue.Canceled: ids[3],
			} {
				byState[state] = append([]uuid.UUID{id}, byState[state]...)
			}
		}
		for _, limit := range []int{1, 2, 100} {
			for i, state := range queue.States() {
				require.Equal(t, byState[state], f.list(t, limit, state), "%s", state)
				for _, other := range queue.States()[i+1:] {
					want := slices.Concat(byState[state], byState[other])
					slices.SortFunc(want, func(a, b uuid.UUID) int { return -slices.Compare(a[:], b[:]) })
					require.Equal(t, want, f.list(t, limit, state, other), "%s, %s", state, other)
				}
			}
			require.Equal(t, f.list(t, limit), f.list(t, limit, queue.States()...))
			require.Equal(t, byState[queue.Failed], f.list(t, limit, queue.Failed, queue.Failed))
		}
	},
	"the dead letters, of many jobs, until they are retried": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		for range 4 {
			ids = append(ids, f.enqueue(t, make100("work")...)...)
		}
		for _, i := range []int{350, 0, 7} {
			l, err := f.Queue().DequeueByID(t.Context(), ids[i], queue.Holder{}, queue.Once{})
			require.NoError(t, err)
			f.fail(t, l.Token, "broken")
		}
		f.cancel(t, ids[200])
		require.Equal(t, pick(ids, 350, 7, 0), f.list(t, 2, queue.Failed))
		require.Equal(t, pick(ids, 350, 200, 7, 0), f.list(t, 2, queue.Failed, queue.Canceled))
		f.retry(t, ids[7])
		f.retry(t, ids[200])
		f.Restart(t)
		require.Equal(t, pick(ids, 350, 0), f.list(t, 2, queue.Failed, queue.Canceled))
		require.Len(t, f.list(t, 100, queue.Pending), 398)
	},
	"a page does not grow to any size": func(t *testing.T, f *fixture) {
		const jobs, most = 12, 8 << 20 // of 1 MiB each
		big := json.RawMessage(`"` + strings.Repeat("x", 1<<20-2) + `"`)
		requirePages := func(jobType string, ids []uuid.UUID) {
			t.Helper()
			slices.Reverse(ids)
			var got []uuid.UUID
			for listing := (queue.Listing{Limit: queue.MaxPage}); ; {
				page, err := f.Queue().ListJobs(t.Context(), listing)
				require.NoError(t, err)
				require.NotEmpty(t, page.Jobs, jobType)
				require.LessOrEqual(t, len(page.Jobs), most>>20, jobType)
				got = append(got, listedIDs(page)...)
				if listing.After = page.Next; page.Next == uuid.Nil || len(got) >= jobs {
					break
				}
			}
			require.Equal(t, ids, got[:jobs], jobType)
		}
		for jobType, end := range map[string]func(queue.Lease){
			"args":    func(queue.Lease) {},
			"result":  func(l queue.Lease) { f.finish(t, l.Token, string(big)) },
			"partial": func(l queue.Lease) { f.beat(t, l.Token, queue.Beat{PartialResult: big}) },
			"details": func(l queue.Lease) {
				f.report(t, l.Token, queue.Failure{Error: queue.JobError{Reason: "broken", Details: big}})
			},
		} {
			var ids []uuid.UUID
			for range jobs {
				job := queue.NewJob{Type: jobType}
				if jobType == "args" {
					job.Args = big
				}
				ids = append(ids, f.enqueue(t, job)[0])
				end(f.dequeue(t, jobType))
			}
			requirePages(jobType, ids)
		}
	},
	"a page begins after any id, also of a job that is not listed": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:5]...)
		f.cancel(t, ids[1])
		f.cancel(t, ids[4])
		page, err := f.Queue().ListJobs(t.Context(), queue.Listing{Filter: queue.Filter{States: []queue.State{queue.Canceled}}, After: ids[3], Limit: 9})
		require.NoError(t, err)
		require.Len(t, page.Jobs, 1)
		require.Equal(t, ids[1], page.Jobs[0].Job.ID)
		page, err = f.Queue().ListJobs(t.Context(), queue.Listing{After: ids[0], Limit: 9})
		require.NoError(t, err)
		require.Empty(t, page.Jobs)
	},
	"jobs that are added meanwhile do not disturb it": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:6]...)
		slices.Reverse(ids)
		page, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: 3})
		require.NoError(t, err)
		f.enqueue(t, make100("work")...)
		rest, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: 100, After: page.Next})
		require.NoError(t, err)
		require.Equal(t, ids, append(listedIDs(page), listedIDs(rest)...))
	},
}

// maxPages is more than any list of a test has.
const maxPages = 10_000

// list returns the ids of all jobs in those states, page by page.
func (f *fixture) list(t *testing.T, limit int, states ...queue.State) []uuid.UUID {
	t.Helper()
	ids, err := listAll(f.Queue(), limit, states)
	require.NoError(t, err)
	return ids
}

func listAll(q Queue, limit int, states []queue.State) ([]uuid.UUID, error) {
	return pagesOf(q, queue.Listing{Limit: limit, Filter: queue.Filter{States: states}})
}

// pagesOf returns the ids of a list, page by page.
func pagesOf(q Queue, listing queue.Listing) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	limit := listing.Limit
	for range maxPages {
		page, err := q.ListJobs(context.Background(), listing)
		if err != nil {
			return nil, err
		}
		if len(page.Jobs) > limit {
			return nil, fmt.Errorf("a page of %d jobs, where the limit is %d", len(page.Jobs), limit)
		}
		ids = append(ids, listedIDs(page)...)
		if page.Next == uuid.Nil {
			return ids, nil
		}
		listing.After = page.Next
	}
	return nil, fmt.Errorf("no end after %d pages", maxPages)
}

func listedIDs(page queue.Page) []uuid.UUID {
	var ids []uuid.UUID
	for i := range page.Jobs {
		ids = append(ids, page.Jobs[i].Job.ID)
	}
	return ids
}
