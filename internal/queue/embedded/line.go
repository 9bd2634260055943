package embedded

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

// standWhereItShould puts a job that waits, and stands nowhere yet, where its state says.
func (c *change) standWhereItShould(j waitingJob) {
	switch j.record.State {
	case queue.Pending:
		// Whether somebody waits for it is seen when the change is complete.
		c.waiting = append(c.waiting, j)
		if c.overlay != nil {
			c.overlay[j.id] = j.record
		}
		return
	case queue.Scheduled:
		c.setDue(j.record.RunAt, dueToRun, j.id[:])
	default: // a blocked one stands nowhere
	}
	c.setRecord(j.id, &j.record)
}

// leave takes a job that waits away from where it stands. Its record is as it was there.
func (c *change) leave(j waitingJob) {
	switch j.record.State {
	case queue.Pending:
		mine := slices.IndexFunc(c.waiting, func(w waitingJob) bool { return w.id == j.id })
		if mine >= 0 { // this very change has put it there, and it is in no index yet
			c.waiting = slices.Delete(c.waiting, mine, mine+1)
			return
		}
		c.delete(readyKey(c.key[:0], j.lane, j.at()))
		c.unready = append(c.unready, j)
	case queue.Scheduled:
		c.deleteDue(j.record.RunAt, dueToRun, j.id[:])
	default:
	}
}

// serveLine hands the jobs that this change made ready to the callers that wait for them, and
// puts the others into the ready index. The change cannot fail after that, except with the
// whole store. So one sync makes durable both what made the job ready and its claim.
func (c *change) serveLine() {
	if len(c.waiting) > 1 {
		slices.SortFunc(c.waiting, func(a, b waitingJob) int { return a.at().compare(b.at()) })
	}
	left := c.waiting[:0]
	for _, j := range c.waiting {
		if r, found := c.overlay[j.id]; found { // it has got a dependent since
			j.record, j.fresh = r, j.fresh && r.asEnqueued()
		}
		var waiter *wait.Waiter[claimant, *grant]
		handed := false
		if !j.record.Expired(c.now) { // else that is about to be noticed
			waiter, handed = c.store.line.Take(j.lane)
		}
		if !handed {
			var queued time.Time
			if j.fresh {
				queued = j.record.Queued
				c.count(j.id, &j.record)
			} else {
				c.writeRecord(j.id, &j.record)
			}
			c.setReady(&j, queued)
			left = append(left, j)
			continue
		}
		g, err := c.grant(j, waiter.Request)
		if err != nil {
			panic(err) // what waits in line is pending
		}
		c.handover = append(c.handover, handover{waiter: waiter, grant: &g})
	}
	c.waiting = left
}

// claim takes a job out of the ready index and leases it. queue.ErrNotPending.
func (c *change) claim(j *waitingJob, by claimant) (grant, error) {
	g, err := c.grant(*j, by)
	if err != nil {
		return grant{}, err
	}
	c.leave(*j)
	return g, nil
}

// grant leases a job that stands in no line, or is about to leave it.
func (c *change) grant(j waitingJob, by claimant) (grant, error) {
	token := uuid.New()
	next, err := j.record.Grant(token, by.Holder, c.now)
	if err != nil {
		return grant{}, err
	}
	if expires := j.record.ExpiresAt; !expires.IsZero() {
		c.deleteDue(expires, dueToExpire, j.id[:])
	}
	if j.record.hasReported {
		c.delete(idKey(c.key[:0], prefixReported, j.id))
		j.record.hasReported = false
	}
	j.record.Record = next
	c.setRecord(j.id, &j.record)
	c.moved(j.lane, queue.Pending, queue.Running, 0, next.Waited())
	c.setRunning(j.place, j.id)
	g := grant{
		chosen: c.clock, token: token, jobID: j.id, attempt: next.Attempt,
		timeout: j.record.timeout, heartbeatTimeout: j.record.heartbeatTimeout,
	}
	if by.once.Given() {
		c.setOnce(by.once, &onceEntry{tokens: []uuid.UUID{token}})
	}
	l := &lease{
		token: token, jobID: j.id, lane: j.lane, place: j.place, record: j.record,
		holder: by.Holder, attempt: next.Attempt, started: next.Started,
		beat: c.clock, heartbeatTimeout: j.record.heartbeatTimeout,
	}
	if j.record.timeout > 0 {
		l.deadline = c.clock.Add(j.record.timeout)
	}
	c.granted = append(c.granted, l)
	g.lease = l
	return g, nil
}

// endLease ends a lease and remembers how.
func (c *change) endLease(l *lease, ended queue.EndedLease) {
	c.delete(runningKey(c.key[:0], l.place))
	c.set(idKey(c.key[:0], prefixEndedLease, l.token), encodeEndedLease(c.value[:0], ended))
	c.ended = append(c.ended, l.token)
}

// handOver wakes the callers whose lease this change granted.
func (c *change) handOver(group *syncGroup) {
	for _, h := range c.handover {
		h.grant.group = group
		h.waiter.Give(h.grant)
	}
}
