package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// A claim of several lines looks at so many of the first jobs as it wants. Those behind them are found all the
// same while others have the first ones locked: a server of one queue that has no other, in a change of its own.
func TestAClaimOfSeveralTypesPassesJobsThatAreLocked(t *testing.T) {
	t.Parallel()
	for _, locked := range []int{1, 3, claimSize + 1} {
		t.Run(fmt.Sprint(locked), func(t *testing.T) {
			t.Parallel()
			s := openServer(t, migrated(t, pgtest.Database(t)), Options{})
			require.Eventually(t, s.isAlone, soon, tick)
			jobs := make([]queue.NewJob, locked, locked+2)
			for i := range jobs {
				jobs[i] = queue.NewJob{Type: "one"}
			}
			ids := add(t, s, append(jobs, queue.NewJob{Type: "one"}, queue.NewJob{Type: "two"})...)
			var got []uuid.UUID
			holding(t, s, ids[:locked], func() {
				for range 2 {
					l := get(t, dequeuing(t, s, "one", "two"))
					require.NoError(t, l.err)
					got = append(got, l.lease.JobID)
					done(t, s, &l.lease)
				}
			})
			require.Equal(t, ids[locked:], got)
			for range locked {
				l := get(t, dequeuing(t, s, "one", "two"))
				require.NoError(t, l.err)
				done(t, s, &l.lease)
			}
		})
	}
}

// Who does not wait is not told that there is nothing while there is.
func TestAClaimOfSeveralTypesThatDoesNotWaitPassesJobsThatAreLocked(t *testing.T) {
	t.Parallel()
	for _, locked := range []int{1, claimSize} {
		t.Run(fmt.Sprint(locked), func(t *testing.T) {
			t.Parallel()
			a, b := twoServers(t, Options{})
			ids := add(t, a, slices.Repeat([]queue.NewJob{{Type: "one"}}, locked)...)
			ids = append(ids, add(t, a, queue.NewJob{Type: "one"}, queue.NewJob{Type: "two"})...)
			holding(t, b, ids[:locked], func() {
				for _, id := range ids[locked:] {
					l := take(t, a, "one", "two")
					require.Equal(t, id, l.JobID)
					done(t, a, &l)
				}
			})
		})
	}
}

// holding does something while a change of a server has jobs locked, which it leaves as they are.
func holding(t *testing.T, s *Store, ids []uuid.UUID, do func()) {
	t.Helper()
	require.NoError(t, s.change(t.Context(), func(c *change) error {
		err := c.readMany(ids)
		do()
		return err
	}))
}

// dequeuing starts a dequeue that waits.
func dequeuing(t *testing.T, s *Store, types ...string) <-chan leaseOr {
	t.Helper()
	got := make(chan leaseOr, 1)
	go func() {
		l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: types})
		got <- leaseOr{lease: l, err: err}
	}()
	return got
}

// Otherwise there were as many who look at a job that is locked as came meanwhile, with no pause between them.
func TestAGroupLooksLaterOnceAtATime(t *testing.T) {
	t.Parallel()
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{})
	takeLater(t, s, "one")
	d := &s.claims
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[keyOf((&queue.DequeueRequest{Types: []string{"one"}}).Lanes())]
	for range 3 {
		d.lookLater(g)
		require.True(t, g.later)
		require.Equal(t, lockedPause, g.pause)
	}
}
