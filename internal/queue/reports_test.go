package queue_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var (
	one    = queue.Outcome{Result: json.RawMessage(`1`)}
	broken = queue.Outcome{Error: &queue.JobError{Reason: "broken"}}
)

func TestALateReportIsAnsweredByHowTheLeaseEnded(t *testing.T) {
	t.Parallel()
	type answer struct {
		state queue.State
		err   error
	}
	for _, tc := range []struct {
		lease                          queue.EndedLease
		same, other, release, canceled answer
		beat                           error
	}{
		{
			lease:   queue.EndedLease{End: queue.EndReported, State: queue.Finished, Digest: one.Digest()},
			same:    answer{queue.Finished, nil},
			other:   answer{0, queue.ErrAlreadyReported},
			release: answer{0, queue.ErrLeaseLost},
			beat:    queue.ErrLeaseLost,
		},
		{
			lease:   queue.EndedLease{End: queue.EndLost, State: queue.Pending},
			same:    answer{0, queue.ErrLeaseLost},
			other:   answer{0, queue.ErrLeaseLost},
			release: answer{0, queue.ErrLeaseLost},
			beat:    queue.ErrLeaseLost,
		},
		{
			lease:   queue.EndedLease{End: queue.EndReleased, State: queue.Pending},
			same:    answer{0, queue.ErrLeaseLost},
			other:   answer{0, queue.ErrLeaseLost},
			release: answer{queue.Pending, nil},
			beat:    queue.ErrLeaseLost,
		},
		{
			lease:   queue.EndedLease{End: queue.EndCanceled, State: queue.Canceled},
			same:    answer{0, queue.ErrCanceled},
			other:   answer{0, queue.ErrCanceled},
			release: answer{queue.Canceled, nil},
		},
	} {
		t.Run(fmt.Sprint(tc.lease.End), func(t *testing.T) {
			t.Parallel()
			for _, call := range []struct {
				want answer
				got  func() (queue.State, error)
			}{
				{tc.same, func() (queue.State, error) { return tc.lease.Report(one) }},
				{tc.other, func() (queue.State, error) { return tc.lease.Report(broken) }},
				{tc.release, tc.lease.Release},
			} {
				state, err := call.got()
				require.ErrorIs(t, err, call.want.err)
				require.Equal(t, call.want.state, state)
			}
			canceled, err := tc.lease.Beat()
			require.ErrorIs(t, err, tc.beat)
			require.Equal(t, tc.lease.End == queue.EndCanceled, canceled)
		})
	}
}

func TestDigestTellsOutcomesApart(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	outcomes := []queue.Outcome{
		{},
		{Result: raw(`1`)},
		{Result: raw(`"1"`)},
		{Result: raw(`1 `)},
		{Error: &queue.JobError{Reason: "1"}},
		{Error: &queue.JobError{Reason: "a", Details: raw(`"b"`)}},
		{Error: &queue.JobError{Reason: `a"b"`}},
		{Error: &queue.JobError{Reason: "", Details: raw(`1`)}},
	}
	for i, a := range outcomes {
		for j, b := range outcomes {
			require.Equal(t, i == j, a.Digest() == b.Digest(), "%d and %d", i, j)
		}
	}
	require.Equal(t, queue.Outcome{}.Digest(), queue.Outcome{Result: raw(`null`)}.Digest(), "no result is null")
}
