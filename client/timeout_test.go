package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// bounded makes the fake server's leases last for so many seconds.
func bounded(j *fakeJob, seconds float64) { j.lease.TimeoutSeconds = &seconds }

func TestARunThatTakesTooLongEndsAndTheServerSaysWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes, deadlines := make(chan error, 1), make(chan time.Time, 1)
		j := f.server.add("t", `"slow"`)
		bounded(j, 90)
		next := f.server.add("t", `null`)
		f.start(func(ctx context.Context, run *client.Run) (any, error) {
			if string(run.Args) != `"slow"` {
				return nil, nil
			}
			deadline, _ := ctx.Deadline()
			deadlines <- deadline
			run.Progress(70, "")
			<-ctx.Done()
			causes <- context.Cause(ctx)
			run.Progress(80, "")
			return nil, errors.New("out of time")
		})
		f.pass(90 * time.Second)
		require.Equal(t, f.begun.Add(90*time.Second), <-deadlines)
		require.ErrorIs(t, <-causes, client.ErrTimeout)
		require.Equal(t, client.Finished, f.server.state(next), "the slot is free")
		f.pass(time.Hour)
		require.Empty(t, f.server.reported(j), "it would spend the wrong budget")
		require.Equal(t, []string{`{"progress":{"percent":70}}`, `{}`, `{"progress":{"percent":80}}`}, f.beats())
	})
}

func TestAResultThatComesTooLateIsReportedNevertheless(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		bounded(j, 1)
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			<-ctx.Done()
			return 1, nil
		})
		f.pass(time.Second)
		require.Equal(t, `finish {"result":1}`, f.server.reported(j))
	})
}

func TestARunWithoutABoundHasNoDeadline(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j := f.server.add("t", `null`)
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			_, bound := ctx.Deadline()
			return bound, nil
		})
		f.settle()
		require.Equal(t, `finish {"result":false}`, f.server.reported(j))
	})
}

func TestTheTimeOfAnAdoptedRunBeginsAnew(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		j, token := f.server.addRunning("t", `null`)
		bounded(j, 10)
		f.pass(5 * time.Second)
		var left time.Duration
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil, nil
		}, with(newMemoryTokens(token)))
		f.pass(time.Second)
		require.Equal(t, 10*time.Second, left)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

// When it was granted is not known: by an answer that was lost, or by one that came late.
func TestTheTimeOfALeaseThatIsHandedOverAgainBeginsWhenItArrives(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			return fault{cut: op == "dequeue" && nth == 1, lost: op == "dequeue" && nth > 1 && time.Since(f.begun) < time.Minute}
		}
		j := f.server.add("t", `null`)
		bounded(j, 30)
		var left time.Duration
		f.start(func(ctx context.Context, _ *client.Run) (any, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil, nil
		})
		f.pass(100 * time.Second)
		require.Equal(t, 30*time.Second, left)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestAHandlerFindsWhatTheLeaseSays(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		left := client.Dependency{Id: uuid.New(), Name: new("left"), Type: "d", State: client.Finished}
		other := client.Dependency{Id: uuid.New(), Type: "d", State: client.Finished}
		right := client.Dependency{Id: uuid.New(), Name: new("right"), Type: "d", State: client.Failed}
		j := f.server.add("t", `null`, left, other, right)
		j.lease.Labels = &client.Labels{"team": "print"}
		j.lease.Traceparent = new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		var got *client.Run
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			got = run
			return nil, nil
		})
		f.settle()
		require.Equal(t, map[string]string{"team": "print"}, got.Labels)
		require.Equal(t, *j.lease.Traceparent, got.TraceParent)
		found, ok := got.Dependency("right")
		require.True(t, ok)
		require.Equal(t, right, found)
		_, ok = got.Dependency("")
		require.False(t, ok)
		require.Len(t, got.Dependencies, 3)
	})
}
