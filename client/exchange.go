package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ending is the report of a run that has ended, on its way with others.
type ending struct {
	token   Token
	report  report
	slot    *slot
	outcome chan error // gets one value
}

// errAlone: what was to go together was not, or was refused for what may be another one's
// fault. It is to be sent alone, at once: then the answer is its own.
var errAlone = errors.New("to be sent alone")

// together reports whether requests of several runs go together. A worker of one slot has
// nothing to put together.
func (w *Worker) together() bool { return w.options.Concurrency > 1 && !w.oneByOne.Load() }

// sendTogether makes a report in the request that asks for the next jobs, with those of other
// runs that end at about this time. errAlone; with any other error but those of ended, nothing
// is known of the report, and it is to be repeated alone.
//
// That request does not wait for jobs: reports are acknowledged at once, and none is ever held
// up by a request that waits. If there are no more jobs, the next one to ask is poll.
func (w *Worker) sendTogether(ctx context.Context, lease *Lease, r report, s *slot) error {
	e := &ending{token: lease.Token, report: r, slot: s, outcome: make(chan error, 1)}
	s.joined = true
	if all := w.endings.join(e, len(r.body)); all != nil {
		w.exchange(ctx, all)
	}
	return <-e.outcome
}

// exchange makes the reports, and starts the jobs that it gets for them.
func (w *Worker) exchange(ctx context.Context, endings []*ending) {
	slots := 0
	if w.polling.Err() == nil && w.alive.Err() == nil && w.together() {
		slots = w.slots.swap(len(endings), maxMany)
	}
	if slots == 0 {
		for _, e := range endings {
			e.outcome <- errAlone
		}
		return
	}
	ask := newAsk(slots, 0)
	ask.endings = endings
	ask.first = time.Now()
	answer, err := w.calls.dequeueMany(ctx, w.request, ask)
	if err != nil {
		w.exchangeFailed(ask, err)
		return
	}
	w.startLeases(ask, answer.Leases)
	w.slots.put(ask.slots)
	for i, e := range endings {
		e.outcome <- w.settle(e, answer.Finished[i].Code)
	}
}

// settle returns what the server said about one report of many.
func (w *Worker) settle(e *ending, code *string) error {
	var err error
	if code != nil {
		err = &Problem{Code: *code, Title: "the report was refused"}
		if ended(err) == nil {
			w.slots.put(-1)
			return errAlone
		}
	}
	e.slot.given = true
	return err
}

// exchangeFailed leaves the reports to their runs. The jobs are another matter: some may have
// been granted, so the same thing is asked until it is answered.
func (w *Worker) exchangeFailed(ask *ask, err error) {
	w.slots.put(-len(ask.endings))
	refused := unacceptable(err) || w.unknown(err) || spent(err)
	outcome := err
	if refused || ended(err) != nil {
		outcome = errAlone // what is said of all of it is not said of any one lease
	}
	for _, e := range ask.endings {
		e.outcome <- outcome
	}
	if refused || w.polling.Err() != nil {
		w.slots.put(ask.slots) // nothing was granted, or nobody is left to run it
		return
	}
	ask.again = true
	w.log.Error(err, "reporting runs and asking for jobs failed; trying again")
	w.runs.Go(func() {
		backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
		rest(w.polling, backoff.pause(err), nil)
		if w.polling.Err() != nil {
			w.slots.put(ask.slots)
			return
		}
		if err := w.pursue(ask, backoff); err != nil {
			w.log.Error(err, "asking for jobs was given up")
		}
	})
}

// unknown reports whether err shows that the server does not know requests for many, as one
// before this version. There will be none any more.
func (w *Worker) unknown(err error) bool {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Code == "" ||
		problem.Status != http.StatusNotFound && problem.Status != http.StatusMethodNotAllowed {
		return false
	}
	if !w.oneByOne.Swap(true) {
		w.log.Error(err, "the server does not know requests for many jobs; they are asked for one by one")
	}
	return true
}
