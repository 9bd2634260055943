package queuetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var enqueueTests = map[string]func(*testing.T, *fixture){
	"a new job is pending and holds what was given": func(t *testing.T, f *fixture) {
		five := uint64(5)
		dependency := f.enqueue1(t, "first")
		enqueued, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{
			Type: "build", Channel: "acme", Args: args(`{"a":1}`), Dependencies: []uuid.UUID{dependency},
			RunIf: queue.AllFinished, MaxRetries: &five,
		}})
		require.NoError(t, err)
		id := enqueued[0].ID
		require.Equal(t, uuid.Version(7), id.Version())

		got, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Job{
			ID: id, Type: "build", Channel: "acme", Args: args(`{"a":1}`),
			Dependencies: []queue.Edge{{ID: dependency, If: queue.IfOver}},
			RunIf:        queue.AllFinished, MaxRetries: &five,
		}, got)

		status := f.status(t, id)
		require.Equal(t, queue.Enqueued{Status: status}, enqueued[0], "Enqueue returns what JobStatus does")
		require.Equal(t, "build", status.Type)
		require.Equal(t, "acme", status.Channel)
		require.Equal(t, queue.Blocked, status.State)
		require.Equal(t, f.Now(), status.Queued)
		require.True(t, status.Started.IsZero())
		require.True(t, status.Finished.IsZero())
		require.Equal(t, []uuid.UUID{id}, f.status(t, dependency).Dependents)
	},
	"all that can be given is kept": func(t *testing.T, f *fixture) {
		five := uint64(5)
		given := queue.NewJob{
			Type: "build", Channel: "acme", Args: args(`{"a":1}`), Name: "it", RunIf: queue.AllFinished, Priority: -7,
			RunAt: f.Now().Add(time.Hour), ExpiresAt: f.Now().Add(2 * time.Hour), Timeout: time.Minute + 1,
			HeartbeatTimeout: time.Second + 1, MaxRetries: &five, MaxTimeouts: 3, UniqueKey: "☃ key",
			Retry:       &queue.RetryPolicy{MaxAttempts: 4, Initial: 1, Factor: 1.1, Max: time.Hour + 1, Jitter: 0.3},
			Labels:      map[string]string{"team": "print", "customer": "☃"},
			TraceParent: traceParent,
		}
		id := f.enqueue(t, given)[0]
		want := queue.Job{
			ID: id, Type: "build", Channel: "acme", Args: args(`{"a":1}`), RunIf: queue.AllFinished, Priority: -7,
			RunAt: given.RunAt, ExpiresAt: given.ExpiresAt, Timeout: given.Timeout, HeartbeatTimeout: given.HeartbeatTimeout,
			MaxRetries: &five, MaxTimeouts: 3, UniqueKey: "☃ key", Retry: given.Retry, Labels: given.Labels, TraceParent: traceParent,
		}
		for range 2 {
			got, err := f.Queue().Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, -7, f.status(t, id).Priority)
			f.Restart(t)
		}
	},
	"each thing alone that can be given is kept": func(t *testing.T, f *fixture) {
		zero := uint64(0)
		for i, given := range []queue.NewJob{
			{Priority: 100}, {RunAt: f.Now()}, {ExpiresAt: f.Now().Add(time.Hour)}, {Timeout: time.Hour}, {HeartbeatTimeout: time.Hour},
			{MaxRetries: &zero}, {Timeout: time.Hour, MaxTimeouts: 1000}, {Retry: &queue.RetryPolicy{MaxAttempts: 1, Factor: 1}},
			{UniqueKey: "k"}, {Labels: map[string]string{"a": ""}}, {TraceParent: traceParent}, {RunIf: queue.AllFinished},
		} {
			given.Type = "build"
			id := f.enqueue(t, given)[0]
			got, err := f.Queue().Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, queue.Job{
				ID: id, Type: "build", Channel: queue.DefaultChannel, Args: args("null"), RunIf: given.RunIf, Priority: given.Priority,
				RunAt: given.RunAt, ExpiresAt: given.ExpiresAt, Timeout: given.Timeout, HeartbeatTimeout: given.HeartbeatTimeout,
				MaxRetries: given.MaxRetries, MaxTimeouts: given.MaxTimeouts, Retry: given.Retry, UniqueKey: given.UniqueKey,
				Labels: given.Labels, TraceParent: given.TraceParent,
			}, got, "job %d", i)
		}
	},
	"defaults are filled in": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		got, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, queue.Job{ID: id, Type: "build", Channel: queue.DefaultChannel, Args: args("null")}, got)
	},
	"args come out byte for byte": func(t *testing.T, f *fixture) {
		values := []string{
			`null`, `0`, `""`, `[]`, `{"b":1,"a":2}`, `"\u0000"`, `"\ud800"`, `"é\u00e9"`, `"<&>"`,
			`123456789012345678901234567890.10`, `1E400`, `-0`, `[[[[]]]]`, `"` + strings.Repeat("x", 100_000) + `"`,
		}
		jobs := make([]queue.NewJob, len(values))
		for i, value := range values {
			jobs[i] = queue.NewJob{Type: "echo", Args: json.RawMessage(value)}
		}
		ids := f.enqueue(t, jobs...)
		for i, id := range ids {
			got, err := f.Queue().Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, values[i], string(got.Args))
			l := f.dequeue(t, "echo")
			require.Equal(t, values[i], string(l.Args))
			f.finish(t, l.Token, values[i])
			require.Equal(t, values[i], string(f.status(t, id).Result))
		}
	},
	"args may be reused by the caller": func(t *testing.T, f *fixture) {
		buffer := []byte(`"before"`)
		id := f.enqueue(t, queue.NewJob{Type: "echo", Args: buffer})[0]
		copy(buffer, `"after!"`)
		got, err := f.Queue().Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, `"before"`, string(got.Args))
	},
	"many jobs are added in the order given": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Type: "a"}, queue.NewJob{Type: "b"}, queue.NewJob{Type: "a"})
		require.Equal(t, ids, f.runToEnd(t, "b", "a"))
	},
	"no jobs are no change": func(t *testing.T, f *fixture) {
		require.Empty(t, f.enqueue(t))
	},
	"an unknown dependency adds nothing": func(t *testing.T, f *fixture) {
		known, unknown := f.enqueue1(t, "known"), uuid.New()
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{
			{Type: "build"},
			{Type: "build", Dependencies: []uuid.UUID{known, unknown}},
		})
		require.ErrorIs(t, err, queue.ErrNotExist)
		var missing *queue.DependencyError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, queue.DependencyError{Job: 1, Index: 1, ID: unknown}, *missing)
		f.requireNothingReady(t, "build")
		require.Empty(t, f.status(t, known).Dependents)
	},
	"an invalid job adds nothing and is named": func(t *testing.T, f *fixture) {
		tooMany := uint64(queue.MaxRetriesLimit + 1)
		for field, job := range map[string]queue.NewJob{
			"type":         {Type: ""},
			"channel":      {Type: "build", Channel: "a b"},
			"run_if":       {Type: "build", RunIf: 99},
			"max_retries":  {Type: "build", MaxRetries: &tooMany},
			"dependencies": {Type: "build", Dependencies: make([]uuid.UUID, queue.MaxDependencies+1)},
		} {
			_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{Type: "build"}, job})
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid, field)
			require.Equal(t, field, invalid.Field)
		}
		f.requireNothingReady(t, "build")
	},
	"a job that does not exist": func(t *testing.T, f *fixture) {
		id := uuid.New()
		_, err := f.Queue().Job(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = f.Queue().JobStatus(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = f.Queue().Await(t.Context(), id)
		require.ErrorIs(t, err, queue.ErrNotExist)
		_, err = f.Queue().DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
		require.ErrorIs(t, err, queue.ErrNotExist)
		require.ErrorIs(t, f.Queue().CancelJob(t.Context(), id), queue.ErrNotExist)
	},
}
