package embedded

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// indexKey is a key that a job should have in an index.
type indexKey struct {
	key   []byte
	value []byte // what the value begins with; nil for anything
}

// indexKeys returns the keys that a job should have, each of which tells by itself that it is the
// job's. Attempts, tokens and edges are another matter.
func (a *auditor) indexKeys(j *job, r *record) (keys []indexKey) {
	id := j.ID
	_, comesBack := a.reviving[id]
	add := func(is bool, value, key []byte) {
		if is {
			keys = append(keys, indexKey{key: key, value: value})
		}
	}
	add(r.State == queue.Pending, id[:], readyKey(nil, j.Lane(), r.position(j.place)))
	add(r.State == queue.Running, id[:], runningKey(nil, j.place))
	add(r.State == queue.Finished || r.State == queue.Failed, nil, idKey(nil, prefixOutcome, id))
	add(!r.deleted && (r.State == queue.Failed || r.State == queue.Canceled), nil, idKey(nil, prefixDead, id))
	add(r.deleted, nil, idKey(nil, prefixHidden, id))
	add(r.hasReported, nil, idKey(nil, prefixReported, id))
	add(r.hasUniqueKey && (comesBack || !r.State.Over()), id[:], uniqueKey(nil, j.Lane(), j.UniqueKey))
	add(r.State == queue.Scheduled, nil, dueKey(nil, r.RunAt.UnixMicro(), dueToRun, id[:]))
	add(!r.ExpiresAt.IsZero(), nil, dueKey(nil, r.ExpiresAt.UnixMicro(), dueToExpire, id[:]))
	return keys
}

