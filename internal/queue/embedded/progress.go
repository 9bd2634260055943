package embedded

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// RefreshHeartbeat implements queue.JobQueue. A beat that says nothing writes nothing: beats
// live in memory.
func (s *Store) RefreshHeartbeat(_ context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
	if err := s.enter(); err != nil {
		return queue.BeatAnswer{}, err
	}
	defer s.leave()
	if l := s.leases.refresh(token, s.clock()); l != nil {
		answer := queue.BeatAnswer{HeartbeatTimeout: l.heartbeatTimeout}
		if beat.Empty() {
			return answer, nil
		}
		group, err := s.commit(func(c *change) error { return c.report(token, beat) })
		if err == nil {
			return answer, s.durable(group)
		}
		if !errors.Is(err, queue.ErrLeaseLost) {
			return queue.BeatAnswer{}, s.answer(err)
		}
		// It ended between the two looks, so it is among the ended ones.
	}
	ended, err := s.readEndedLease(token)
	var answer queue.BeatAnswer
	if err == nil {
		answer.Canceled, err = ended.Beat()
	}
	if err == nil {
		var r record
		r, err = s.readRecord(ended.JobID)
		answer.HeartbeatTimeout = r.heartbeatTimeout
	}
	return answer, s.answer(err)
}

// report keeps what a worker says of its run. queue.ErrLeaseLost.
func (c *change) report(token uuid.UUID, beat queue.Beat) error {
	l := c.store.leases.get(token)
	if l == nil {
		return queue.ErrLeaseLost
	}
	r := l.record
	if r.hasReported {
		progress, partial, err := c.store.readReported(l.jobID)
		if err != nil && !isDamage(err) {
			return err
		}
		if beat.Progress == nil {
			beat.Progress = progress
		}
		if beat.PartialResult == nil {
			beat.PartialResult = partial
		}
	}
	r.Record = r.Note()
	r.hasReported = true
	c.setRecord(l.jobID, &r)
	c.set(idKey(c.key[:0], prefixReported, l.jobID), encodeReported(c.value[:0], beat))
	return nil
}

// readReported returns what the job's newest worker has said of its run.
func (v reader) readReported(id uuid.UUID) (progress *queue.Progress, partial json.RawMessage, err error) {
	_, err = v.view(idKey(nil, prefixReported, id), func(value []byte) error {
		progress, partial, err = decodeReported(id, value)
		return err
	})
	return progress, partial, err
}

func encodeReported(buffer []byte, beat queue.Beat) []byte {
	e := encoder(buffer)
	e.bool(beat.Progress != nil)
	if p := beat.Progress; p != nil {
		e.bool(p.Percent != nil)
		if p.Percent != nil {
			e.float(*p.Percent)
		}
		e.string(p.Message)
	}
	e.rest(beat.PartialResult)
	return e
}

func decodeReported(id uuid.UUID, value []byte) (progress *queue.Progress, partial json.RawMessage, err error) {
	d := decoder{left: value}
	if d.bool() {
		progress = new(queue.Progress)
		if d.bool() {
			percent := d.float()
			progress.Percent = &percent
		}
		progress.Message = d.string()
	}
	if len(d.left) > 0 {
		partial = d.rest()
	}
	return progress, partial, d.done("progress of job", id)
}
