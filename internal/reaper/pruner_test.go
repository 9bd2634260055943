package reaper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/reaper"
)

// prunes records the calls to Prune, each of which takes a while.
type prunes struct {
	answers []pruned // of the calls, in their order; the last one for all others
	takes   time.Duration
	calls   []pruneCall
}

type pruned struct {
	done bool
	err  error
}

type pruneCall struct{ at, before time.Duration } // since the test began

func (p *prunes) prune(start, before time.Time) (bool, error) {
	call := pruneCall{at: time.Since(start), before: before.Sub(start)}
	if before.IsZero() {
		call.before = 0
	}
	p.calls = append(p.calls, call)
	time.Sleep(p.takes)
	answer := p.answers[0]
	if len(p.answers) > 1 {
		p.answers = p.answers[1:]
	}
	return answer.done, answer.err
}

type pruneFunc func(before time.Time) (bool, error)

func (f pruneFunc) Prune(_ context.Context, before time.Time) (bool, error) { return f(before) }

// prunesWithin lets a Pruner run for a time.
func prunesWithin(t *testing.T, p *prunes, retention, within time.Duration) []pruneCall {
	t.Helper()
	start := time.Now()
	pruner := reaper.NewPruner(pruneFunc(func(before time.Time) (bool, error) { return p.prune(start, before) }),
		retention, queue.NopLogger{})
	pruner.Start()
	time.Sleep(within)
	pruner.Stop()
	pruner.Stop()
	return p.calls
}

func TestARoundOfPruningRestsAfterEachStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &prunes{answers: []pruned{{done: false}, {done: false}, {done: true}}, takes: 100 * time.Millisecond}
		const second = time.Second
		require.Equal(t, []pruneCall{
			{2 * second, -98 * second},
			{2500 * time.Millisecond, -97500 * time.Millisecond},
			{3 * second, -97 * second},
			{5100 * time.Millisecond, -94900 * time.Millisecond}, // the next round
		}, prunesWithin(t, p, 100*second, 6*second))
	})
}

func TestAStepOfPruningThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &prunes{answers: []pruned{{err: errors.New("read")}, {done: true}}}
		calls := prunesWithin(t, p, 24*time.Hour, 21*time.Minute)
		require.Len(t, calls, 3)
		require.Equal(t, []time.Duration{10 * time.Minute, 10*time.Minute + time.Second, 20*time.Minute + time.Second},
			[]time.Duration{calls[0].at, calls[1].at, calls[2].at})
	})
}

func TestNothingIsOldWithoutARetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &prunes{answers: []pruned{{done: true}}}
		require.Equal(t, []pruneCall{{10 * time.Minute, 0}}, prunesWithin(t, p, 0, 11*time.Minute))
	})
}