// indexes goes through everything but the jobs, and looks for what is beside what there should be.
func (a *auditor) indexes() error {
	for _, prefix := range []byte{
		prefixRecord, prefixOutcome, prefixReady, prefixDependent, prefixRunning, prefixEndedLease, prefixReported,
		prefixUnique, prefixDead, prefixHidden, prefixAttempt, prefixDue, prefixOnce,
	} {
		if prefix == prefixDependent && len(a.reviving) > 0 {
			continue
		}
		found := int64(0)
		err := a.scan([]byte{prefix}, []byte{prefix + 1}, func(key, value []byte) (bool, error) {
			if ofCall, err := a.ofCall(key, value); ofCall {
				return err == nil, err
			}
			if _, err := jobOfKey(key, value); err != nil {
				a.differ("%c %x: %v", prefix, shownKey(key), err)
			}
			found++
			return a.ctx.Err() == nil, a.ctx.Err()
		})
		if err == nil && found != a.want[prefix] {
			a.differ("there are %d entries in %c, and there should be %d", found, prefix, a.want[prefix])
			err = a.strays(prefix)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ofCall tells whether a key is about a call with an idempotency key, and compares it then.
func (a *auditor) ofCall(key, value []byte) (is bool, err error) {
	switch key[0] {
	case prefixDue:
		// It may be that of a call whose place another one has taken.
		e, ok := splitDueKey(key)
		return ok && e.kind == dueToForget, nil
	case prefixOnce:
		call, err := decodeOnce(value)
		if err != nil {
			a.differ("%v", err)
			return true, nil
		}
		_, found, err := a.get(dueKey(nil, call.until.UnixMicro(), dueToForget, key[1:]))
		if err == nil && !found {
			a.differ("a call with an idempotency key would never be forgotten")
		}
		return true, err
	default:
		return false, nil
	}
}

// strays looks for the entries of an index that should not be there.
func (a *auditor) strays(prefix byte) error {
	return a.scan([]byte{prefix}, []byte{prefix + 1}, func(key, value []byte) (bool, error) {
		if ofCall, err := a.ofCall(key, value); ofCall || err != nil {
			return true, err
		}
		id, err := jobOfKey(key, value)
		if err != nil {
			return true, nil // which was told
		}
		j, err := a.readJob(id, false)
		var r record
		if err == nil {
			r, err = a.readKept(id)
		}
		if err != nil && !isDamage(err) {
			return false, err
		}
		if err != nil || !a.belongs(key, &j, &r) {
			a.differ("%c: there is an entry of job %s that should not be there", prefix, id)
		}
		return true, a.ctx.Err()
	})
}

// belongs reports whether a key is one that a job should have.
func (a *auditor) belongs(key []byte, j *job, r *record) bool {
	switch key[0] {
	case prefixRecord:
		return true
	case prefixAttempt, prefixEndedLease:
		return !r.deleted
	case prefixDependent:
		for i := range j.Dependencies {
			if bytes.Equal(key, dependentKey(nil, j.Dependencies[i].ID, j.place)) {
				return !r.deleted
			}
		}
		return false
	}
	for _, index := range a.indexKeys(j, r) {
		if bytes.Equal(key, index.key) {
			return true
		}
	}
	return false
}

// jobOfKey returns the job that an entry of an index is about.
func jobOfKey(key, value []byte) (id uuid.UUID, err error) {
	switch key[0] {
	case prefixReady:
		if _, _, ok := laneOfReadyKey(key); !ok {
			return id, queue.ErrDamaged
		}
		id, _, err = decodeReady(value)
		return id, err
	case prefixRunning, prefixUnique:
		return uuid.FromBytes(value)
	case prefixEndedLease:
		l, err := decodeEndedLease(value)
		return l.JobID, err
	case prefixDue:
		e, ok := splitDueKey(key)
		if !ok {
			return id, queue.ErrDamaged
		}
		return uuid.FromBytes(e.what)
	case prefixDependent:
		if len(key) != len(dependentKey(nil, id, 0)) {
			return id, queue.ErrDamaged
		}
		d, err := decodeDependent(uuid.UUID(key[1:17]), value)
		return d.id, err
	case prefixAttempt:
		if len(key) != len(attemptKey(nil, id, 0)) {
			return id, queue.ErrDamaged
		}
		return uuid.UUID(key[1:17]), nil
	}
	if id, err = uuid.FromBytes(key[1:]); err != nil {
		return id, fmt.Errorf("that is no id: %w", queue.ErrDamaged)
	}
	var opaque json.RawMessage
	switch key[0] {
	case prefixOutcome:
		var o queue.Outcome
		if o, err = decodeOutcome(id, value); o.Error != nil {
			opaque = o.Error.Details
		} else {
			opaque = o.Result
		}
	case prefixReported:
		var progress *queue.Progress
		if progress, opaque, err = decodeReported(id, value); progress == nil && opaque == nil {
			opaque = json.RawMessage{} // nothing was reported, which is never kept
		}
	}
	if err == nil && opaque != nil && !json.Valid(opaque) {
		err = fmt.Errorf("what was reported of job %s: %w", id, queue.ErrDamaged)
	}
	return id, err
}

// apiKeys looks at the API keys, of which nothing is kept elsewhere.
func (a *auditor) apiKeys() error {
	var keys []queue.APIKey
	err := a.scan([]byte{prefixAPIKey}, []byte{prefixAPIKey + 1}, func(key, value []byte) (bool, error) {
		a.result.APIKeys++
		k, err := decodeAPIKey(key, value)
		if err != nil {
			a.differ("%v", err)
		} else {
			keys = append(keys, k)
		}
		return true, nil
	})
	for _, line := range queue.CheckAPIKeys(keys) {
		a.differ("%s", line)
	}
	return err
}

// shownKey is what is told of a key: a token is secret.
func shownKey(key []byte) []byte {
	if key[0] == prefixEndedLease {
		return nil
	}
	return key
}

// tallies compares the counts.
func (a *auditor) tallies() error {
	format, err := a.format()
	if err != nil {
		return err
	}
	err = a.scan([]byte{prefixTally}, []byte{prefixTally + 1}, func(key, value []byte) (bool, error) {
		t, err := decodeTally(key, value, format)
		if err != nil {
			a.differ("c %x: %v", key, err)
			return true, nil
		}
		counts := a.lanes[t.lane]
		if counts == nil {
			counts = new(queue.Counts)
		} else if a.numbers[t.lane] != t.number {
			a.differ("channel %s, type %s: its number is %d, and its jobs say %d", t.lane.Channel, t.lane.Type, t.number, a.numbers[t.lane])
		}
		// What is running is not stored.
		want := *counts
		want[queue.Pending] += want[queue.Running]
		want[queue.Running] = 0
		if t.counts != want {
			a.differ("channel %s, type %s: its counts are %v and should be %v", t.lane.Channel, t.lane.Type, t.counts, want)
		}
		if bytes := a.bytes[t.lane]; format >= formatWithBytes && t.bytes != bytes {
			a.differ("channel %s, type %s: its jobs that are not over are counted as %d bytes and are %d", t.lane.Channel, t.lane.Type, t.bytes, bytes)
		}
		delete(a.lanes, t.lane)
		return true, nil
	})
	if err != nil {
		return err
	}
	for lane := range a.lanes {
		a.differ("channel %s, type %s: its jobs are not counted", lane.Channel, lane.Type)
	}
	value, _, err := a.get([]byte(keySequence))
	if err == nil && (len(value) != 8 && a.highest > 0 || len(value) == 8 && a.highest > placeOfDependentKey(value)) {
		a.differ("a job has place %d, which was never given out", a.highest)
	}
	return err
}
