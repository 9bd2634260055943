package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ask is one intended request for jobs, however often it is sent: with the same key, and the
// same things in it, a server that granted leases, and whose answer was lost, hands over the
// same ones.
type ask struct {
	key     string
	most    int // how many jobs it asks for
	wait    time.Duration
	endings []*ending // that are reported with it

	slots int            // that are kept for what it is granted
	first time.Time      // when it was sent first
	again bool           // it was sent before
	seen  map[Token]bool // the leases it was granted
}

func newAsk(slots int, wait time.Duration) *ask {
	return &ask{key: uuid.NewString(), most: slots, wait: wait, slots: slots}
}

// many reports whether it takes the request for many jobs.
func (a *ask) many() bool { return a.most > 1 || len(a.endings) > 0 }

// granted is when a lease that has just arrived was granted at the earliest. Its answer may have
// been long under way, and nobody knows for how much of the time the server held it back.
func (a *ask) granted() time.Time { return a.first }

// poll asks for jobs, as many as slots are free, whenever some are, until polling ends. It
// returns an error only if asking is of no use.
func (w *Worker) poll() error {
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	// So that as many requests as there are to be can wait at once.
	share := (w.options.Concurrency + w.options.Pollers - 1) / w.options.Pollers
	for {
		most := 1
		if w.together() {
			most = min(share, maxMany)
		}
		n := w.slots.take(w.polling, most)
		if n == 0 {
			return nil
		}
		if err := w.pursue(newAsk(n, w.options.PollWait), backoff); err != nil {
			return err
		}
	}
}

// pursue asks until there is an answer, or polling ends, and starts what was granted. The
// slots are free, or taken by that, when it returns. The error is that the server does not
// accept the request.
func (w *Worker) pursue(ask *ask, backoff *backoff) error {
	ctx := w.polling
	defer func() { w.slots.put(ask.slots) }()
	for {
		asked := time.Now()
		if !ask.again {
			ask.first = asked
		}
		back := w.calls.reach.again()
		listening, hangUp := w.listening(asked)
		leases, err := w.dequeue(listening, ask)
		hangUp()
		w.startLeases(ask, leases)
		var unread *unreadError
		switch {
		case err == nil && len(leases) > 0:
			backoff.reset()
			return nil
		case errors.As(err, &unread):
			w.log.Error(err, "a granted lease could not be read; asking for it again")
			ask.slots--
			w.start(func(s *slot) { w.adopt(unread.token, nil, false, s) })
			return nil
		}
		ask.again = true
		over := err == nil || spent(err)
		switch {
		case ctx.Err() != nil:
			return nil
		case ask.many() && w.unknown(err):
			return nil
		case !over && unacceptable(err):
			return fmt.Errorf("ask for a job: %w", err)
		case isCode(err, CodeIdempotencyKeyInUse):
			backoff.reset() // the server says how long to wait, or it is not for long
		case errors.Is(err, ErrAnswerTooLong):
			// What could be read runs; when it is over, the rest can be.
			w.oneByOne.Store(true)
		}
		if err == nil && time.Since(asked) >= min(ask.wait, time.Second) {
			backoff.reset()
			return nil
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
		if over || ctx.Err() != nil {
			return nil
		}
	}
}

// dequeue sends an ask once. Even with an error there may be leases: those that could be read.
func (w *Worker) dequeue(ctx context.Context, ask *ask) ([]Lease, error) {
	if ask.many() {
		answer, err := w.calls.dequeueMany(ctx, w.request, ask)
		return answer.Leases, err
	}
	lease, err := w.calls.dequeue(ctx, ask.key, w.request, ask.wait)
	if lease == nil {
		return nil, err
	}
	return []Lease{*lease}, err
}

// startLeases runs the jobs of leases that an ask was granted, in its slots.
func (w *Worker) startLeases(ask *ask, leases []Lease) {
	granted := ask.granted()
	runs := make([]func(*slot), 0, len(leases))
	for i := range leases {
		lease := &leases[i]
		if ask.seen[lease.Token] {
			continue // it came with an answer that could not be read to its end
		}
		if ask.seen == nil {
			ask.seen = make(map[Token]bool, len(leases))
		}
		ask.seen[lease.Token] = true
		runs = append(runs, func(s *slot) {
			if !time.Now().Before(validUntil(lease, granted)) {
				w.adopt(lease.Token, lease, false, s) // it may have been taken back on its way
				return
			}
			w.work(lease, granted, false, s)
		})
	}
	ask.slots -= len(runs)
	w.start(runs...)
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
