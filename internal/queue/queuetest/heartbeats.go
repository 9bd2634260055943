package queuetest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var heartbeatTests = map[string]func(*testing.T, *fixture){
	"a lease is stale when it was silent for the time": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		require.Empty(t, f.staleTokens(t, time.Minute), "the claim is a beat")
		f.Advance(time.Minute)
		require.Equal(t, []uuid.UUID{l.Token}, f.staleTokens(t, time.Minute))
		require.Empty(t, f.staleTokens(t, 2*time.Minute))
	},
	"a heartbeat resets the clock": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		for range 3 {
			f.Advance(50 * time.Second)
			require.Equal(t, queue.BeatAnswer{}, f.beat(t, l.Token, queue.Beat{}))
			require.Empty(t, f.staleTokens(t, time.Minute))
		}
	},
	// ORIGIN 17.
	"looking is no heartbeat": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		f.Advance(time.Minute)
		_, err := f.Queue().Lease(t.Context(), l.Token)
		require.NoError(t, err)
		_, err = f.Queue().IdFromToken(t.Context(), l.Token)
		require.NoError(t, err)
		f.status(t, id)
		require.Equal(t, []uuid.UUID{l.Token}, f.staleTokens(t, time.Minute))
	},
	"stale leases come oldest beat first": func(t *testing.T, f *fixture) {
		var tokens []uuid.UUID
		for range 4 {
			f.enqueue1(t, "build")
			tokens = append(tokens, f.dequeue(t, "build").Token)
			f.Advance(time.Second)
		}
		f.beat(t, tokens[1], queue.Beat{})
		f.Advance(time.Minute)
		require.Equal(t, []uuid.UUID{tokens[0], tokens[2], tokens[3], tokens[1]}, f.staleTokens(t, time.Minute))
	},
	"a job's own heartbeat timeout counts, whatever is asked": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "short", HeartbeatTimeout: 10 * time.Second},
			queue.NewJob{Type: "long", HeartbeatTimeout: time.Hour}, queue.NewJob{Type: "none"})
		short, long, none := f.dequeue(t, "short").Token, f.dequeue(t, "long").Token, f.dequeue(t, "none").Token
		stale := func(olderThan time.Duration, want ...uuid.UUID) {
			t.Helper()
			require.ElementsMatch(t, want, f.staleTokens(t, olderThan), "older than %s", olderThan)
		}
		f.Advance(10*time.Second - tick)
		stale(time.Minute)
		stale(time.Second, none)
		f.Advance(tick)
		stale(time.Minute, short)
		stale(2*time.Hour, short)
		f.beat(t, short, queue.Beat{})
		stale(time.Minute)
		f.Advance(50 * time.Second)
		stale(time.Minute, short, none)
		stale(0, short, none)
		f.Advance(time.Hour - time.Minute - tick)
		stale(time.Minute, short, none)
		f.Advance(tick)
		stale(time.Minute, short, long, none)
		f.Restart(t)
		stale(time.Minute)
		f.Advance(10 * time.Second)
		stale(time.Minute, short)
		f.lose(t, short, 2)
		f.Advance(time.Minute)
		stale(time.Minute, none)
	},
	// ORIGIN 2.
	"what is over or requeued has no heartbeat": func(t *testing.T, f *fixture) {
		for range 5 {
			f.enqueue1(t, "build")
		}
		f.finish(t, f.dequeue(t, "build").Token, `1`)
		f.fail(t, f.dequeue(t, "build").Token, "broken")
		lost, released, canceled := f.dequeue(t, "build"), f.dequeue(t, "build"), f.dequeue(t, "build")
		f.lose(t, lost.Token, 2)
		f.release(t, released.Token, 0)
		f.cancel(t, canceled.JobID)
		f.Advance(time.Hour)
		require.Empty(t, f.staleTokens(t, 0))
	},
}
