package postgres

import (
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// TestGroupKeepsTheOrderInWhichCallersCame compares a group with a plain list of its waiters.
func TestGroupKeepsTheOrderInWhichCallersCame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := new(group)
		var line []*waiter // who waits, first come first
		var came uint64
		asleep := make(map[*waiter]bool)
		one := func(t *rapid.T) *waiter {
			if len(line) == 0 {
				t.Skip("nobody waits")
			}
			return rapid.SampledFrom(line).Draw(t, "who")
		}
		until := func(t *rapid.T) uint64 { return rapid.Uint64Range(0, came).Draw(t, "until") }
		t.Repeat(map[string]func(*rapid.T){
			"comes": func(*rapid.T) {
				came++
				w := &waiter{came: came, looked: make(chan struct{})}
				g.add(w)
				line = append(line, w)
			},
			"goes": func(t *rapid.T) {
				w := one(t)
				g.remove(w)
				line = slices.DeleteFunc(line, func(other *waiter) bool { return other == w })
			},
			"is claimed for, or not any more": func(t *rapid.T) {
				w := one(t)
				w.claims = !w.claims
			},
			"is told": func(t *rapid.T) {
				last := until(t)
				g.tell(last)
				for _, w := range line {
					asleep[w] = asleep[w] || !w.claims && w.came <= last
				}
			},
			"all who do not know go": func(t *rapid.T) {
				last := until(t)
				is := func(w *waiter) bool { return !asleep[w] && w.came <= last }
				for w := range g.each(unaware) {
					if w.came <= last {
						g.remove(w)
					}
				}
				line = slices.DeleteFunc(line, is)
			},
			"": func(t *rapid.T) {
				awake := slices.DeleteFunc(slices.Clone(line), func(w *waiter) bool { return asleep[w] })
				require.Equal(t, numbers(slices.Values(line)), numbers(g.each(everybody)))
				require.Equal(t, numbers(slices.Values(awake)), numbers(g.each(unaware)))
				require.Equal(t, len(line) == 0, g.isEmpty())
				last := until(t)
				require.Equal(t, slices.ContainsFunc(awake, func(w *waiter) bool { return w.came <= last }), g.hasUnaware(last))
				for _, w := range line {
					require.Equal(t, asleep[w], w.isAware)
					require.Equal(t, asleep[w], isClosed(w.looked))
				}
			},
		})
	})
}

// numbers tell waiters apart.
func numbers(waiters iter.Seq[*waiter]) (came []uint64) {
	for w := range waiters {
		came = append(came, w.came)
	}
	return came
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A round takes a few groups only. The others wait for the next one, in the order in which they came, and
// no longer than there is somebody in them.
func TestRoundsTakeGroupsInTheOrderInWhichTheyCame(t *testing.T) {
	t.Parallel()
	s := new(Store)
	s.rounds.init(s)
	s.claims.init(s)
	d := &s.claims
	const groups = 2*claimsAtOnce + 8
	waiters := make([]*waiter, groups)
	for i := range waiters {
		waiters[i] = d.join([]queue.Lane{{Channel: queue.DefaultChannel, Type: string(rune('A' + i))}}, 1, queue.Holder{}, queue.Once{})
	}
	began := func() (came []uint64) {
		for _, part := range d.begin(nil) {
			came = append(came, part.group.first(everybody).came)
		}
		return came
	}
	require.Equal(t, upTo(1, claimsAtOnce), began())
	require.True(t, d.leave(waiters[claimsAtOnce]), "it was given nothing")
	d.join(waiters[0].group.lanes, 1, queue.Holder{}, queue.Once{}) // whose group is first again
	require.Equal(t, append([]uint64{1}, upTo(claimsAtOnce+2, 2*claimsAtOnce)...), began())
	require.Equal(t, upTo(2*claimsAtOnce+1, groups), began())
	require.Empty(t, began())
}

// upTo are the numbers from first to last.
func upTo(first, last uint64) (numbers []uint64) {
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}
