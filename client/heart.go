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

// first is how long the first heartbeat can wait under a lease that lives for left without. When it
// was granted is not known any better than that, so it is as if that were now, unless that would
// leave too little time for a second heartbeat.
func (c cadence) first(left time.Duration) time.Duration {
	if c.pause <= left-c.timeout/3 {
		return c.pause
	}
	return left - c.timeout + c.pause
}

// reportPause is how often a handler can have its news sent at once.
const reportPause = time.Second

// beat keeps the lease alive until ctx ends (nil), or the server says that the lease is over:
// ErrCanceled or ErrLeaseLost. What the handler has to tell goes along.
//
// Silence is no verdict, however long it lasts: the server may be down, and gives every lease
// a fresh heartbeat when it is back. Should it have taken the lease back meanwhile, it says so
// then. So the beats go on, at the lease's own pace at the slowest, or a server that is back
// would hear of the lease too late. Until when the lease was known to be alive is what run
// tells its handler.
func (w *Worker) beat(ctx context.Context, lease *Lease, run *Run) error {
	c := newCadence(lease.HeartbeatInSeconds, lease.HeartbeatTimeoutSeconds)
	backoff := newBackoff(w.options.MinBackoff, w.options.MaxBackoff)
	pause := w.inStep(c, c.first(time.Until(run.ValidUntil())))
	hurry := run.hurry
	silent := false
	w.beats.enter(1)
	defer w.beats.leave()
	var sent time.Time
	for {
		if rest := restUntilBeat(ctx, pause, sent, hurry); rest != nil {
			return nil
		}
		sent = time.Now()
		answer, err := w.tell(ctx, lease, run, c.attempt(), hurry == nil)
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
			pause, hurry, silent = w.inStep(c, c.pause), run.hurry, false
			continue
		case ended(err) != nil:
			return ended(err)
		}
		hurry = nil // failed beats have a pace of their own
		pause = min(backoff.pause(err), c.pause)
		if left := time.Until(run.ValidUntil()); left > 0 {
			pause = min(pause, max(left/2, minHeartbeatPause)) // once more before the end, in any case
		} else if !silent {
			silent = true
			w.log.Error(err, "no heartbeat was answered for the heartbeat timeout; the run goes on, and may run elsewhere too",
				about(lease)...)
		}
		w.log.Error(err, "a heartbeat failed", about(lease, "again_in", pause.String())...)
	}
}

// restUntilBeat blocks for pause, or until the handler wants its news sent, but in that case not
// sooner than reportPause after the last beat. It returns the cause if ctx ends.
func restUntilBeat(ctx context.Context, pause time.Duration, last time.Time, hurry <-chan struct{}) error {
	due := time.Now().Add(pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-hurry:
		return sleep(ctx, min(time.Until(due), time.Until(last.Add(reportPause))))
	}
}

// tell sends one heartbeat with the run's news; after one that failed without the partial
// result, which may be what was too long for the network, and must not cost the lease. News
// that the server refuses are dropped, and the heart beats without.
func (w *Worker) tell(ctx context.Context, lease *Lease, run *Run, limit time.Duration, failed bool) (*HeartbeatAnswer, error) {
	run.telling.Lock() // so that older news do not arrive after newer ones
	defer run.telling.Unlock()
	n := run.news()
	if failed {
		n.partial = nil
	}
	send := w.heartbeat
	if failed {
		send = w.calls.heartbeat // alone: it may have been another one's fault
	}
	answer, err := send(ctx, lease.Token, n.body(), limit)
	if unacceptable(err) && !n.empty() {
		w.log.Error(err, "the server refuses what a handler reports of its progress", about(lease)...)
		run.told(n)
		answer, err = w.calls.heartbeat(ctx, lease.Token, news{}.body(), limit)
	} else if err == nil {
		run.told(n)
	}
	return answer, err
}

// lastWords sends the news that the heart has not sent yet of a run that did not finish: they
// stay with the job, and tell how far it came. They are sent once, since the report that
// follows matters more.
func (w *Worker) lastWords(lease *Lease, run *Run) {
	if run.news().empty() {
		return
	}
	limit := newCadence(lease.HeartbeatInSeconds, lease.HeartbeatTimeoutSeconds).attempt()
	if _, err := w.tell(w.sending, lease, run, limit, false); err != nil {
		w.log.Info("the last progress of a run was not told", about(lease, "answer", err.Error())...)
	}
}
