package queuetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// requireListed requires that a list has just these jobs, in pages of any size.
func (f *fixture) requireListed(t *testing.T, want []uuid.UUID, listing queue.Listing) {
	t.Helper()
	for _, limit := range []int{1, 3, 100} {
		listing.Limit = limit
		got, err := pagesOf(f.Queue(), listing)
		require.NoError(t, err)
		require.Equal(t, want, got, "pages of %d", limit)
	}
}

var listFilterTests = map[string]func(*testing.T, *fixture){
	"the oldest first": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:7]...)
		f.Advance(time.Second)
		ids = append(ids, f.enqueue(t, make100("work")[:7]...)...)
		f.Restart(t)
		f.requireListed(t, ids, queue.Listing{OldestFirst: true})
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.requireListed(t, ids[:1], queue.Listing{OldestFirst: true, Filter: queue.Filter{States: []queue.State{queue.Failed}}})
	},
	"by type and channel, whatever became of the jobs": func(t *testing.T, f *fixture) {
		byLane := make(map[queue.Lane][]uuid.UUID)
		var all []uuid.UUID
		for range 3 {
			for _, lane := range []queue.Lane{{Channel: "x", Type: "a"}, {Channel: "x", Type: "b"}, {Channel: "y", Type: "a"}} {
				ids := f.enqueue(t, queue.NewJob{Type: lane.Type, Channel: lane.Channel}, queue.NewJob{Type: lane.Type, Channel: lane.Channel})
				f.cancel(t, ids[0])
				byLane[lane] = append(byLane[lane], ids...)
				all = append(all, ids...)
			}
		}
		for _, c := range []struct {
			types, channels []string
			want            func(queue.Lane) bool
		}{
			{[]string{"a"}, nil, func(l queue.Lane) bool { return l.Type == "a" }},
			{[]string{"b", "a"}, nil, func(queue.Lane) bool { return true }},
			{nil, []string{"x"}, func(l queue.Lane) bool { return l.Channel == "x" }},
			{[]string{"a"}, []string{"y", "z"}, func(l queue.Lane) bool { return l == queue.Lane{Channel: "y", Type: "a"} }},
			{[]string{"c"}, nil, func(queue.Lane) bool { return false }},
			{nil, []string{"default"}, func(queue.Lane) bool { return false }},
		} {
			var want []uuid.UUID
			for _, id := range slices.Backward(all) {
				for lane, ids := range byLane {
					if c.want(lane) && slices.Contains(ids, id) {
						want = append(want, id)
					}
				}
			}
			f.requireListed(t, want, queue.Listing{Filter: queue.Filter{Types: c.types, Channels: c.channels}})
		}
	},
	"by labels, all of which a job must have": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Type: "a", Labels: map[string]string{"team": "print", "size": "9"}},
			queue.NewJob{Type: "a", Labels: map[string]string{"team": "web"}},
			queue.NewJob{Type: "a"},
			queue.NewJob{Type: "a", Labels: map[string]string{"size": ""}},
		)
		f.cancel(t, ids[3])
		team, size := queue.LabelFilter{Name: "team"}, queue.LabelFilter{Name: "size"}
		f.requireListed(t, pick(ids, 1, 0), queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{team}}})
		f.requireListed(t, pick(ids, 3, 0), queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{size}}})
		f.requireListed(t, pick(ids, 0), queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{size, team}}})
		size.Value = new("")
		f.requireListed(t, pick(ids, 3), queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{size}}})
		size.Value = new("8")
		f.requireListed(t, nil, queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{size}}})
		f.update(t, ids[2], queue.Update{Labels: &map[string]string{"size": "8"}})
		f.requireListed(t, pick(ids, 2), queue.Listing{Filter: queue.Filter{Labels: []queue.LabelFilter{size}}})
	},
	"by when they were queued, to the microsecond": func(t *testing.T, f *fixture) {
		var ids []uuid.UUID
		var at []time.Time
		for _, step := range []time.Duration{0, time.Microsecond, time.Microsecond, 997 * time.Microsecond, time.Hour} {
			f.Advance(step)
			ids = append(ids, f.enqueue(t, queue.NewJob{Type: "a"}, queue.NewJob{Type: "a"})...)
			at = append(at, f.Now())
		}
		f.cancel(t, ids[2])
		f.Restart(t)
		for from := range at {
			f.requireListed(t, ids[2*from:], queue.Listing{OldestFirst: true, Filter: queue.Filter{QueuedFrom: at[from]}})
			for before := from + 1; before < len(at); before++ {
				filter := queue.Filter{QueuedFrom: at[from], QueuedBefore: at[before]}
				f.requireListed(t, ids[2*from:2*before], queue.Listing{OldestFirst: true, Filter: filter})
			}
		}
		// Between two microseconds there is nobody.
		filter := queue.Filter{QueuedFrom: at[0].Add(time.Nanosecond), QueuedBefore: at[1].Add(time.Nanosecond)}
		f.requireListed(t, ids[2:4], queue.Listing{OldestFirst: true, Filter: filter})
	},
	"what contradicts itself is refused": func(t *testing.T, f *fixture) {
		for field, filter := range map[string]queue.Filter{
			"queued_before": {QueuedFrom: f.Now(), QueuedBefore: f.Now()},
			"queued_from":   {QueuedFrom: time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC)},
			"type[1]":       {Types: []string{"a", "b c"}},
			"channel[0]":    {Channels: []string{""}},
			"channel":       {Channels: make([]string, queue.MaxChannels+1)},
			"label":         {Labels: []queue.LabelFilter{{Name: "a"}, {Name: "a", Value: new("1")}}},
		} {
			_, err := f.Queue().ListJobs(t.Context(), queue.Listing{Limit: 1, Filter: filter})
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, field, invalid.Field)
		}
	},
	"parts that are not wanted are left out": func(t *testing.T, f *fixture) {
		id := f.enqueue(t, queue.NewJob{Type: "a", Args: args(`1`)})[0]
		f.enqueue1(t, "b", id)
		l := f.dequeue(t, "a")
		f.beat(t, l.Token, queue.Beat{PartialResult: args(`2`), Progress: progress(5, "x")})
		f.fail(t, l.Token, "broken")
		page, err := f.Queue().ListJobs(t.Context(), queue.Listing{OldestFirst: true, Limit: 1})
		require.NoError(t, err)
		whole := page.Jobs[0]
		for _, omit := range []queue.Parts{{Args: true}, {Outcome: true}, {Reported: true}, {Dependents: true}, {Args: true, Outcome: true, Reported: true, Dependents: true}} {
			page, err := f.Queue().ListJobs(t.Context(), queue.Listing{OldestFirst: true, Limit: 1, Omit: omit})
			require.NoError(t, err)
			want := whole
			if omit.Args {
				want.Job.Args = nil
			}
			if omit.Outcome {
				want.Status.Error = nil
			}
			if omit.Reported {
				want.Status.Progress, want.Status.PartialResult = nil, nil
			}
			if omit.Dependents {
				want.Status.Dependents = nil
			}
			require.Equal(t, want, page.Jobs[0])
		}
	},
}
