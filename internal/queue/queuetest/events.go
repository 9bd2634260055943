package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// events reads all events after a position, and returns the position after them.
func (f *fixture) events(t *testing.T, filter queue.EventFilter, after queue.EventPosition) ([]queue.Event, queue.EventPosition) {
	t.Helper()
	var events []queue.Event
	for {
		some, err := f.Queue().ReadEvents(now(), filter, after, 2)
		require.NoError(t, err)
		require.False(t, some.Missed)
		require.LessOrEqual(t, len(some.Events), 2)
		after = some.Next
		if len(some.Events) == 0 {
			return events, after
		}
		events = append(events, some.Events...)
	}
}

// requireEvents requires the events of one job, and that each is newer than the one before.
func requireEvents(t *testing.T, got []queue.Event, id uuid.UUID, want ...queue.State) {
	t.Helper()
	var states []queue.State
	for i, e := range got {
		require.Equal(t, id, e.JobID)
		states = append(states, e.State)
		if i > 0 {
			require.Greater(t, e.Number, got[i-1].Number)
		}
	}
	require.Equal(t, want, states)
}

var eventTests = map[string]func(*testing.T, *fixture){
	"every change of a job is told": func(t *testing.T, f *fixture) {
		from := f.Queue().EventPosition()
		id := f.enqueue(t, queue.NewJob{Type: "work", Channel: "x"})[0]
		request := queue.DequeueRequest{Types: []string{"work"}, Channels: []string{"x"}}
		l, err := f.Queue().Dequeue(now(), request)
		require.NoError(t, err)
		f.beat(t, l.Token, queue.Beat{Progress: progress(5, "x")})
		f.release(t, l.Token, 0)
		l, err = f.Queue().Dequeue(now(), request)
		require.NoError(t, err)
		f.fail(t, l.Token, "broken")
		f.retry(t, id)
		f.cancel(t, id)
		f.delete(t, id)
		events, _ := f.events(t, queue.EventFilter{}, from)
		requireEvents(t, events, id, queue.Pending, queue.Running, queue.Running, queue.Pending, queue.Running, queue.Failed,
			queue.Pending, queue.Canceled, queue.Canceled)
		for i, e := range events {
			require.Equal(t, queue.Lane{Channel: "x", Type: "work"}, e.Lane)
			require.Equal(t, f.Now(), e.At)
			require.Equal(t, i == len(events)-1, e.Deleted)
		}
		require.Equal(t, uint64(2), events[4].Attempt)
		require.Greater(t, events[4].Version, events[3].Version)
	},
	"so are changes that come of another job's": func(t *testing.T, f *fixture) {
		first := f.enqueue1(t, "first")
		second := f.enqueue1(t, "second", first)
		filter := queue.EventFilter{IDs: []uuid.UUID{second}}
		from := f.Queue().EventPosition()
		f.fail(t, f.dequeue(t, "first").Token, "broken")
		f.retry(t, first)
		f.finish(t, f.dequeue(t, "first").Token, "1")
		events, from := f.events(t, filter, from)
		requireEvents(t, events, second, queue.Failed, queue.Blocked, queue.Pending)
		f.finish(t, f.dequeue(t, "second").Token, "1")
		f.Advance(time.Second)
		f.pruneAll(t, f.Now())
		events, _ = f.events(t, filter, from)
		requireEvents(t, events, second, queue.Running, queue.Finished, queue.Finished)
		require.True(t, events[2].Deleted)
	},
	"a job that is handed over at once is told of as running": func(t *testing.T, f *fixture) {
		from := f.Queue().EventPosition()
		leases := f.dequeueLater(t, 1, "work")
		id := f.enqueue1(t, "work")
		receive(t, leases)
		events, _ := f.events(t, queue.EventFilter{}, from)
		require.Equal(t, queue.Running, events[len(events)-1].State)
		require.Equal(t, id, events[0].JobID)
	},
	"by channel, type and job": func(t *testing.T, f *fixture) {
		from := f.Queue().EventPosition()
		var ids []uuid.UUID
		for _, channel := range []string{"x", "y"} {
			for _, jobType := range []string{"a", "b"} {
				ids = append(ids, f.enqueue(t, queue.NewJob{Type: jobType, Channel: channel})...)
			}
		}
		for _, c := range []struct {
			filter queue.EventFilter
			want   []uuid.UUID
		}{
			{queue.EventFilter{}, ids},
			{queue.EventFilter{Channels: []string{"x", "z"}}, ids[:2]},
			{queue.EventFilter{Types: []string{"b"}}, pick(ids, 1, 3)},
			{queue.EventFilter{Types: []string{"b"}, Channels: []string{"y"}}, pick(ids, 3)},
			{queue.EventFilter{IDs: pick(ids, 3, 0), Channels: []string{"x"}}, pick(ids, 0)},
			{queue.EventFilter{Types: []string{"c"}}, nil},
		} {
			events, next := f.events(t, c.filter, from)
			var got []uuid.UUID
			for _, e := range events {
				got = append(got, e.JobID)
			}
			require.Equal(t, c.want, got)
			require.Equal(t, f.Queue().EventPosition(), next)
		}
		_, err := f.Queue().ReadEvents(t.Context(), queue.EventFilter{IDs: make([]uuid.UUID, queue.MaxEventIDs+1)}, from, 1)
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "id", invalid.Field)
	},
	"whoever waits is woken by what it wants": func(t *testing.T, f *fixture) {
		q := f.Queue()
		for _, filter := range []queue.EventFilter{{}, {Channels: []string{"x"}}, {Types: []string{"a"}}} {
			from := q.EventPosition()
			read := later(t, func(ctx context.Context) (queue.Events, error) { return q.ReadEvents(ctx, filter, from, 10) })
			if len(filter.Channels)+len(filter.Types) > 0 {
				f.enqueue(t, queue.NewJob{Type: "b", Channel: "y"})
			}
			id := f.enqueue(t, queue.NewJob{Type: "a", Channel: "x"})[0]
			events := receive(t, read)
			requireEvents(t, events.Events, id, queue.Pending)
		}
	},
	"whoever comes back after a restart has missed something": func(t *testing.T, f *fixture) {
		from := f.Queue().EventPosition()
		f.enqueue1(t, "a")
		f.Advance(time.Second)
		f.Restart(t)
		events, err := f.Queue().ReadEvents(t.Context(), queue.EventFilter{}, from, 1)
		require.NoError(t, err)
		require.Equal(t, queue.Events{Missed: true, Next: f.Queue().EventPosition()}, events)
		id := f.enqueue1(t, "a")
		after, _ := f.events(t, queue.EventFilter{}, events.Next)
		requireEvents(t, after, id, queue.Pending)
		from = f.Queue().EventPosition()
		from.Number++ // which has not happened
		events, err = f.Queue().ReadEvents(t.Context(), queue.EventFilter{}, from, 1)
		require.NoError(t, err)
		require.True(t, events.Missed)
	},
	"whoever is too slow is told what it has missed": func(t *testing.T, f *fixture) {
		from := f.Queue().EventPosition()
		jobs := make([]queue.NewJob, 2000)
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: "a"}
		}
		var events queue.Events
		told := uint64(0)
		for ; !events.Missed && told < 1_000_000; told += 2000 {
			f.enqueue(t, jobs...)
			var err error
			events, err = f.Queue().ReadEvents(now(), queue.EventFilter{Types: []string{"b"}}, from, 1)
			require.NoError(t, err)
		}
		require.True(t, events.Missed)
		require.Empty(t, events.Events)
		require.Positive(t, events.MissedUpTo)
		require.LessOrEqual(t, events.MissedUpTo, told)
	},
}
