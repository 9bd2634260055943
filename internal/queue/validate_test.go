package queue_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestNamesOfTypesAndChannels(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", queue.MaxNameLength)
	for name, want := range map[string]bool{
		"a": true, "Z9": true, "0": true, "osbuild:x86_64": true, "a/b@c+d-e.f": true, long: true,
		"": false, long + "x": false, ".a": false, "-a": false, "a b": false, "a\x00": false, "é": false, "a\n": false, "a%2F": false,
	} {
		require.Equal(t, want, queue.NewJob{Type: name}.Validate() == nil, "type %q", name)
		if name != "" { // which is the default channel
			require.Equal(t, want, queue.NewJob{Type: "a", Channel: name}.Validate() == nil, "channel %q", name)
		}
		require.Equal(t, want, queue.DequeueRequest{Types: []string{name}}.Validate() == nil, "type %q", name)
		require.Equal(t, want, queue.DequeueRequest{Types: []string{"a"}, Channels: []string{name}}.Validate() == nil, "channel %q", name)
	}
}

func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	most, tooMany := uint64(queue.MaxRetriesLimit), uint64(queue.MaxRetriesLimit+1)
	repeat := func(n int) []string { return strings.Split(strings.Repeat("a,", n)+"a", ",") }
	for _, tc := range []struct {
		err   error
		field string // "" where it is fine
	}{
		{queue.NewJob{Type: "a", MaxRetries: &most}.Validate(), ""},
		{queue.NewJob{Type: "a", MaxRetries: &tooMany}.Validate(), "max_retries"},
		{queue.NewJob{Type: "a", Dependencies: make([]uuid.UUID, queue.MaxDependencies)}.Validate(), ""},
		{queue.NewJob{Type: "a", Dependencies: make([]uuid.UUID, queue.MaxDependencies+1)}.Validate(), "dependencies"},
		{queue.NewJob{Type: "a", RunIf: queue.AllFinished + 1}.Validate(), "run_if"},
		{queue.DequeueRequest{}.Validate(), "types"},
		{queue.DequeueRequest{Types: repeat(queue.MaxTypes - 1)}.Validate(), ""},
		{queue.DequeueRequest{Types: repeat(queue.MaxTypes)}.Validate(), "types"},
		{queue.DequeueRequest{Types: repeat(0), Channels: repeat(queue.MaxChannels - 1)}.Validate(), ""},
		{queue.DequeueRequest{Types: repeat(0), Channels: repeat(queue.MaxChannels)}.Validate(), "channels"},
		{queue.DequeueRequest{Types: repeat(15), Channels: repeat(15)}.Validate(), ""},
		{queue.DequeueRequest{Types: repeat(15), Channels: repeat(16)}.Validate(), "channels"},
		{queue.DequeueRequest{Types: []string{"a", "b", "?"}}.Validate(), "types[2]"},
		{queue.ValidateWorker(strings.Repeat("é", queue.MaxNameLength/2)), ""},
		{queue.ValidateWorker(strings.Repeat("é", queue.MaxNameLength/2) + "x"), "worker"},
		{queue.ValidateReport(queue.Outcome{}), ""},
		{queue.ValidateReport(failure("broken")), ""},
		{queue.ValidateReport(failure("")), "error.reason"},
		{queue.ValidateReport(failure(strings.Repeat("x", queue.MaxReasonLength+1))), "error.reason"},
		{queue.ValidateReport(failure("\xff")), "error.reason"},
		{queue.ValidateReport(failure(queue.ReasonHeartbeatLost)), "error.reason"},
		{queue.ValidateReport(failure(queue.ReasonDependencyFailed)), "error.reason"},
		{queue.ValidateReport(failure(queue.ReasonDamaged)), "error.reason"},
		{queue.ValidateReport(failure(queue.ReasonDependenciesTooLarge)), "error.reason"},
		{queue.ValidateWorker("\x1b[2J"), "worker"},
		{queue.ValidateWorker("a\x00"), "worker"},
	} {
		field := ""
		if invalid := (*queue.InvalidError)(nil); errors.As(tc.err, &invalid) {
			field = invalid.Field
		}
		require.Equal(t, tc.field, field, "%v", tc.err)
	}
}

func failure(reason string) queue.Outcome {
	return queue.Outcome{Error: &queue.JobError{Reason: reason}}
}

func TestLanesAreDistinct(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		[]queue.Lane{{Channel: "default", Type: "a"}, {Channel: "default", Type: "b"}},
		queue.DequeueRequest{Types: []string{"a", "b", "a"}}.Lanes())
	require.Equal(t,
		[]queue.Lane{{Channel: "x", Type: "a"}, {Channel: "y", Type: "a"}},
		queue.DequeueRequest{Types: []string{"a"}, Channels: []string{"x", "y", "x"}}.Lanes())
}

func TestDistinctKeepsTheFirst(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	require.Equal(t, []uuid.UUID{b, a}, queue.Distinct([]uuid.UUID{b, a, b, a}))
	require.Nil(t, queue.Distinct(nil))
}

func TestNamesOfStatesAndRules(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range append(queue.States(), 0) {
		names = append(names, s.String())
	}
	require.Equal(t, []string{"blocked", "pending", "running", "finished", "failed", "canceled", "invalid"}, names)
	require.Equal(t, "all_succeeded all_finished invalid",
		queue.AllSucceeded.String()+" "+queue.AllFinished.String()+" "+queue.RunIf(9).String())
}
