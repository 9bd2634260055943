package embedded

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// copyStep is how much is written at once, in bytes, or a little more.
const copyStep = 1 << 20

// AddJob implements queue.CopyTarget.
func (t *CopyTarget) AddJob(_ context.Context, c *queue.CopiedJob) error {
	lane := t.tally(c.Given.Lane())
	j := &job{Job: c.Given, number: lane.number, place: c.Place}
	j.Dependencies = c.Edges()
	r := &record{
		Record: c.Record, lane: lane.number, deleted: c.Hidden, hasDependents: c.HasDependents, hasUniqueKey: j.UniqueKey != "",
		hasReported: c.Progress != nil || c.PartialResult != nil, timeout: j.Timeout, heartbeatTimeout: j.HeartbeatTimeout,
	}
	if !c.Hidden {
		lane.counts[r.State]++
		if r.counted = r.State; isOpen(r.State) {
			lane.bytes += int64(len(j.Args))
		}
	}
	t.set(idKey(t.key[:0], prefixJob, j.ID), j.encode(t.value[:0]))
	for i := range c.Attempts {
		a := &attempt{Attempt: c.Attempts[i], token: uuid.New()}
		t.set(attemptKey(t.key[:0], j.ID, a.Number), a.encode(t.value[:0]))
		t.setEnded(a.token, queue.EndedLease{JobID: j.ID, Attempt: a.Number, End: a.End, State: a.State})
	}
	if c.LastEnd != 0 {
		r.endedToken = uuid.New()
		t.setEnded(r.endedToken, queue.EndedLease{JobID: j.ID, Attempt: r.Attempt, End: c.LastEnd, State: r.State})
	}
	for i := range c.Above {
		e := &c.Above[i]
		d := dependent{id: j.ID, condition: e.If, generation: e.Generation, settled: e.State.Over()}
		if e.Gone {
			d.gone, d.goneType = e.State, e.Type
		}
		t.set(dependentKey(t.key[:0], e.ID, j.place), d.encode(t.value[:0]))
	}
	if r.State == queue.Pending && r.asEnqueued() {
		t.set(readyKey(t.key[:0], j.Lane(), r.position(j.place)), encodeReady(t.value[:0], j.ID, r.Queued))
	} else {
		t.set(idKey(t.key[:0], prefixRecord, j.ID), r.encode(t.value[:0]))
		t.index(c, j, r)
	}
	return t.step(copyStep)
}

// index writes where a job stands apart from its record.
func (t *CopyTarget) index(c *queue.CopiedJob, j *job, r *record) {
	switch r.State {
	case queue.Pending:
		t.set(readyKey(t.key[:0], j.Lane(), r.position(j.place)), append(t.value[:0], j.ID[:]...))
	case queue.Scheduled:
		t.set(dueKey(t.key[:0], r.RunAt.UnixMicro(), dueToRun, j.ID[:]), nil)
	case queue.Finished, queue.Failed:
		t.set(idKey(t.key[:0], prefixOutcome, j.ID), encodeOutcome(t.value[:0], c.Outcome))
	default: // it stands nowhere else
	}
	if !r.ExpiresAt.IsZero() {
		t.set(dueKey(t.key[:0], r.ExpiresAt.UnixMicro(), dueToExpire, j.ID[:]), nil)
	}
	if r.hasUniqueKey && !r.State.Over() {
		t.set(uniqueKey(t.key[:0], j.Lane(), j.UniqueKey), append(t.value[:0], j.ID[:]...))
	}
	if r.hasReported {
		beat := queue.Beat{Progress: c.Progress, PartialResult: c.PartialResult}
		t.set(idKey(t.key[:0], prefixReported, j.ID), encodeReported(t.value[:0], beat))
	}
	switch {
	case r.deleted:
		t.set(idKey(t.key[:0], prefixHidden, j.ID), nil)
	case r.State == queue.Failed || r.State == queue.Canceled:
		t.set(idKey(t.key[:0], prefixDead, j.ID), nil)
	}
}

// setEnded makes a lease over that had a token nobody knows here: it has one because each lease has.
func (t *CopyTarget) setEnded(token uuid.UUID, ended queue.EndedLease) {
	t.set(idKey(t.key[:0], prefixEndedLease, token), encodeEndedLease(t.value[:0], ended))
}

// tally returns the counts of a lane.
func (t *CopyTarget) tally(lane queue.Lane) *tally {
	found := t.lanes[lane]
	if found == nil {
		found = &tally{lane: lane, number: laneNumber(len(t.lanes) + 1)}
		t.lanes[lane] = found
	}
	return found
}

// AddCall implements queue.CopyTarget.
func (t *CopyTarget) AddCall(_ context.Context, call *queue.CopiedCall) error {
	entry := onceEntry{digest: call.Digest, until: call.Until, enqueued: make([]onceJob, len(call.Answered))}
	for i := range call.Answered {
		a := &call.Answered[i]
		r := record{Record: a.Record}
		if r.State == 0 {
			r.State = queue.Pending // it was deleted, which is seen before this is read
		}
		entry.enqueued[i] = onceJob{id: a.ID, existing: a.Existing, record: r.encode(nil)}
		if a.Outcome.Error != nil || a.Outcome.Result != nil {
			entry.enqueued[i].outcome = encodeOutcome(nil, a.Outcome)
		}
	}
	t.set(append(append(t.key[:0], prefixOnce), call.Hash[:]...), entry.encode(t.value[:0]))
	t.set(dueKey(t.key[:0], entry.until.UnixMicro(), dueToForget, call.Hash[:]), nil)
	return t.step(copyStep)
}

// AddAPIKey implements queue.CopyTarget.
func (t *CopyTarget) AddAPIKey(_ context.Context, k *queue.APIKey) error {
	t.set(apiKeyKey(t.key[:0], k.ID), encodeAPIKey(t.value[:0], k))
	return t.step(copyStep)
}

// Complete implements queue.CopyTarget.
func (t *CopyTarget) Complete(_ context.Context, last uint64) error {
	for lane, tally := range t.lanes {
		if tally.counts != (queue.Counts{}) { // else it has hidden jobs only
			t.set(laneKey(t.key[:0], prefixTally, lane), tally.encode(t.value[:0]))
		}
	}
	t.set(append(t.key[:0], keySequence...), binary.BigEndian.AppendUint64(t.value[:0], last))
	t.set(append(t.key[:0], keyFormat...), append(t.value[:0], formatVersion))
	return t.step(0)
}

func (t *CopyTarget) set(key, value []byte) {
	t.key, t.value = key, value
	if err := t.batch.Set(key, value, nil); err != nil {
		panic(err) // a batch without an index cannot fail
	}
}

// step writes what has gathered, if that is more than so many bytes.
func (t *CopyTarget) step(size int) error {
	if t.batch.Len() <= size {
		return nil
	}
	_, err := watch(t.failure, func() (struct{}, error) { return struct{}{}, t.db.Apply(t.batch, pebble.NoSync) })
	if err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	t.batch.Reset()
	return nil
}
