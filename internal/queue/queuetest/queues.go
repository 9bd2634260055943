package queuetest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func (f *fixture) queues(t *testing.T, listing queue.LaneListing) queue.LanePage {
	t.Helper()
	if listing.Limit == 0 {
		listing.Limit = queue.MaxPage
	}
	page, err := f.Queue().Queues(t.Context(), listing)
	require.NoError(t, err)
	return page
}

// requireCounts requires how many jobs of each state one lane has.
func (f *fixture) requireCounts(t *testing.T, jobType string, want map[queue.State]int64) {
	t.Helper()
	var counts queue.Counts
	for state, n := range want {
		counts[state] = n
	}
	page := f.queues(t, queue.LaneListing{Types: []string{jobType}})
	require.Equal(t, counts, page.Total)
	if counts == (queue.Counts{}) {
		require.Empty(t, page.Queues)
		return
	}
	require.Len(t, page.Queues, 1)
	require.Equal(t, counts, page.Queues[0].Counts)
}

var queuesTests = map[string]func(*testing.T, *fixture){
	"nothing": func(t *testing.T, f *fixture) {
		require.Equal(t, queue.LanePage{Now: f.Now()}, f.queues(t, queue.LaneListing{}))
	},
	"every job is counted once, in its state": func(t *testing.T, f *fixture) {
		dependency := f.enqueue1(t, "first")
		jobs := make100("work")[:6]
		jobs[0].Dependencies = append(jobs[0].Dependencies, dependency)
		jobs[1].RunAt = f.Now().Add(time.Hour)
		ids := f.enqueue(t, jobs...)
		check := func(want map[queue.State]int64) {
			t.Helper()
			f.requireCounts(t, "work", want)
			f.Restart(t)
			f.requireCounts(t, "work", want)
		}
		check(map[queue.State]int64{queue.Blocked: 1, queue.Scheduled: 1, queue.Pending: 4})
		finished, failed, lost := f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work")
		check(map[queue.State]int64{queue.Blocked: 1, queue.Scheduled: 1, queue.Pending: 1, queue.Running: 3})
		f.finish(t, finished.Token, "1")
		f.fail(t, failed.Token, "broken")
		f.lose(t, lost.Token, 1)
		f.cancel(t, ids[5])
		check(map[queue.State]int64{queue.Blocked: 1, queue.Scheduled: 1, queue.Pending: 1, queue.Finished: 1, queue.Failed: 1, queue.Canceled: 1})
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		check(map[queue.State]int64{queue.Scheduled: 1, queue.Pending: 1, queue.Finished: 1, queue.Failed: 2, queue.Canceled: 1})
		f.retry(t, dependency)
		f.Advance(time.Hour)
		check(map[queue.State]int64{queue.Blocked: 1, queue.Pending: 2, queue.Finished: 1, queue.Failed: 1, queue.Canceled: 1})
		f.delete(t, finished.JobID)
		f.delete(t, failed.JobID)
		check(map[queue.State]int64{queue.Blocked: 1, queue.Pending: 2, queue.Canceled: 1})
		for _, id := range ids {
			if err := f.Queue().CancelJob(t.Context(), id); err == nil {
				f.delete(t, id)
			}
		}
		check(nil)
	},
	"a call that is refused counts nothing": func(t *testing.T, f *fixture) {
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{Type: "work"}, {Type: "work", Dependencies: pick(f.enqueue(t, queue.NewJob{Type: "a"}), 0)}, {Type: "work", Delay: -1}})
		require.Error(t, err)
		f.requireCounts(t, "work", nil)
	},
	"pages go by channel and then by type": func(t *testing.T, f *fixture) {
		var want []queue.Lane
		for _, channel := range []string{"a", "a:b", "b"} {
			for _, jobType := range []string{"x", "y"} {
				f.enqueue(t, queue.NewJob{Type: jobType, Channel: channel})
				want = append(want, queue.Lane{Channel: channel, Type: jobType})
			}
		}
		for _, limit := range []int{1, 4, 6, 7} {
			var got []queue.Lane
			listing := queue.LaneListing{Limit: limit}
			for more := true; more; {
				page := f.queues(t, listing)
				require.LessOrEqual(t, len(page.Queues), limit)
				require.Equal(t, int64(6), page.Total[queue.Pending], "on every page")
				for i := range page.Queues {
					got = append(got, page.Queues[i].Lane)
				}
				more, listing.After = page.More, got[len(got)-1]
			}
			require.Equal(t, want, got, "pages of %d", limit)
		}
		page := f.queues(t, queue.LaneListing{Types: []string{"y", "z"}, Channels: []string{"b", "a"}})
		require.Len(t, page.Queues, 2)
		require.Equal(t, want[1], page.Queues[0].Lane)
		require.Equal(t, want[5], page.Queues[1].Lane)
		require.Equal(t, int64(2), page.Total[queue.Pending])
		_, err := f.Queue().Queues(t.Context(), queue.LaneListing{Limit: 1, Types: []string{"a b"}})
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "type[0]", invalid.Field)
	},
	"the jobs of channels that are not over": func(t *testing.T, f *fixture) {
		check := func(want map[string]int64) {
			t.Helper()
			got, err := f.Queue().OpenJobs(t.Context(), []string{"a", "ab", "none"})
			require.NoError(t, err)
			for _, channel := range []string{"a", "ab", "none", "b"} {
				require.Equal(t, want[channel], got[channel].Jobs, channel)
			}
		}
		check(nil)
		ids := f.enqueue(t, queue.NewJob{Type: "x", Channel: "a"}, queue.NewJob{Type: "y", Channel: "a"},
			queue.NewJob{Type: "x", Channel: "ab"}, queue.NewJob{Type: "x", Channel: "b"}, queue.NewJob{Type: "z", Channel: "a", Delay: time.Hour})
		f.enqueue(t, queue.NewJob{Type: "x", Channel: "a", Dependencies: pick(ids, 1)})
		check(map[string]int64{"a": 4, "ab": 1})
		l, err := f.Queue().DequeueByID(t.Context(), ids[0], queue.Holder{}, queue.Once{})
		require.NoError(t, err)
		check(map[string]int64{"a": 4, "ab": 1})
		f.finish(t, l.Token, "1")
		check(map[string]int64{"a": 3, "ab": 1})
		f.cancel(t, ids[1]) // and with it the one that depends on it
		f.cancel(t, ids[2])
		check(map[string]int64{"a": 1})
		f.Restart(t)
		check(map[string]int64{"a": 1})
		f.retry(t, ids[2])
		check(map[string]int64{"a": 1, "ab": 1})
	},
	"since when the oldest ready job is ready": func(t *testing.T, f *fixture) {
		oldest := func() time.Time {
			t.Helper()
			at := f.queues(t, queue.LaneListing{Types: []string{"work"}}).Queues[0].OldestReady
			f.Restart(t)
			require.Equal(t, at, f.queues(t, queue.LaneListing{Types: []string{"work"}}).Queues[0].OldestReady)
			return at
		}
		begin := f.Now()
		f.enqueue(t, queue.NewJob{Type: "work", RunAt: begin.Add(time.Hour)})
		require.True(t, oldest().IsZero(), "it is not ready")
		// Later ones, of other priorities, more of each than are kept in memory.
		for _, priority := range []int{-1, 100, 0} {
			f.Advance(time.Minute)
			jobs := make100("work")[:10]
			for i := range jobs {
				jobs[i].Priority = priority
			}
			f.enqueue(t, jobs...)
			require.Equal(t, begin.Add(time.Minute), oldest())
		}
		for i := range 20 { // those of 100 go first, then those of 0
			f.finish(t, f.dequeue(t, "work").Token, "1")
			require.Equal(t, begin.Add(time.Minute), oldest(), "after %d", i)
		}
		f.Advance(time.Hour)
		require.Equal(t, begin.Add(time.Hour), oldest(), "it was enqueued first, and is ready since")
		l := f.dequeue(t, "work")
		require.Equal(t, begin.Add(time.Minute), oldest())
		f.release(t, l.Token, 0)
		require.Equal(t, begin.Add(time.Hour), oldest())
		require.Len(t, f.runToEnd(t, "work"), 11)
		require.True(t, oldest().IsZero())
	},
	"how often things happen": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:60]...)
		for range 30 {
			f.finish(t, f.dequeue(t, "work").Token, "1")
		}
		for range 6 {
			f.fail(t, f.dequeue(t, "work").Token, "broken")
		}
		rates := func() queue.LaneInfo { return f.queues(t, queue.LaneListing{}).Queues[0] }
		near := func(want float64, got queue.Rates, passed time.Duration) {
			t.Helper()
			for _, r := range []struct{ minutes, got float64 }{{1, got.One}, {5, got.Five}, {15, got.Fifteen}} {
				require.InEpsilon(t, want/60/r.minutes*math.Exp(-passed.Minutes()/r.minutes), r.got, 1e-9)
			}
		}
		for _, passed := range []time.Duration{0, time.Minute, 10 * time.Minute} {
			f.Advance(passed)
			info := rates()
			if passed == 10*time.Minute {
				passed += time.Minute
			}
			near(60, info.Enqueued, passed)
			near(36, info.Started, passed)
			near(30, info.Finished, passed)
			near(6, info.Failed, passed)
		}
		// A job that is handed over at once is enqueued and started.
		later := f.dequeueLater(t, 1, "other")
		f.enqueue1(t, "other")
		receive(t, later)
		info := f.queues(t, queue.LaneListing{Types: []string{"other"}}).Queues[0]
		require.Positive(t, info.Enqueued.One)
		require.Equal(t, info.Enqueued, info.Started)
	},
}

