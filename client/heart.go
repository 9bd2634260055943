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

// attempt is how long one heartbeat may take: at most half of the timeout, so that an attempt
// that hangs leaves room for another one.
func (c cadence) attempt() time.Duration {
	return max(c.timeout/4, min(time.Second, c.timeout/2))
}

// beat keeps the lease alive until ctx ends (nil), or the server says that the lease is over:
// ErrCanceled or ErrLeaseLost.
//
// Silence is no verdict, however long it lasts: the server may be down, and gives every lease
// a fresh heartbeat when it is back. Should it have taken the lease back meanwhile, it says so
// then. So the beats go on, at the lease's own pace at the slowest, or a server that is back
// would hear of the lease too late. Until when the lease was known to be alive is what run
// tells its handler.
func (w *Worker) beat(ctx context.Context, lease *Lease, run *Run) error {
	c := newCadence(lease.HeartbeatInSeconds, lease.HeartbeatTimeoutSeconds)
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	pause := min(c.pause, max(time.Until(run.ValidUntil()), 0))
	told := false
	for {
		if sleep(ctx, pause) != nil {
			return nil
		}
		sent := time.Now()
		answer, err := w.calls.heartbeat(ctx, lease.Token, c.attempt())
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && answer.Canceled:
			return ErrCanceled
		case err == nil:
			c = newCadence(answer.HeartbeatInSeconds, answer.HeartbeatTimeoutSeconds)
			// From the sending: when the server counts from is later.
			run.setValidUntil(sent.Add(c.timeout))
			backoff.reset()
			pause, told = c.pause, false
			continue
		case ended(err) != nil:
			return ended(err)
		}
		pause = min(backoff.pause(err), c.pause)
		if left := time.Until(run.ValidUntil()); left > 0 {
			pause = min(pause, max(left/2, minHeartbeatPause)) // once more before the end, in any case
		} else if !told {
			told = true
			w.log.Error(err, "no heartbeat was answered for the heartbeat timeout; the run goes on, and may run elsewhere too",
				about(lease)...)
		}
		w.log.Error(err, "a heartbeat failed", about(lease, "again_in", pause.String())...)
	}
}
