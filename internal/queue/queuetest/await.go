package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// later calls a queue and sends what it answers.
func later[T any](t *testing.T, call func(context.Context) (T, error)) <-chan T {
	t.Helper()
	answers := make(chan T, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	go func() {
		if answer, err := call(ctx); err == nil {
			answers <- answer
		}
	}()
	return answers
}

// soon is a context that ends after a moment.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

var awaitTests = map[string]func(*testing.T, *fixture){
	"waiting for a job to be over": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		l := f.dequeue(t, "build")
		statuses := make(chan queue.Status, 1)
		go func() {
			status, err := f.Queue().Await(context.Background(), id)
			if err == nil {
				statuses <- status
			}
		}()
		f.finish(t, l.Token, `"done"`)
		status := receive(t, statuses)
		require.Equal(t, queue.Finished, status.State)
		require.Equal(t, `"done"`, string(status.Result))
		again, err := f.Queue().Await(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, status, again)
	},
	"waiting for a job ends with the context": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		status, err := f.Queue().Await(ctx, id)
		require.NoError(t, err)
		require.Equal(t, queue.Pending, status.State)
	},
	"waiting for a job to change": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		q := f.Queue()
		next := func(change func()) queue.Status {
			t.Helper()
			version := f.status(t, id).Version
			answers := later(t, func(ctx context.Context) (queue.Status, error) { return q.AwaitChange(ctx, id, version) })
			change()
			status := receive(t, answers)
			require.Greater(t, status.Version, version)
			require.Equal(t, f.status(t, id), status)
			return status
		}
		next(func() { f.update(t, id, queue.Update{Priority: new(3)}) })
		var l queue.Lease
		require.Equal(t, queue.Running, next(func() { l = f.dequeue(t, "build") }).State)
		require.Equal(t, progress(7, "x"), next(func() { f.beat(t, l.Token, queue.Beat{Progress: progress(7, "x")}) }).Progress)
		require.Equal(t, queue.Pending, next(func() { f.release(t, l.Token, 0) }).State)
		require.Equal(t, queue.Canceled, next(func() { f.cancel(t, id) }).State)
		require.Equal(t, queue.Pending, next(func() { f.retry(t, id) }).State)

		status := f.status(t, id)
		same, err := q.AwaitChange(soon(t), id, status.Version)
		require.NoError(t, err)
		require.Equal(t, status, same)
		other, err := q.AwaitChange(t.Context(), id, status.Version-1)
		require.NoError(t, err)
		require.Equal(t, status, other)
		_, err = q.AwaitChange(t.Context(), uuid.New(), 1)
		require.ErrorIs(t, err, queue.ErrNotExist)
	},
	"whoever waits for a job learns that it was deleted": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "build")
		f.cancel(t, id)
		version := f.status(t, id).Version
		q := f.Queue()
		failed := later(t, func(ctx context.Context) (error, error) {
			_, err := q.AwaitChange(ctx, id, version)
			return err, nil
		})
		f.delete(t, id)
		require.ErrorIs(t, receive(t, failed), queue.ErrNotExist)
	},
	"waiting for many jobs to be over": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("build")[:3]...)
		ids = append(ids, f.enqueue1(t, "last", ids...), ids[0])
		q := f.Queue()
		all := later(t, func(ctx context.Context) ([]queue.State, error) { return q.AwaitAll(ctx, ids) })
		states, err := q.AwaitAll(soon(t), ids)
		require.NoError(t, err)
		require.Equal(t, []queue.State{queue.Pending, queue.Pending, queue.Pending, queue.Blocked, queue.Pending}, states)
		f.finish(t, f.dequeue(t, "build").Token, "1")
		f.cancel(t, ids[2])
		f.fail(t, f.dequeue(t, "build").Token, "broken")
		states = receive(t, all)
		require.Equal(t, []queue.State{queue.Finished, queue.Failed, queue.Canceled, queue.Canceled, queue.Finished}, states)
		states, err = q.AwaitAll(t.Context(), ids)
		require.NoError(t, err)
		require.Len(t, states, len(ids))

		var missing *queue.NotExistError
		ids[1] = uuid.New()
		_, err = q.AwaitAll(t.Context(), ids)
		require.ErrorAs(t, err, &missing)
		require.Equal(t, queue.NotExistError{Index: 1, ID: ids[1]}, *missing)
	},
	"waiting for a lease to be over": func(t *testing.T, f *fixture) {
		q := f.Queue()
		require.NoError(t, q.AwaitLease(t.Context(), uuid.New()))
		for _, end := range []func(queue.Lease){
			func(l queue.Lease) { f.cancel(t, l.JobID) },
			func(l queue.Lease) { f.release(t, l.Token, time.Hour) },
			func(l queue.Lease) { f.finish(t, l.Token, "1") },
		} {
			f.enqueue1(t, "build")
			l := f.dequeue(t, "build")
			require.NoError(t, q.AwaitLease(soon(t), l.Token))
			over := later(t, func(ctx context.Context) (error, error) { return nil, q.AwaitLease(ctx, l.Token) })
			f.beat(t, l.Token, queue.Beat{PartialResult: args("1")})
			end(l)
			require.NoError(t, receive(t, over))
			require.NoError(t, q.AwaitLease(t.Context(), l.Token))
		}
	},
}
