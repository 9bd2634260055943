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

func progress(percent float64, message string) *queue.Progress {
	return &queue.Progress{Percent: &percent, Message: message}
}

var progressTests = map[string]func(*testing.T, *fixture){
	"what a beat says is shown with the job, and stays until it says otherwise": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		f.requireProgress(t, id, nil, "")
		for _, tc := range []struct {
			beat     queue.Beat
			progress *queue.Progress
			partial  string
		}{
			{queue.Beat{Progress: progress(0, "")}, progress(0, ""), ""},
			{queue.Beat{Progress: progress(40, "page 12 of 30")}, progress(40, "page 12 of 30"), ""},
			{queue.Beat{}, progress(40, "page 12 of 30"), ""},
			{queue.Beat{PartialResult: args(`{"b": 1,"a":2}`)}, progress(40, "page 12 of 30"), `{"b": 1,"a":2}`},
			{queue.Beat{Progress: &queue.Progress{Message: "no number\n\u0000"}}, &queue.Progress{Message: "no number\n\u0000"}, `{"b": 1,"a":2}`},
			{queue.Beat{Progress: progress(99.9, ""), PartialResult: args(`null`)}, progress(99.9, ""), `null`},
			{queue.Beat{PartialResult: args(`"\u0000 1E400"`)}, progress(99.9, ""), `"\u0000 1E400"`},
		} {
			require.False(t, f.beat(t, l.Token, tc.beat).Canceled)
			f.requireProgress(t, id, tc.progress, tc.partial)
		}
		f.Restart(t)
		f.requireProgress(t, id, progress(99.9, ""), `"\u0000 1E400"`)
		f.beat(t, l.Token, queue.Beat{})
		f.requireProgress(t, id, progress(99.9, ""), `"\u0000 1E400"`)
	},
	"each one makes a version, a mere beat does not": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		before := f.status(t, id)
		f.beat(t, l.Token, queue.Beat{})
		require.Equal(t, before, f.status(t, id))
		f.beat(t, l.Token, queue.Beat{Progress: progress(1, "")})
		second := f.status(t, id)
		require.Greater(t, second.Version, before.Version)
		f.beat(t, l.Token, queue.Beat{PartialResult: args(`1`)})
		require.Greater(t, f.status(t, id).Version, second.Version)
		require.Equal(t, before.Started, f.status(t, id).Started)
	},
	"it is a beat": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		f.Advance(time.Minute)
		f.beat(t, l.Token, queue.Beat{Progress: progress(1, "")})
		require.Empty(t, f.staleTokens(t, time.Minute))
	},
	"it stays after a run that did not finish, and is gone with the next lease": func(t *testing.T, f *fixture) {
		for name, end := range map[string]func(queue.Lease){
			"lost":     func(l queue.Lease) { f.lose(t, l.Token, 2) },
			"released": func(l queue.Lease) { f.release(t, l.Token, time.Second) },
			"retried":  func(l queue.Lease) { f.report(t, l.Token, retryable("broken")) },
			"failed": func(l queue.Lease) {
				f.fail(t, l.Token, "broken")
				f.requireProgress(t, l.JobID, progress(7, "x"), `7`)
				f.retry(t, l.JobID)
			},
			"canceled": func(l queue.Lease) {
				f.cancel(t, l.JobID)
				f.requireProgress(t, l.JobID, progress(7, "x"), `7`)
				f.retry(t, l.JobID)
			},
			"timed out": func(queue.Lease) { f.Advance(timeout) },
		} {
			job := retrying("work", 2)
			job.Timeout, job.MaxTimeouts = timeout, 1
			id := f.enqueue(t, job)[0]
			l := f.dequeue(t, "work")
			f.beat(t, l.Token, queue.Beat{Progress: progress(7, "x"), PartialResult: args(`7`)})
			end(l)
			require.True(t, f.status(t, id).State.Waiting(), name)
			f.requireProgress(t, id, progress(7, "x"), `7`)
			f.Restart(t)
			f.requireProgress(t, id, progress(7, "x"), `7`)
			f.Advance(time.Hour)
			next := f.dequeue(t, "work")
			require.Equal(t, id, next.JobID)
			f.requireProgress(t, id, nil, "")
			f.beat(t, next.Token, queue.Beat{Progress: progress(8, "y")})
			f.requireProgress(t, id, progress(8, "y"), "")
			f.finish(t, next.Token, `1`)
		}
	},
	"it is gone when the job finishes": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		f.beat(t, l.Token, queue.Beat{Progress: progress(7, "x"), PartialResult: args(`7`)})
		f.finish(t, l.Token, `8`)
		f.requireProgress(t, id, nil, "")
		require.Equal(t, `8`, string(f.status(t, id).Result))
		f.Restart(t)
		f.requireProgress(t, id, nil, "")
	},
	"nothing is kept of a beat on a lease that is over": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:5]...)
		canceled, lost, released, failed, finished := f.dequeue(t, "work"), f.dequeue(t, "work"), f.dequeue(t, "work"),
			f.dequeue(t, "work"), f.dequeue(t, "work")
		f.cancel(t, canceled.JobID)
		f.lose(t, lost.Token, 2)
		f.release(t, released.Token, 0)
		f.fail(t, failed.Token, "broken")
		f.finish(t, finished.Token, `1`)
		again := f.dequeue(t, "work")
		require.Equal(t, lost.JobID, again.JobID)
		late := queue.Beat{Progress: progress(7, "late"), PartialResult: args(`7`)}
		var before []queue.Status
		for _, id := range ids {
			before = append(before, f.status(t, id))
		}
		require.True(t, f.beat(t, canceled.Token, late).Canceled)
		for _, token := range []uuid.UUID{lost.Token, released.Token, failed.Token, finished.Token} {
			_, err := f.Queue().RefreshHeartbeat(t.Context(), token, late)
			require.ErrorIs(t, err, queue.ErrLeaseLost)
		}
		_, err := f.Queue().RefreshHeartbeat(t.Context(), uuid.New(), late)
		require.ErrorIs(t, err, queue.ErrNotExist)
		for i, id := range ids {
			require.Equal(t, before[i], f.status(t, id))
		}
	},
	"a big partial result replaces another": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		for _, letter := range []string{"a", "b"} {
			partial := `"` + strings.Repeat(letter, 1<<20) + `"`
			f.beat(t, l.Token, queue.Beat{PartialResult: json.RawMessage(partial)})
			f.requireProgress(t, id, nil, partial)
		}
	},
	"what was given may be reused by the caller": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l := f.dequeue(t, "work")
		buffer, percent := []byte(`"before"`), 1.0
		f.beat(t, l.Token, queue.Beat{Progress: &queue.Progress{Percent: &percent}, PartialResult: buffer})
		copy(buffer, `"after!"`)
		percent = 2
		f.requireProgress(t, id, progress(1, ""), `"before"`)
	},
}

func (f *fixture) requireProgress(t *testing.T, id uuid.UUID, progress *queue.Progress, partial string) {
	t.Helper()
	status := f.status(t, id)
	require.Equal(t, progress, status.Progress)
	require.Equal(t, partial, string(status.PartialResult))
}
