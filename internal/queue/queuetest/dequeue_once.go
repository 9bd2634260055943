package queuetest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var dequeueOnceTests = map[string]func(*testing.T, *fixture){
	"the same call again is handed the same lease": func(t *testing.T, f *fixture) {
		f.enqueue(t, queue.NewJob{Type: "work", Timeout: time.Hour, Labels: map[string]string{"a": "b"}}, queue.NewJob{Type: "work"})
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		for range 2 {
			again, err := f.tryOnce(once("k", "1"), "work")
			require.NoError(t, err)
			require.Equal(t, l, again)
		}
		require.Equal(t, uint64(1), f.status(t, l.JobID).Attempt)
		other, err := f.tryOnce(once("k2", "1"), "work")
		require.NoError(t, err)
		require.NotEqual(t, l.JobID, other.JobID, "another key is another call")
	},
	"the lease is remembered over a restart": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "work")
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.Restart(t)
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, l, again)
		f.finish(t, l.Token, `1`)
		f.Restart(t)
		_, err = f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrLeaseLost)
	},
	"another call with the key is refused": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:2]...)
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		for _, end := range []func(){func() {}, func() { f.release(t, l.Token, 0) }} {
			end()
			_, err = f.tryOnce(once("k", "2"), "work")
			require.ErrorIs(t, err, queue.ErrKeyReused)
			_, err = f.Queue().DequeueByID(t.Context(), l.JobID, queue.Holder{}, once("k", "2"))
			require.ErrorIs(t, err, queue.ErrKeyReused)
		}
	},
	"a key is known when its lease was released and there is no other": func(t *testing.T, f *fixture) {
		f.enqueue1(t, "work")
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.release(t, l.Token, time.Hour)
		_, err = f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		_, err = f.tryOnce(once("k", "2"), "work")
		require.ErrorIs(t, err, queue.ErrKeyReused)

		f.enqueue1(t, "work")
		l, err = f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, l, again)
	},
	"a released lease is out of a key's way for good, though its job is deleted": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.release(t, l.Token, time.Hour)
		_, err = f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		f.cancel(t, id)
		f.delete(t, id)

		other := f.enqueue1(t, "work")
		l, err = f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, other, l.JobID)
	},
	"a call that got no lease has not used its key": func(t *testing.T, f *fixture) {
		_, err := f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		_, err = f.Queue().Dequeue(now(), queue.DequeueRequest{Once: once("k", "invalid")})
		require.Error(t, err)
		id := f.enqueue1(t, "work")
		l, err := f.tryOnce(once("k", "2"), "work")
		require.NoError(t, err)
		require.Equal(t, id, l.JobID)
	},
	"a lease whose job was canceled is shown": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		l, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.cancel(t, id)
		l.Canceled = true
		f.enqueue1(t, "work")
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, l, again)
	},
	"a lease that is over is said to be": func(t *testing.T, f *fixture) {
		ends := map[string]func(uuid.UUID){
			"finished":  func(token uuid.UUID) { f.finish(t, token, `1`) },
			"failed":    func(token uuid.UUID) { f.fail(t, token, "broken") },
			"retried":   func(token uuid.UUID) { f.report(t, token, retryable("broken")) },
			"lost":      func(token uuid.UUID) { f.lose(t, token, 2) },
			"timed out": func(uuid.UUID) { f.Advance(time.Minute) },
		}
		for name, end := range ends {
			job := queue.NewJob{Type: name[:4], Timeout: time.Minute, Retry: &queue.RetryPolicy{MaxAttempts: 2, Factor: 1}}
			f.enqueue(t, job, job)
			l, err := f.tryOnce(once(name, "1"), name[:4])
			require.NoError(t, err)
			end(l.Token)
			_, err = f.tryOnce(once(name, "1"), name[:4])
			require.ErrorIs(t, err, queue.ErrLeaseLost, name)
		}
	},
	"a lease that was released is granted anew": func(t *testing.T, f *fixture) {
		id := f.enqueue1(t, "work")
		first, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.release(t, first.Token, time.Minute)
		_, err = f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		f.Advance(time.Minute)
		second, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, id, second.JobID)
		require.NotEqual(t, first.Token, second.Token)
		require.Equal(t, uint64(2), second.Attempt)
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, second, again)
		f.finish(t, second.Token, `1`)
		_, err = f.tryOnce(once("k", "1"), "work")
		require.ErrorIs(t, err, queue.ErrLeaseLost)
	},
	"by id": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, make100("work")[:3]...)
		byID := func(key, body string) (queue.Lease, error) {
			return f.Queue().DequeueByID(t.Context(), ids[1], queue.Holder{Worker: "w"}, once(key, body))
		}
		l, err := byID("k", "1")
		require.NoError(t, err)
		require.Equal(t, ids[1], l.JobID)
		again, err := byID("k", "1")
		require.NoError(t, err)
		require.Equal(t, l, again)
		_, err = byID("k", "2")
		require.ErrorIs(t, err, queue.ErrKeyReused)
		_, err = byID("other", "1")
		require.ErrorIs(t, err, queue.ErrNotPending)

		f.release(t, l.Token, 0)
		l, err = byID("k", "1")
		require.NoError(t, err)
		require.Equal(t, uint64(2), l.Attempt)
		f.Restart(t)
		again, err = byID("k", "1")
		require.NoError(t, err)
		require.Equal(t, l, again)
		f.finish(t, l.Token, `1`)
		_, err = byID("k", "1")
		require.ErrorIs(t, err, queue.ErrLeaseLost)
		_, err = byID("other", "2")
		require.ErrorIs(t, err, queue.ErrNotPending, "a refused call has not used its key")
	},
	"while the first call waits its key is in use": func(t *testing.T, f *fixture) {
		leases := f.dequeueOnceLater(t, once("k", "1"), "work")
		_, err := f.tryOnce(once("k", "2"), "work")
		require.ErrorIs(t, err, queue.ErrKeyInUse, "whatever it asks for")
		_, err = f.Queue().DequeueByID(t.Context(), f.enqueue1(t, "else"), queue.Holder{}, once("k", "1"))
		require.ErrorIs(t, err, queue.ErrKeyInUse)
		f.enqueue1(t, "work")
		l := receive(t, leases)
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, l, again)
	},
	"a call that waited in vain has not used its key": func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := f.Queue().Dequeue(ctx, queue.DequeueRequest{Types: []string{"work"}, Once: once("k", "1")})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		f.enqueue1(t, "work")
		_, err = f.tryOnce(once("k", "2"), "work")
		require.NoError(t, err)
	},
	"a key is forgotten after its time": func(t *testing.T, f *fixture) {
		f.enqueue(t, make100("work")[:2]...)
		first, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		f.Advance(KeysLast - time.Microsecond)
		again, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.Equal(t, first, again)
		f.Advance(time.Microsecond)
		second, err := f.tryOnce(once("k", "1"), "work")
		require.NoError(t, err)
		require.NotEqual(t, first.JobID, second.JobID)
	},
}

// tryOnce dequeues without waiting, once.
func (f *fixture) tryOnce(once queue.Once, types ...string) (queue.Lease, error) {
	return f.Queue().Dequeue(now(), queue.DequeueRequest{Types: types, Once: once})
}

// dequeueOnceLater starts a caller that dequeues one job, and returns when it is under way.
func (f *fixture) dequeueOnceLater(t *testing.T, once queue.Once, types ...string) <-chan queue.Lease {
	t.Helper()
	leases := make(chan queue.Lease, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	q := f.Queue()
	go func() {
		for {
			l, err := q.Dequeue(ctx, queue.DequeueRequest{Types: types, Once: once})
			if err == nil {
				leases <- l
			}
			if !errors.Is(err, queue.ErrKeyInUse) { // which it is while somebody looks, below
				return
			}
		}
	}()
	for {
		_, err := f.tryOnce(once, types...)
		if errors.Is(err, queue.ErrKeyInUse) {
			return leases
		}
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		require.NoError(t, ctx.Err(), "the call has not begun")
		runtime.Gosched()
	}
}
