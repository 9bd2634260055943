package client

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// adoptAll takes up the leases of an earlier process, each in a slot of its own, before
// anything is polled. Those that there are no slots for are given back.
func (w *Worker) adoptAll(tokens []Token) {
	n, _ := w.slots.tryTake(len(tokens))
	for _, token := range tokens[:n] {
		w.start(func(s *slot) { w.adopt(token, nil, true, s) })
	}
	if rest := tokens[n:]; len(rest) > 0 {
		w.log.Info("more leases to adopt than slots; giving some back", "leases", strconv.Itoa(len(rest)))
		w.runs.Go(func() {
			for _, token := range rest {
				w.report(&Lease{Token: token}, release(0), nil)
			}
		})
	}
}

// adopt runs the job of a lease, if it is still alive. known is the lease as it was, or nil if there
// is no more than its token.
func (w *Worker) adopt(token Token, known *Lease, adopted bool, s *slot) {
	lease, refreshed, err := w.revive(token, known)
	switch {
	case err == nil:
		if adopted {
			w.log.Info("adopted a lease", about(lease)...)
		}
		w.work(lease, refreshed, adopted, s)
	case ended(err) != nil || errors.Is(err, ErrCanceled):
		w.forget(token)
	case errors.Is(err, ErrAnswerTooLong):
		w.log.Error(err, "a lease is too long to be read; its job fails")
		w.report(&Lease{Token: token}, fail(Failure{Reason: ReasonUnreadable, Details: message(err.Error())}), s)
	default:
		w.report(&Lease{Token: token}, release(0), s)
	}
}

// revive refreshes the lease, and looks at it unless it is known, until that has succeeded, the
// lease is over, polling ends, or ReportTimeout has passed. It returns when the refreshing was sent:
// looking does not count as a heartbeat, and the last one may be long ago.
func (w *Worker) revive(token Token, known *Lease) (*Lease, time.Time, error) {
	ctx, cancel := context.WithTimeout(w.polling, w.options.ReportTimeout)
	defer cancel()
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	for {
		sent := time.Now()
		answer, err := w.calls.heartbeat(ctx, token, news{}.body(), w.options.RequestTimeout)
		if err == nil && answer.Canceled {
			return nil, sent, ErrCanceled
		}
		lease := known
		if err == nil && known == nil {
			lease, err = w.calls.lease(ctx, token)
		}
		if err == nil && lease.Token != token {
			err = errors.New("the answer is not the lease that was asked for")
		}
		if err == nil || ended(err) != nil || errors.Is(err, ErrAnswerTooLong) {
			return lease, sent, err
		}
		if sleep(ctx, backoff.pause(err)) != nil {
			return nil, sent, err
		}
		w.log.Error(err, "taking up a lease failed; trying again")
	}
}
