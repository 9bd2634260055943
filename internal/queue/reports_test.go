package queue_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

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
		lease                queue.EndedLease
		same, other, release answer
		beat                 error
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
			lease:   queue.EndedLease{End: queue.EndReported, State: queue.Scheduled, Digest: one.Digest()},
			same:    answer{queue.Scheduled, nil},
			other:   answer{0, queue.ErrAlreadyReported},
			release: answer{0, queue.ErrLeaseLost},
			beat:    queue.ErrLeaseLost,
		},
		{
			lease:   queue.EndedLease{End: queue.EndTimedOut, State: queue.Failed},
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
			lease:   queue.EndedLease{End: queue.EndReleased, State: queue.Scheduled},
			same:    answer{0, queue.ErrLeaseLost},
			other:   answer{0, queue.ErrLeaseLost},
			release: answer{queue.Scheduled, nil},
			beat:    queue.ErrLeaseLost,
		},
		{
			lease:   queue.EndedLease{End: queue.EndCanceled, State: queue.Canceled},
			same:    answer{0, queue.ErrCanceled},
			other:   answer{0, queue.ErrCanceled},
			release: answer{queue.Canceled, nil},
		},
	} {
		t.Run(fmt.Sprint(tc.lease.End, tc.lease.State), func(t *testing.T) {
			t.Parallel()
			for _, call := range []struct {
				want answer
				got  func() (queue.State, error)
			}{
				{tc.same, func() (queue.State, error) { return tc.lease.Report(one.Digest()) }},
				{tc.other, func() (queue.State, error) { return tc.lease.Report(broken.Digest()) }},
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

func TestDigestTellsReportsApart(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	zero, second := time.Duration(0), time.Second
	var digests [][sha256.Size]byte
	for _, outcome := range []queue.Outcome{
		{},
		{Result: raw(`1`)},
		{Result: raw(`"1"`)},
		{Result: raw(`1 `)},
	} {
		digests = append(digests, outcome.Digest())
	}
	for _, failure := range []queue.Failure{
		{Error: queue.JobError{Reason: "1"}},
		{Error: queue.JobError{Reason: "a", Details: raw(`"b"`)}},
		{Error: queue.JobError{Reason: `a"b"`}},
		{Error: queue.JobError{Reason: "", Details: raw(`1`)}},
		{Error: queue.JobError{Reason: "1"}, Retryable: true},
		{Error: queue.JobError{Reason: "1", Details: raw(`retryable`)}},
		{Error: queue.JobError{Reason: "1"}, Retryable: true, RetryAfter: &zero},
		{Error: queue.JobError{Reason: "1"}, Retryable: true, RetryAfter: &second},
		{Error: queue.JobError{Reason: "1"}, RetryAfter: &zero},
		{Error: queue.JobError{Reason: "1", Details: raw("\x00\x00\x00\x00\x00\x00\x00\x00")}},
	} {
		digests = append(digests, failure.Digest())
	}
	for i, a := range digests {
		for j, b := range digests {
			require.Equal(t, i == j, a == b, "%d and %d", i, j)
		}
	}
	require.Equal(t, queue.Outcome{}.Digest(), queue.Outcome{Result: raw(`null`)}.Digest(), "no result is null")
}

func TestAFailureThatIsNotRetryableIsTheSameByEitherCall(t *testing.T) {
	t.Parallel()
	e := queue.JobError{Reason: "broken", Details: json.RawMessage(`[1]`)}
	require.Equal(t, queue.Outcome{Error: &e}.Digest(), queue.Failure{Error: e}.Digest())
	again := time.Second
	require.Equal(t,
		queue.Failure{Error: e, Retryable: true, RetryAfter: &again}.Digest(),
		queue.Failure{Error: e, Retryable: true, RetryAfter: new(time.Second)}.Digest(), "what is said counts, not where it is kept")
}
