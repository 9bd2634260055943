package queue_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func failure(reason string) queue.Outcome {
	return queue.Outcome{Error: &queue.JobError{Reason: reason}}
}

// fieldOf returns the field that an error names, "" if there is no error.
func fieldOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var invalid *queue.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.NotEmpty(t, invalid.Reason)
	return invalid.Field
}

func TestNamesOfTypesAndChannels(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", queue.MaxNameLength)
	for name, want := range map[string]bool{
		"a": true, "Z9": true, "zaAZ09": true, "0": true, "osbuild:x86_64": true, "a/b@c+d-e.f": true, long: true,
		"": false, long + "x": false, ".a": false, "-a": false, "a b": false, "a\x00": false, "é": false, "a\n": false, "a%2F": false,
	} {
		require.Equal(t, want, queue.NewJob{Type: name}.Validate() == nil, "type %q", name)
		require.Equal(t, want, queue.DequeueRequest{Types: []string{name}}.Validate() == nil, "type %q", name)
		require.Equal(t, want, queue.DequeueRequest{Types: []string{"a"}, Channels: []string{name}}.Validate() == nil, "channel %q", name)
		if name == "" { // which is the default channel, and no name at all
			continue
		}
		require.Equal(t, want, queue.NewJob{Type: "a", Channel: name}.Validate() == nil, "channel %q", name)
		require.Equal(t, want, queue.NewJob{Type: "a", Name: name}.Validate() == nil, "name %q", name)
	}
}

func TestLimitsOfAJob(t *testing.T) {
	t.Parallel()
	epoch, last := time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for name, tc := range map[string]struct {
		field string // that is named when the limit is passed
		fine  []func(*queue.NewJob)
		wrong []func(*queue.NewJob)
	}{
		"dependencies": {
			"dependencies",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.Dependencies = make([]uuid.UUID, queue.MaxDependencies) },
				func(n *queue.NewJob) {
					n.Dependencies, n.Needs = make([]uuid.UUID, 1), make([]queue.Need, queue.MaxDependencies-1)
				},
			},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.Dependencies = make([]uuid.UUID, queue.MaxDependencies+1) },
				func(n *queue.NewJob) { n.Needs = make([]queue.Need, queue.MaxDependencies+1) },
				func(n *queue.NewJob) {
					n.Dependencies, n.Needs = make([]uuid.UUID, 1), make([]queue.Need, queue.MaxDependencies)
				},
			},
		},
		"conditions": {
			"needs[1].if",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) {
					n.Needs = []queue.Need{{If: queue.AsRunIf}, {If: queue.IfSucceeded}, {If: queue.IfOver}}
				},
			},
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.Needs = []queue.Need{{}, {If: queue.IfOver + 1}} }},
		},
		"run_if": {
			"run_if",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.RunIf = queue.AllFinished }},
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.RunIf = queue.AllFinished + 1 }},
		},
		"priority": {
			"priority",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.Priority = 100 }, func(n *queue.NewJob) { n.Priority = -100 }},
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.Priority = 101 }, func(n *queue.NewJob) { n.Priority = -101 }},
		},
		"run_at": {
			"run_at",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.RunAt = epoch }, func(n *queue.NewJob) { n.RunAt = last }},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.RunAt = epoch.Add(-1) },
				func(n *queue.NewJob) { n.RunAt = last.Add(time.Second) },
				// Stores keep it as the next whole microsecond.
				func(n *queue.NewJob) { n.RunAt = last.Add(time.Second - 1) },
				// In the time zone it is given in it is still the last year.
				func(n *queue.NewJob) { n.RunAt = last.Add(time.Minute).In(time.FixedZone("", -3600)) },
			},
		},
		"expires_at": {
			"expires_at",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.ExpiresAt = epoch },
				func(n *queue.NewJob) { n.ExpiresAt = last },
				func(n *queue.NewJob) { n.RunAt, n.ExpiresAt = then, then.Add(1) },
			},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.ExpiresAt = epoch.Add(-1) },
				func(n *queue.NewJob) { n.ExpiresAt = last.Add(time.Second) },
				func(n *queue.NewJob) { n.RunAt, n.ExpiresAt = then, then },
				func(n *queue.NewJob) { n.RunAt, n.ExpiresAt = then, then.Add(-1) },
			},
		},
		"delay": {
			"delay_seconds",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.Delay = 1 }, func(n *queue.NewJob) { n.Delay = queue.MaxDelay }},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.Delay = -1 },
				func(n *queue.NewJob) { n.Delay = queue.MaxDelay + 1 },
				func(n *queue.NewJob) { n.Delay, n.RunAt = 1, then },
			},
		},
		"timeout": {
			"timeout_seconds",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.Timeout = queue.MinTimeout },
				func(n *queue.NewJob) { n.Timeout = queue.MaxTimeout },
			},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.Timeout = queue.MinTimeout - 1 },
				func(n *queue.NewJob) { n.Timeout = queue.MaxTimeout + 1 },
				func(n *queue.NewJob) { n.Timeout = -1 },
			},
		},
		"heartbeat timeout": {
			"heartbeat_timeout_seconds",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.HeartbeatTimeout = queue.MinTimeout },
				func(n *queue.NewJob) { n.HeartbeatTimeout = queue.MaxHeartbeatTimeout },
			},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.HeartbeatTimeout = queue.MinTimeout - 1 },
				func(n *queue.NewJob) { n.HeartbeatTimeout = queue.MaxHeartbeatTimeout + 1 },
				func(n *queue.NewJob) { n.HeartbeatTimeout = -1 },
			},
		},
		"retries": {
			"max_retries",
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.MaxRetries = new(uint64(0)) },
				func(n *queue.NewJob) { n.MaxRetries = new(uint64(queue.MaxRetriesLimit)) },
			},
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.MaxRetries = new(uint64(queue.MaxRetriesLimit + 1)) }},
		},
		"timeouts": {
			"max_timeouts",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.MaxTimeouts, n.Timeout = queue.MaxRetriesLimit, time.Minute }},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.MaxTimeouts, n.Timeout = queue.MaxRetriesLimit+1, time.Minute },
				func(n *queue.NewJob) { n.MaxTimeouts = 1 },
			},
		},
		"unique key": {
			"unique_key",
			[]func(*queue.NewJob){func(n *queue.NewJob) { n.UniqueKey = strings.Repeat("é", queue.MaxUniqueKey/2) }},
			[]func(*queue.NewJob){
				func(n *queue.NewJob) { n.UniqueKey = strings.Repeat("é", queue.MaxUniqueKey/2) + "x" },
				func(n *queue.NewJob) { n.UniqueKey = "a\x00" },
				func(n *queue.NewJob) { n.UniqueKey = "\xff" },
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, change := range tc.fine {
				n := queue.NewJob{Type: "a"}
				change(&n)
				require.Empty(t, fieldOf(t, n.Validate()), "fine %d", i)
			}
			for i, change := range tc.wrong {
				n := queue.NewJob{Type: "a"}
				change(&n)
				require.Equal(t, tc.field, fieldOf(t, n.Validate()), "wrong %d", i)
			}
		})
	}
}

