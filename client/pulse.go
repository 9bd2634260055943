package client

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// pulse is one heartbeat of several that are sent together.
type pulse struct {
	ctx   context.Context // of who waits for its outcome
	token Token
	body  []byte
	limit time.Duration

	answer *HeartbeatAnswer
	err    error
	done   chan struct{} // closed when there is an outcome

	stay func() bool // takes back what happens when ctx ends
}

// inStep returns a pause that ends in step with those of the worker's other leases, so that
// they beat together, a little early.
func (w *Worker) inStep(c cadence, pause time.Duration) time.Duration {
	if !w.together() || pause <= 0 {
		return pause
	}
	step := min(c.pause/10, time.Second)
	now := time.Since(w.begun)
	return (now + pause).Truncate(step) - now
}

// heartbeat sends a heartbeat together with those that are due at the same time, if it can.
func (w *Worker) heartbeat(ctx context.Context, token Token, body []byte, limit time.Duration) (*HeartbeatAnswer, error) {
	if !w.together() || len(body) > maxShare {
		return w.calls.heartbeat(ctx, token, body, limit)
	}
	p := &pulse{ctx: ctx, token: token, body: body, limit: limit, done: make(chan struct{})}
	defer w.beats.enter(1)
	if all := w.beats.join(p, len(body)); all != nil {
		w.runs.Go(func() { w.pulseAll(all) }) // the run that it is for may end meanwhile
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if errors.Is(p.err, errAlone) {
		return w.calls.heartbeat(ctx, token, body, limit)
	}
	return p.answer, p.err
}

// pulseAll sends heartbeats for those that still wait for them, until nobody does any more, and
// for no longer than the most impatient of them would.
func (w *Worker) pulseAll(pulses []*pulse) {
	pulses = slices.DeleteFunc(pulses, func(p *pulse) bool { return p.ctx.Err() != nil })
	ctx, cancel := context.WithCancel(w.sending)
	defer cancel()
	limit := w.options.RequestTimeout
	var waiting atomic.Int64
	waiting.Store(int64(len(pulses)))
	for _, p := range pulses {
		limit = min(limit, p.limit)
		p.stay = context.AfterFunc(p.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
	}
	w.pulseOnce(ctx, pulses, limit)
	for _, p := range pulses {
		p.stay()
		close(p.done)
	}
}

// pulseOnce sends heartbeats, and sets their outcomes.
func (w *Worker) pulseOnce(ctx context.Context, pulses []*pulse, limit time.Duration) {
	switch len(pulses) {
	case 0:
		return
	case 1:
		p := pulses[0]
		p.answer, p.err = w.calls.heartbeat(ctx, p.token, p.body, limit)
		return
	}
	answer, err := w.calls.heartbeatMany(ctx, pulses, limit)
	if unacceptable(err) || w.unknown(err) || ended(err) != nil {
		err = errAlone // what is said of all of it is not said of any one lease
	}
	for i, p := range pulses {
		if p.err = err; err == nil {
			p.answer, p.err = pulseOutcome(answer.Heartbeats[i])
		}
	}
}

// pulseOutcome returns what the server said about one heartbeat of many.
func pulseOutcome(one LeaseHeartbeatAnswer) (*HeartbeatAnswer, error) {
	if one.Code != nil {
		err := &Problem{Code: *one.Code, Title: "the heartbeat was refused"}
		if ended(err) == nil {
			return nil, errAlone
		}
		return nil, err
	}
	answer := &HeartbeatAnswer{Canceled: one.Canceled != nil && *one.Canceled}
	if one.HeartbeatInSeconds != nil {
		answer.HeartbeatInSeconds = *one.HeartbeatInSeconds
	}
	if one.HeartbeatTimeoutSeconds != nil {
		answer.HeartbeatTimeoutSeconds = *one.HeartbeatTimeoutSeconds
	}
	return answer, nil
}
