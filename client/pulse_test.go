package client_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func TestHeartbeatsThatAreDueTogetherAreSentTogether(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		jobs := f.add(10)
		f.start(lasting(130*time.Second), slots(20))
		f.pass(300 * time.Millisecond)
		jobs = append(jobs, f.add(4)...) // within the same second
		f.pass(5 * time.Second)
		late := f.server.add("t", "1")
		f.pass(140 * time.Second)
		f.requireDoneOnce(append(jobs, late))
		require.Equal(t, []time.Duration{40002 * time.Millisecond, 80002 * time.Millisecond, 120002 * time.Millisecond},
			f.since(f.server.seen("heartbeats")))
		require.Len(t, f.server.seen("heartbeat"), 3*len(jobs)+3)
		require.Len(t, f.single("heartbeat"), 3, "those of the late one")
	})
}

func TestEachOfManyHeartbeatsHasAnOutcomeOfItsOwn(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		causes := make(chan error, 4)
		jobs := f.add(4)
		f.start(func(ctx context.Context, run *client.Run) (any, error) {
			run.Progress(10, "page "+string(run.Args))
			select {
			case <-ctx.Done():
				causes <- context.Cause(ctx)
				return nil, ctx.Err()
			case <-time.After(100 * time.Second):
				return nil, nil
			}
		}, slots(4))
		f.pass(time.Second)
		f.server.set(jobs[0], func(j *fakeJob) { j.canceled = true })
		f.server.set(jobs[2], func(j *fakeJob) { j.lost = true })
		f.pass(40 * time.Second)
		require.Len(t, causes, 2)
		require.ElementsMatch(t, []error{client.ErrCanceled, client.ErrLeaseLost}, []error{<-causes, <-causes})
		require.Contains(t, f.beats(), `{"progress":{"message":"page 3","percent":10}}`)
		f.pass(70 * time.Second)
		f.requireDoneOnce([]*fakeJob{jobs[1], jobs[3]})
		require.Empty(t, f.single("heartbeat"))
	})
}

// It may have been the fault of one of them.
func TestHeartbeatsThatFailTogetherAreSentAlone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault fault
		after time.Duration
	}{
		"lost":      {fault{lost: true}, time.Second},
		"hanging":   {fault{hang: true}, 32 * time.Second},
		"too large": {fault{status: http.StatusRequestEntityTooLarge}, 0},
		"refused":   {fault{status: http.StatusBadRequest, code: client.CodeInvalidRequest}, 0},
		"a 409":     {fault{status: http.StatusConflict, code: client.CodeLeaseLost}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			within(t, func(t *testing.T, f *fixture) {
				f.server.faults = faultsOf("heartbeats", 1, test.fault)
				jobs := f.add(4)
				f.start(telling(150*time.Second, nil, func(run *client.Run) { run.Progress(1, "") }), slots(4))
				f.pass(40*time.Second + 2*time.Millisecond + test.after)
				require.Len(t, f.single("heartbeat"), 4)
				for _, body := range f.beats() {
					require.JSONEq(t, `{"progress":{"percent":1}}`, body, "the news are not lost")
				}
				f.pass(120 * time.Second)
				f.requireDoneOnce(jobs)
				require.Greater(t, len(f.server.seen("heartbeats")), 1, "and then together again")
			})
		})
	}
}

func TestNewsThatAreRefusedAmongManyDoNotCostTheLease(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, nth int) fault {
			if op == "heartbeat" && (nth == 1 || nth == 5) { // among four, and then alone
				return fault{status: http.StatusRequestEntityTooLarge, code: client.CodeValueTooLarge}
			}
			return fault{}
		}
		jobs := f.add(4)
		f.start(telling(60*time.Second, nil, func(run *client.Run) { run.Progress(1, "") }), slots(4))
		f.pass(61 * time.Second)
		f.requireDoneOnce(jobs)
		require.Contains(t, f.log.text(), "refuses what a handler reports")
		require.Len(t, f.single("heartbeat"), 2)
	})
}

// A run that is over does not wait for a heartbeat that was sent with those of others.
func TestAHeartbeatThatHangsHoldsUpNoRun(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("heartbeats", 1, fault{hang: true})
		jobs := f.add(4)
		f.start(lasting(45*time.Second), slots(4))
		f.pass(46 * time.Second)
		f.requireDoneOnce(jobs)
		f.stop()
		<-f.done
		require.LessOrEqual(t, time.Since(f.begun), 47*time.Second)
	})
}
