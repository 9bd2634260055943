package queuetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What the model says of leases and of time.

// next returns the job that a dequeue is expected to lease, or nil.
func (m *model) next(request queue.DequeueRequest) (first *modelJob) {
	lanes := request.Lanes()
	for _, id := range m.order {
		j := m.jobs[id]
		if j.state == queue.Pending && slices.Contains(lanes, j.job.Lane()) && (first == nil || j.priority > first.priority) {
			first = j
		}
	}
	return first
}

func (m *model) grant(j *modelJob, token uuid.UUID, to queue.Holder) {
	j.state = queue.Running
	j.started, j.worker = m.now, to.Worker
	j.principals = append(j.principals, to.Principal)
	j.attempt++
	j.token = token
	j.expires = time.Time{}
	j.progress, j.partial = nil, ""
	l := &modelLease{job: j.id, attempt: j.attempt, beat: m.now}
	if j.job.Timeout > 0 {
		l.deadline = m.now.Add(j.job.Timeout)
	}
	m.tokens[token] = l
}

// late returns what a report, or a failure, is answered whose lease is over.
func (l *modelLease) late(report string) (queue.State, error) {
	switch l.ended {
	case "reported":
		if l.report == report {
			return l.state, nil
		}
		return 0, queue.ErrAlreadyReported
	case "canceled":
		return 0, queue.ErrCanceled
	default:
		return 0, queue.ErrLeaseLost
	}
}

// report returns the state or the error that is expected of RequeueOrFinishJob.
func (m *model) report(token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	l := m.tokens[token]
	if l == nil {
		return 0, queue.ErrNotExist
	}
	text := describe(outcome)
	if l.ended != "" {
		return l.late(text)
	}
	j := m.jobs[l.job]
	l.ended, l.report = "reported", text
	switch {
	case j.retries < maxRetries:
		l.ended = "lost"
		j.retries++
		m.wait(j)
	case outcome.Error != nil:
		m.over(j, queue.Failed, "", outcome.Error.Reason)
	default:
		m.over(j, queue.Finished, string(outcome.Result), "")
	}
	if outcome.Error != nil && outcome.Error.Reason == queue.ReasonHeartbeatLost {
		l.ended = "lost"
	}
	l.state = j.state
	return j.state, nil
}

// fail returns the state or the error that is expected of Fail.
func (m *model) fail(token uuid.UUID, f queue.Failure) (queue.State, error) {
	l := m.tokens[token]
	if l == nil {
		return 0, queue.ErrNotExist
	}
	text := describeFailure(f)
	if l.ended != "" {
		return l.late(text)
	}
	j := m.jobs[l.job]
	l.ended, l.report = "reported", text
	j.failures++
	if policy := j.job.Retry; f.Retryable && policy != nil && j.failures < policy.MaxAttempts {
		delay := m.delay(policy, j.failures)
		if f.RetryAfter != nil {
			delay = *f.RetryAfter
		}
		m.waitFor(j, delay)
	} else {
		m.over(j, queue.Failed, "", f.Error.Reason)
	}
	l.state = j.state
	return j.state, nil
}

// delay is what a policy without jitter says.
func (m *model) delay(policy *queue.RetryPolicy, failures uint64) time.Duration {
	delay := policy.Initial
	for range failures - 1 {
		delay = min(time.Duration(float64(delay)*policy.Factor), policy.Max)
	}
	return min(delay, policy.Max)
}

// waitFor has a job wait for that long at least.
func (m *model) waitFor(j *modelJob, delay time.Duration) {
	if delay > 0 {
		j.runAt = m.now.Add(delay)
	}
	m.wait(j)
}

func (m *model) release(token uuid.UUID, delay time.Duration) (queue.State, error) {
	l := m.tokens[token]
	switch {
	case l == nil:
		return 0, queue.ErrNotExist
	case l.ended == "canceled", l.ended == "released":
		return l.state, nil
	case l.ended != "":
		return 0, queue.ErrLeaseLost
	}
	j := m.jobs[l.job]
	m.waitFor(j, delay)
	l.ended, l.state = "released", j.state
	return j.state, nil
}