var demandTests = map[string]func(*testing.T, *fixture){
	"the ready jobs that a worker could take": func(t *testing.T, f *fixture) {
		demand := func(d queue.Demand) queue.DemandAnswer {
			t.Helper()
			answer, err := f.Queue().Demand(t.Context(), d)
			require.NoError(t, err)
			return answer
		}
		f.enqueue(t, make100("a")[:5]...)
		f.enqueue(t, queue.NewJob{Type: "b"}, queue.NewJob{Type: "b", RunAt: f.Now().Add(time.Hour)}, queue.NewJob{Type: "a", Channel: "x"})
		require.Equal(t, queue.DemandAnswer{Ready: 5, Exact: true}, demand(queue.Demand{Types: []string{"a"}}))
		require.Equal(t, queue.DemandAnswer{Ready: 6, Exact: true}, demand(queue.Demand{Types: []string{"a", "b", "c", "a"}}))
		require.Equal(t, queue.DemandAnswer{Ready: 1, Exact: true}, demand(queue.Demand{Types: []string{"a", "b"}, Channels: []string{"x"}}))
		require.Equal(t, queue.DemandAnswer{Ready: 0, Exact: true}, demand(queue.Demand{Types: []string{"c"}}))
		f.dequeue(t, "a")
		f.Restart(t)
		require.Equal(t, queue.DemandAnswer{Ready: 4, Exact: true}, demand(queue.Demand{Types: []string{"a"}}))
		_, err := f.Queue().Demand(t.Context(), queue.Demand{})
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "types", invalid.Field)
	},
	"by labels": func(t *testing.T, f *fixture) {
		jobs := make100("a")[:9]
		for i := range jobs {
			jobs[i].Labels = map[string]string{"i": "1"}
			if i%3 == 0 {
				jobs[i].Labels["os"] = "linux"
			}
			jobs[i].Priority = i % 2
		}
		f.enqueue(t, jobs...)
		f.Restart(t)
		for want, labels := range map[int64][]queue.LabelFilter{
			9: {{Name: "i"}},
			3: {{Name: "i", Value: new("1")}, {Name: "os", Value: new("linux")}},
			0: {{Name: "os", Value: new("hurd")}},
		} {
			answer, err := f.Queue().Demand(t.Context(), queue.Demand{Types: []string{"b", "a"}, Labels: labels})
			require.NoError(t, err)
			require.Equal(t, queue.DemandAnswer{Ready: want, Exact: true}, answer)
		}
	},
}
