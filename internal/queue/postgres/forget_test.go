package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestLanesThatAreEmptyAreForgotten(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	limits := defaultLimits()
	limits.lanes = 5
	var servers [2]*Store
	for i := range servers {
		s, err := open(t.Context(), dsn, Options{Logger: newCalmLog(t)}, limits)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		servers[i] = s
	}
	adds, takes := servers[0], servers[1]
	add(t, adds, queue.NewJob{Type: "stays"})
	for i := range 30 {
		name := fmt.Sprint("type-", i)
		add(t, adds, queue.NewJob{Type: name}, queue.NewJob{Type: name, Priority: 3})
		for range 2 {
			l := take(t, takes, name)
			done(t, takes, &l)
		}
	}
	for _, s := range servers {
		require.NoError(t, s.tail.sync(t.Context()))
		for range 2 { // the first is when they begin to be quiet
			require.NoError(t, s.claims.forgetLines(t.Context()))
		}
		s.claims.mu.Lock()
		require.Len(t, s.claims.fronts.byLane, 1, "which has a job")
		s.claims.mu.Unlock()
		s.lanes.mu.RLock()
		require.Len(t, s.lanes.byID, limits.lanes)
		require.Len(t, s.lanes.byLane, limits.lanes)
		s.lanes.mu.RUnlock()
		require.Equal(t, limits.lanes, s.rates.length())
		s.rates.forget(time.Now().Add(ratesKept + time.Minute))
		require.Zero(t, s.rates.length())
	}
	for _, s := range servers {
		got := takeLater(t, s, "type-3")
		id := add(t, adds, queue.NewJob{Type: "type-3"})[0]
		l := get(t, got)
		require.NoError(t, l.err)
		require.Equal(t, id, l.lease.JobID)
		done(t, s, &l.lease)
	}
	l := take(t, takes, "stays")
	done(t, takes, &l)
}

func (r *laneRates) length() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.meters)
}

func TestALineIsForgottenOnlyWhileNothingHappensInIt(t *testing.T) {
	t.Parallel()
	sweep := func(f *frontOfOne, firsts map[line]int64, meanwhile func()) {
		_, _ = f.sweep()
		quiet, _ := f.sweep()
		meanwhile()
		f.swept(quiet, firsts)
	}
	nothing := func() {}
	first := map[line]int64{{1, 0}: 7}

	f := newFront()
	f.ready(7)
	sweep(f, first, nothing)
	f.requireLooksFor(t, 7)

	f = newFront()
	f.ready(7)
	sweep(f, nil, func() { f.ready(9) })
	f.requireLooksFor(t, 9)

	f = newFront()
	f.ready(7)
	var claim searched
	sweep(f, nil, func() { claim = f.begin() })
	require.Len(t, f.byLane, 1, "what a claim comes to would be forgotten")
	claim.claimed(nil)
	sweep(f, nil, nothing)
	require.True(t, claim.drained(first))
	claim.letGo()
	f.requireLooksFor(t, 7)

	f = newFront()
	f.ready(7)
	claim = f.begin()
	claim.claimed(found(7))
	claim.letGo()
	sweep(f, nil, nothing)
	require.Empty(t, f.byLane)

	f = newFront()
	f.ready(7)
	sweep(f, nil, nothing)
	require.Empty(t, f.byLane, "somebody else has claimed it")
}
