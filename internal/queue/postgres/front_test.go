package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// frontOfOne is what is known of one line.
type frontOfOne struct {
	fronts
	lane queue.Lane
}

func newFront() *frontOfOne {
	return &frontOfOne{newFronts(), queue.Lane{Channel: "default", Type: "work"}}
}

func (f *frontOfOne) ready(places ...int64) {
	for _, place := range places {
		f.notice(f.lane, 1, 0, place, false)
	}
}

func (f *frontOfOne) begin() searched { return f.search([]queue.Lane{f.lane}) }

func found(places ...int64) (grants []grant) {
	for _, place := range places {
		grants = append(grants, grant{changed: changed{place: place, lane: 1}})
	}
	return grants
}

// requireLooksFor requires that the next claim would find a job.
func (f *frontOfOne) requireLooksFor(t *testing.T, place int64) {
	t.Helper()
	next := f.begin()
	require.Len(t, next.floors, 1, "it looks at nothing")
	require.LessOrEqual(t, next.floors[0], place)
	require.Positive(t, next.most)
}

func TestAClaimDoesNotPassWhatBecameReadyBehindItsBack(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(120)
	claim := f.begin()
	f.ready(101)
	claim.claimed(found(120))
	f.requireLooksFor(t, 101)
}

func TestJobsThatWereClaimedBeforeTheyWereKnownHideNoOther(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(100)
	claim := f.begin()
	f.ready(101, 102)
	claim.claimed(found(100, 120, 121)) // the last two of which a transaction has added that was not heard of yet
	f.ready(120, 121)
	f.requireLooksFor(t, 101)
}

// A database that has lost a lane gives its number to the next one that is new.
func TestAClaimLooksInNoLaneThatHasGotTheNumberOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(100)
	quiet, _ := f.sweep()
	require.Empty(t, quiet)
	quiet, _ = f.sweep()
	require.Len(t, quiet, 1)
	other := queue.Lane{Channel: "default", Type: "other"}
	f.notice(other, 1, 0, 101, false)
	require.Empty(t, f.begin().lanes)
	require.Equal(t, []int32{1}, f.search([]queue.Lane{other}).lanes)
	f.swept(quiet, nil)
	f.notice(f.lane, 2, 0, 102, false)
	require.Equal(t, []int32{2}, f.begin().lanes)
	f.notice(other, 1, 0, 103, false)
	require.Equal(t, []int32{1}, f.search([]queue.Lane{other}).lanes)
}

func TestAClaimDoesNotPassWhatALaterOneLooksFor(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(120)
	first := f.begin()
	f.ready(101)
	second := f.begin()
	first.claimed(found(120))
	second.claimed(nil) // it wanted none
	f.requireLooksFor(t, 101)
}

func TestAClaimDoesNotPassWhatSomebodyElseHasLocked(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(101)
	claim := f.begin()
	grants := found(102, 103) // which were not heard of yet
	for i := range grants {
		grants[i].passed = 101
	}
	claim.claimed(grants)
	f.requireLooksFor(t, 101)
	claim = f.begin()
	claim.claimed(found(101, 104))
	claim = f.begin()
	require.Empty(t, claim.floors)
	f.ready(107)
	require.Equal(t, int64(105), f.begin().floors[0])
}

func TestClaimsThatOverlapWithoutEndPassWhatTheyTake(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(1)
	before := f.begin()
	for place := int64(1); place < 100; place++ {
		f.ready(place + 1)
		next := f.begin()
		require.GreaterOrEqual(t, next.floors[0], place-1)
		before.claimed(found(place))
		before = next
	}
}

func TestAClaimThatFailedIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(7)
	first := f.begin()
	f.ready(9)
	second := f.begin()
	second.claimed(found(9))
	first.undo()
	f.requireLooksFor(t, 7)
}

func TestOnlyTheNewestClaimOfALineIsAskedAfter(t *testing.T) {
	t.Parallel()
	f := newFront()
	f.ready(7)
	first := f.begin()
	second := f.begin()
	first.claimed(nil)
	second.claimed(nil)
	var at searched
	at.addNewest(&first)
	require.Empty(t, at.lanes)
	at.addNewest(&second)
	require.Equal(t, searched{lanes: second.lanes, ranks: second.ranks, floors: second.floors}, at)
	require.True(t, first.drained(nil), "who is not asked for looks again while there may be something")
	require.True(t, second.drained(map[line]int64{{1, 0}: 7}))
	f.requireLooksFor(t, 7)
	last := f.begin()
	last.claimed(nil)
	require.False(t, last.drained(nil))
	require.False(t, first.drained(nil), "and not once the line is known to be empty")
}

func TestWhatIsNotClaimedForLongTakesNoMemory(t *testing.T) {
	t.Parallel()
	f := newFront()
	for place := range int64(10 * mostCounted) {
		f.ready(place + 1)
		require.LessOrEqual(t, len(f.line(f.lane, 1, 0).came), mostCounted)
	}
	claim := f.begin()
	require.Equal(t, many, claim.most)
	require.Equal(t, int64(1), claim.floors[0])
}
