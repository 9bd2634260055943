package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ask is one intended request for a job, however often it is sent: with the same key a server
// that granted a lease, and whose answer was lost, hands over the same one.
type ask struct {
	key   string
	first time.Time // when it was sent first
	again bool      // it was sent before
}

func newAsk() ask { return ask{key: uuid.NewString()} }

// granted is when a lease, which has just arrived, is known to have been granted at the
// earliest: what arrives at the first time is fresh.
func (a ask) granted() time.Time {
	if a.again {
		return a.first
	}
	return time.Now()
}

// poll asks for jobs, one after the other, whenever a slot is free, until polling ends. It
// returns an error only if asking is of no use.
func (w *Worker) poll() error {
	ctx := w.polling
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	ask := newAsk()
	for {
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		asked := time.Now()
		if !ask.again {
			ask.first = asked
		}
		back := w.calls.reach.again()
		listening, hangUp := w.listening(asked)
		lease, err := w.calls.dequeue(listening, ask.key, w.request, w.options.PollWait)
		hangUp()
		var unread *unreadError
		switch {
		case err == nil && lease != nil:
			granted := ask.granted()
			w.start(func() { w.work(lease, granted, false) })
			backoff.reset()
			ask = newAsk()
			continue
		case errors.As(err, &unread):
			w.log.Error(err, "a granted lease could not be read; asking for it again")
			w.start(func() { w.adopt(unread.token, false) })
			ask = newAsk()
			continue
		}
		<-w.slots
		ask.again = true
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || spent(err):
			ask = newAsk()
		case unacceptable(err):
			return fmt.Errorf("ask for a job: %w", err)
		case isCode(err, CodeIdempotencyKeyInUse):
			backoff.reset() // the server says how long to wait, or it is not for long
		}
		if err == nil && time.Since(asked) >= min(w.options.PollWait, time.Second) {
			backoff.reset()
			continue
		}
		// An error, or a server that does not hold its answers back.
		pause := backoff.pause(err)
		if err != nil {
			w.log.Error(err, "asking for a job failed", "again_in", pause.String())
		}
		if RetryAfter(err) > 0 {
			back = nil // it asked for this pause
		}
		if rest(ctx, pause, back) {
			backoff.reset()
			rest(ctx, backoff.pause(nil), nil) // not all at once
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// lastAnswer is how long the answer to a request for a job is waited for, from its sending, when
// the worker stops meanwhile.
const lastAnswer = time.Second

// listening returns the context of a request for a job that is sent now. It ends with polling,
// or lastAnswer after the sending if that is later: the server does not undo a lease that it
// grants in the very moment in which the worker hangs up, because the worker might ask again by
// the same key. One that waits for long is hardly granted one in that moment.
func (w *Worker) listening(sent time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.polling))
	drained := context.AfterFunc(w.polling, func() {
		_ = sleep(ctx, lastAnswer-time.Since(sent))
		cancel()
	})
	killed := context.AfterFunc(w.alive, cancel)
	return ctx, func() {
		drained()
		killed()
		cancel()
	}
}

// rest blocks for d, or until ctx ends, or until again is closed: then it returns true.
func rest(ctx context.Context, d time.Duration, again <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-again:
		return true
	}
	return false
}