func TestLimitsOfARetryPolicy(t *testing.T) {
	t.Parallel()
	fine := queue.RetryPolicy{MaxAttempts: 1, Initial: time.Second, Factor: 1, Max: time.Second}
	for _, tc := range []struct {
		field  string
		change func(*queue.RetryPolicy)
	}{
		{"", func(*queue.RetryPolicy) {}},
		{"", func(p *queue.RetryPolicy) { p.MaxAttempts = queue.MaxRetriesLimit }},
		{"retry.max_attempts", func(p *queue.RetryPolicy) { p.MaxAttempts = 0 }},
		{"retry.max_attempts", func(p *queue.RetryPolicy) { p.MaxAttempts = queue.MaxRetriesLimit + 1 }},
		{"", func(p *queue.RetryPolicy) { p.Initial, p.Max = 0, 0 }},
		{"", func(p *queue.RetryPolicy) { p.Initial, p.Max = queue.MaxDelay, queue.MaxDelay }},
		{"retry.initial_seconds", func(p *queue.RetryPolicy) { p.Initial = -1 }},
		{"retry.initial_seconds", func(p *queue.RetryPolicy) { p.Initial, p.Max = queue.MaxDelay+1, queue.MaxDelay+1 }},
		{"", func(p *queue.RetryPolicy) { p.Factor = queue.MaxRetryFactor }},
		{"retry.factor", func(p *queue.RetryPolicy) { p.Factor = math.Nextafter(1, 0) }},
		{"retry.factor", func(p *queue.RetryPolicy) { p.Factor = math.Nextafter(queue.MaxRetryFactor, 2000) }},
		{"retry.factor", func(p *queue.RetryPolicy) { p.Factor = math.NaN() }},
		{"retry.factor", func(p *queue.RetryPolicy) { p.Factor = math.Inf(1) }},
		{"retry.max_seconds", func(p *queue.RetryPolicy) { p.Max = p.Initial - 1 }},
		{"retry.max_seconds", func(p *queue.RetryPolicy) { p.Max = queue.MaxDelay + 1 }},
		{"", func(p *queue.RetryPolicy) { p.Jitter = 1 }},
		{"retry.jitter", func(p *queue.RetryPolicy) { p.Jitter = math.Nextafter(1, 2) }},
		{"retry.jitter", func(p *queue.RetryPolicy) { p.Jitter = -0.1 }},
		{"retry.jitter", func(p *queue.RetryPolicy) { p.Jitter = math.NaN() }},
	} {
		policy := fine
		tc.change(&policy)
		require.Equal(t, tc.field, fieldOf(t, queue.NewJob{Type: "a", Retry: &policy}.Validate()), "%+v", policy)
	}
}

