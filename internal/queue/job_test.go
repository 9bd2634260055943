package queue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestAJobHoldsWhatWasGiven(t *testing.T) {
	t.Parallel()
	id, five := uuid.New(), uint64(5)
	policy := &queue.RetryPolicy{MaxAttempts: 3}
	edge := queue.Edge{ID: depID, Name: "left", If: queue.IfOver}
	labels := map[string]string{"team": "print"}
	given := queue.NewJob{
		Type: "build", Channel: "acme", Args: json.RawMessage(`1`), Name: "it", RunIf: queue.AllFinished, Priority: -3,
		RunAt: then, ExpiresAt: expiry, Timeout: time.Minute, HeartbeatTimeout: time.Second, MaxRetries: &five, MaxTimeouts: 2,
		Retry: policy, UniqueKey: "key", Labels: labels, TraceParent: "00-trace",
	}
	require.Equal(t, queue.Job{
		ID: id, Type: "build", Channel: "acme", Args: json.RawMessage(`1`), Dependencies: []queue.Edge{edge},
		RunIf: queue.AllFinished, Priority: -3, RunAt: then, ExpiresAt: expiry, Timeout: time.Minute,
		HeartbeatTimeout: time.Second, MaxRetries: &five, MaxTimeouts: 2, Retry: policy, UniqueKey: "key", Labels: labels,
		TraceParent: "00-trace",
	}, given.Job(id, []queue.Edge{edge}, now))

	least := queue.NewJob{Type: "build"}.Job(id, nil, now)
	require.Equal(t, queue.Job{ID: id, Type: "build", Channel: queue.DefaultChannel, Args: json.RawMessage(`null`)}, least)
	require.Nil(t, least.DependencyIDs())
}

func TestTimesAreStoredInWholeMicrosecondsAndNeverEarlier(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("somewhere", 3600)
	for given, want := range map[time.Time]time.Time{
		then:                           then,
		then.In(zone):                  then,
		then.Add(1):                    then.Add(time.Microsecond),
		then.Add(time.Microsecond):     then.Add(time.Microsecond),
		then.Add(time.Microsecond + 1): then.Add(2 * time.Microsecond),
		then.Add(time.Microsecond - 1): then.Add(time.Microsecond),
		{}:                             {},
	} {
		j := queue.NewJob{RunAt: given, ExpiresAt: given}.Job(depID, nil, now)
		require.Equal(t, want, j.RunAt)
		require.Equal(t, want, j.ExpiresAt)
	}
	j := queue.NewJob{Delay: 1500}.Job(depID, nil, now)
	require.Equal(t, now.Add(2*time.Microsecond), j.RunAt, "a delay is counted from now")
}

func TestADependencyThatIsThereTwiceCountsOnceAsStrictlyAsItWasSaid(t *testing.T) {
	t.Parallel()
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	edge := func(id uuid.UUID, name string, condition queue.Condition) queue.Edge {
		return queue.Edge{ID: id, Name: name, If: condition}
	}
	twice := []queue.Edge{
		edge(b, "", queue.IfOver), edge(a, "first", queue.IfSucceeded),
		edge(b, "left", queue.IfSucceeded), edge(a, "second", queue.IfOver), edge(b, "right", queue.IfOver),
		edge(c, "", queue.IfOver), edge(c, "", queue.IfOver),
	}
	j := queue.NewJob{Type: "x"}.Job(depID, twice, now)
	require.Equal(t, []queue.Edge{
		edge(b, "left", queue.IfSucceeded), edge(a, "first", queue.IfSucceeded), edge(c, "", queue.IfOver),
	}, j.Dependencies)
	require.Equal(t, []uuid.UUID{b, a, c}, j.DependencyIDs())
	require.Equal(t, edge(b, "", queue.IfOver), twice[0], "what was given is left as it is")
}

func TestNamesOfStatesAndRules(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range append(queue.States(), 0) {
		names = append(names, s.String())
	}
	require.Equal(t, []string{"scheduled", "blocked", "pending", "running", "finished", "failed", "canceled", "invalid"}, names)
	require.Equal(t, "all_succeeded all_finished invalid",
		queue.AllSucceeded.String()+" "+queue.AllFinished.String()+" "+queue.RunIf(9).String())
}

func TestALeaseOfAnOutcome(t *testing.T) {
	t.Parallel()
	require.Equal(t, queue.Finished, queue.Outcome{Result: json.RawMessage(`1`)}.State())
	require.Equal(t, queue.Failed, failure("x").State())
	require.True(t, queue.Beat{}.Empty())
	require.False(t, queue.Beat{Progress: &queue.Progress{}}.Empty())
	require.False(t, queue.Beat{PartialResult: json.RawMessage(`null`)}.Empty())
	require.False(t, queue.Once{}.Given())
	require.True(t, queue.Once{Key: "k"}.Given())
}