func (m *model) beat(token uuid.UUID, beat queue.Beat) (answer queue.BeatAnswer, err error) {
	l := m.tokens[token]
	switch {
	case l == nil:
		return answer, queue.ErrNotExist
	case l.ended == "canceled":
		return queue.BeatAnswer{Canceled: true, HeartbeatTimeout: m.jobs[l.job].job.HeartbeatTimeout}, nil
	case l.ended != "":
		return answer, queue.ErrLeaseLost
	}
	l.beat = m.now
	j := m.jobs[l.job]
	if beat.Progress != nil {
		j.progress = beat.Progress
	}
	if beat.PartialResult != nil {
		j.partial = string(beat.PartialResult)
	}
	return queue.BeatAnswer{HeartbeatTimeout: j.job.HeartbeatTimeout}, nil
}

// stale returns the tokens that are expected of Heartbeats, sorted.
func (m *model) stale(olderThan time.Duration) []uuid.UUID {
	var tokens []uuid.UUID
	for token, l := range m.tokens {
		timeout := m.jobs[l.job].job.HeartbeatTimeout
		if timeout == 0 {
			timeout = olderThan
		}
		if l.ended == "" && m.now.Sub(l.beat) >= timeout {
			tokens = append(tokens, token)
		}
	}
	return sorted(tokens)
}

func (m *model) restart() {
	for _, l := range m.tokens {
		l.beat = m.now
	}
}

// advance moves the clock, and does what is due: first what stands in the schedule, in the
// order of time, one after the other; then it ends the runs that have taken too long.
func (m *model) advance(d time.Duration) {
	m.now = m.now.Add(d)
	for {
		j, expires := m.nextDue()
		switch {
		case j == nil:
			m.endLongRuns()
			return
		case expires:
			m.over(j, queue.Failed, "", queue.ReasonExpired)
		default:
			m.wait(j)
		}
	}
}

// nextDue returns the job that is to expire or to become ready first, if one is due.
func (m *model) nextDue() (first *modelJob, expires bool) {
	var at time.Time
	earlier := func(t time.Time, toExpire bool, id uuid.UUID) bool {
		switch {
		case t.IsZero() || t.After(m.now):
			return false
		case first == nil || !t.Equal(at):
			return first == nil || t.Before(at)
		case toExpire != expires:
			return toExpire
		default:
			return bytes.Compare(id[:], first.id[:]) < 0
		}
	}
	for _, id := range m.order {
		j := m.jobs[id]
		if j.state.Waiting() && earlier(j.expires, true, id) {
			first, expires, at = j, true, j.expires
		}
		if j.state == queue.Scheduled && earlier(j.runAt, false, id) {
			first, expires, at = j, false, j.runAt
		}
	}
	return first, expires
}

func (m *model) endLongRuns() {
	for {
		var first *modelLease
		for _, id := range m.order { // of those with the same deadline the one enqueued first
			l := m.tokens[m.jobs[id].token]
			if l != nil && !l.deadline.IsZero() && !l.deadline.After(m.now) && (first == nil || l.deadline.Before(first.deadline)) {
				first = l
			}
		}
		if first == nil {
			return
		}
		first.ended = "timed out"
		j := m.jobs[first.job]
		j.timeouts++
		if j.timeouts > j.job.MaxTimeouts {
			m.over(j, queue.Failed, "", queue.ReasonTimeout)
			continue
		}
		var delay time.Duration
		if j.job.Retry != nil {
			delay = m.delay(j.job.Retry, j.timeouts)
		}
		m.waitFor(j, delay)
	}
}

// call returns what was answered to a key, or nil; a key is forgotten in time.
func (m *model) call(key string) *modelCall {
	if call := m.keys[key]; call != nil && call.until.After(m.now) {
		return call
	}
	return nil
}