func TestLimitsOfLabels(t *testing.T) {
	t.Parallel()
	many := func(n int) map[string]string {
		labels := make(map[string]string, n)
		for i := range n {
			labels[fmt.Sprint("label", i)] = ""
		}
		return labels
	}
	for _, tc := range []struct {
		labels map[string]string
		field  string
	}{
		{nil, ""},
		{many(queue.MaxLabels), ""},
		{many(queue.MaxLabels + 1), "labels"},
		{map[string]string{strings.Repeat("x", queue.MaxLabelName): "a b = ☃"}, ""},
		{map[string]string{strings.Repeat("x", queue.MaxLabelName+1): ""}, "labels"},
		{map[string]string{"": ""}, "labels"},
		{map[string]string{"a b": ""}, "labels"},
		{map[string]string{"a": strings.Repeat("é", queue.MaxLabelValue/2)}, ""},
		{map[string]string{"a": strings.Repeat("é", queue.MaxLabelValue/2) + "x"}, "labels.a"},
		{map[string]string{"a": "\xff"}, "labels.a"},
		{map[string]string{"a": "1\n"}, "labels.a"},
		{map[string]string{"b": "\n", "a": "\n", "c": "\n"}, "labels.a"}, // the first by name
	} {
		require.Equal(t, tc.field, fieldOf(t, queue.NewJob{Type: "a", Labels: tc.labels}.Validate()), "%v", tc.labels)
		require.Equal(t, tc.field, fieldOf(t, queue.Update{Labels: &tc.labels}.Validate()), "%v", tc.labels)
	}
	err := queue.ValidateLabels(map[string]string{strings.Repeat("\xff", 1<<20): ""})
	require.Less(t, len(err.Error()), 1000, "what a client sent is not sent back in full")
}

func TestTraceParents(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for text, want := range map[string]bool{
		good:                   true,
		"cc" + good[2:]:        true,  // a version to come
		"cc" + good[2:] + "-x": true,  // which may say more
		"cc" + good[2:] + "x":  false, // after a dash
		"cc" + good[2:] + "-" + strings.Repeat("x", 512-56): true,
		"cc" + good[2:] + "-" + strings.Repeat("x", 512-55): false,
		"cc" + good[2:] + "-\n":                             false,
		good + "-x":                                         false, // version 00 says no more
		"ff" + good[2:]:                                     false,
		good[:54]:                                           false,
		strings.ToUpper(good):                               false,
		strings.Replace(good, "-", "_", 1):                  false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"x": false,
	} {
		require.Equal(t, want, queue.NewJob{Type: "a", TraceParent: text}.Validate() == nil, "%q", text)
	}
	require.Equal(t, "traceparent", fieldOf(t, queue.NewJob{Type: "a", TraceParent: "x"}.Validate()))
}

func TestLimitsOfADequeue(t *testing.T) {
	t.Parallel()
	repeat := func(n int) []string { return strings.Split(strings.Repeat("a,", n-1)+"a", ",") }
	for _, tc := range []struct {
		request queue.DequeueRequest
		field   string
	}{
		{queue.DequeueRequest{}, "types"},
		{queue.DequeueRequest{Types: repeat(queue.MaxTypes)}, ""},
		{queue.DequeueRequest{Types: repeat(queue.MaxTypes + 1)}, "types"},
		{queue.DequeueRequest{Types: repeat(1), Channels: repeat(queue.MaxChannels)}, ""},
		{queue.DequeueRequest{Types: repeat(1), Channels: repeat(queue.MaxChannels + 1)}, "channels"},
		{queue.DequeueRequest{Types: repeat(16), Channels: repeat(16)}, ""},
		{queue.DequeueRequest{Types: repeat(16), Channels: repeat(17)}, "channels"},
		{queue.DequeueRequest{Types: []string{"a", "b", "?"}}, "types[2]"},
		{queue.DequeueRequest{Types: []string{"a"}, Channels: []string{"b", ""}}, "channels[1]"},
		{queue.DequeueRequest{Types: []string{"a"}, Worker: "\x1b[2J"}, "worker"},
	} {
		require.Equal(t, tc.field, fieldOf(t, tc.request.Validate()), "%v", tc.request)
	}
	for name, want := range map[string]string{
		"": "",
		strings.Repeat("é", queue.MaxNameLength/2):       "",
		strings.Repeat("é", queue.MaxNameLength/2) + "x": "worker",
		"\x1b[2J": "worker", "a\x00": "worker", "\xff": "worker",
	} {
		require.Equal(t, want, fieldOf(t, queue.ValidateWorker(name)), "%q", name)
	}
}

