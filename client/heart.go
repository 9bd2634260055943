package client

import (
	"context"
	"time"
)

// Bounds of what a server may ask for, so that a wrong number neither floods it nor loses the
// lease.
const (
	defaultHeartbeatTimeout = 120 * time.Second
	maxHeartbeatTimeout     = 24 * time.Hour
	minHeartbeatPause       = 10 * time.Millisecond
)

// cadence is how often to beat, and how long the lease lives without.
type cadence struct {
	pause   time.Duration
	timeout time.Duration
}

// newCadence makes sense of the two numbers of an answer, in seconds.
func newCadence(pauseSeconds, timeoutSeconds float64) cadence {
	c := cadence{timeout: duration(timeoutSeconds, maxHeartbeatTimeout)}
	if c.timeout <= 0 {
		c.timeout = defaultHeartbeatTimeout
	}
	c.pause = duration(pauseSeconds, maxHeartbeatTimeout)
	if c.pause <= 0 || c.pause >= c.timeout {
		c.pause = c.timeout / 3
	}
	c.pause = max(c.pause, minHeartbeatPause)
	return c
}

// duration converts seconds, at most most.
func duration(seconds float64, most time.Duration) time.Duration {
	if seconds >= most.Seconds() {
		return most
	}
	return time.Duration(seconds * float64(time.Second))
}

// beat keeps the lease alive until ctx ends (nil), or the lease is over: ErrCanceled or
// ErrLeaseLost. granted is when the lease was last known to be alive.
//
// A lease counts as lost when no beat that was sent in the last timeout was answered. Time is
// counted from the sending, so the handler is told before the server gives the job away.
func (w *Worker) beat(ctx context.Context, token Token, granted time.Time, c cadence) error {
	deadline := granted.Add(c.timeout)
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	pause := c.pause
	for {
		if sleep(ctx, min(pause, time.Until(deadline))) != nil {
			return nil
		}
		sent := time.Now()
		if !sent.Before(deadline) {
			return ErrLeaseLost
		}
		// A quarter of the timeout: an attempt that hangs leaves room for others.
		limit := min(deadline.Sub(sent), max(c.timeout/4, time.Second))
		answer, err := w.calls.heartbeat(ctx, token, limit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && answer.Canceled:
			return ErrCanceled
		case err == nil:
			c = newCadence(answer.HeartbeatInSeconds, answer.HeartbeatTimeoutSeconds)
			deadline = sent.Add(c.timeout)
			backoff.reset()
			pause = c.pause
		case ended(err) != nil:
			return ended(err)
		default:
			// Soon again, whatever the cadence, and in any case once more before the end.
			pause = min(backoff.pause(err), max(time.Until(deadline)/2, minHeartbeatPause))
			w.log.Error(err, "a heartbeat failed", "again_in", pause.String())
		}
	}
}