func TestLimitsOfAReport(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"broken": "", strings.Repeat("x", queue.MaxReasonLength): "",
		"": "error.reason", strings.Repeat("x", queue.MaxReasonLength+1): "error.reason", "\xff": "error.reason", "a\x00b": "error.reason",
		queue.ReasonHeartbeatLost: "error.reason", queue.ReasonTimeout: "error.reason", queue.ReasonExpired: "error.reason",
		queue.ReasonDependencyFailed: "error.reason", queue.ReasonDependenciesTooLarge: "error.reason", queue.ReasonDamaged: "error.reason",
	} {
		require.Equal(t, want, fieldOf(t, queue.JobError{Reason: reason}.Validate()), "%q", reason)
		require.Equal(t, want, fieldOf(t, queue.Failure{Error: queue.JobError{Reason: reason}}.Validate()), "%q", reason)
	}
	for _, tc := range []struct {
		retryable bool
		after     time.Duration
		want      string
	}{
		{true, 0, ""}, {true, queue.MaxDelay, ""}, {true, -1, "retry_after_seconds"}, {true, queue.MaxDelay + 1, "retry_after_seconds"},
		{false, time.Second, "retry_after_seconds"},
	} {
		f := queue.Failure{Error: queue.JobError{Reason: "x"}, Retryable: tc.retryable, RetryAfter: &tc.after}
		require.Equal(t, tc.want, fieldOf(t, f.Validate()), "%+v", tc)
	}
	for delay, want := range map[time.Duration]string{0: "", queue.MaxDelay: "", -1: "delay_seconds", queue.MaxDelay + 1: "delay_seconds"} {
		require.Equal(t, want, fieldOf(t, queue.ValidateDelay("delay_seconds", delay)), "%s", delay)
	}
}

func TestLimitsOfABeat(t *testing.T) {
	t.Parallel()
	require.NoError(t, queue.Beat{}.Validate())
	for percent, want := range map[float64]string{
		0: "", 100: "", 33.3: "", -0.1: "progress.percent", 100.1: "progress.percent", math.Inf(1): "progress.percent", math.NaN(): "progress.percent",
	} {
		require.Equal(t, want, fieldOf(t, queue.Beat{Progress: &queue.Progress{Percent: &percent}}.Validate()), "%v", percent)
	}
	for message, want := range map[string]string{
		"": "", "one line\nand another": "", strings.Repeat("é", queue.MaxMessage/2): "",
		strings.Repeat("é", queue.MaxMessage/2) + "x": "progress.message", "\xff": "progress.message",
	} {
		require.Equal(t, want, fieldOf(t, queue.Beat{Progress: &queue.Progress{Message: message}}.Validate()), "%q", message)
	}
}

func TestLimitsOfAnUpdate(t *testing.T) {
	t.Parallel()
	require.NoError(t, queue.Update{}.Validate())
	require.NoError(t, queue.Update{Priority: new(queue.MaxPriority), RunAt: &time.Time{}, Labels: &map[string]string{}}.Validate())
	require.Equal(t, "priority", fieldOf(t, queue.Update{Priority: new(queue.MaxPriority + 1)}.Validate()))
	require.Equal(t, "run_at", fieldOf(t, queue.Update{RunAt: new(time.Unix(-1, 0))}.Validate()))
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

func TestErrorsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	missing := &queue.DependencyError{Job: 1, Index: 2, ID: depID}
	require.ErrorIs(t, fmt.Errorf("enqueue: %w", missing), queue.ErrNotExist)
	require.Contains(t, missing.Error(), depID.String())
	invalid := error(&queue.InvalidError{Field: "run_at", Reason: "is odd"})
	require.EqualError(t, invalid, "run_at: is odd")
	require.NotErrorIs(t, invalid, queue.ErrNotExist)
}
