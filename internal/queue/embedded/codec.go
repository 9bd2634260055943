package embedded

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// formatVersion is the version of the key space and of the values in it. A store that has
// another one is refused.
const formatVersion = 2

const jsonNull = "null"

// job is what a j key holds.
type job struct {
	queue.Job
	place uint64 // in line, for as long as the job exists
}

// record is what an s key holds.
type record struct {
	queue.Record
	hasDependents bool // some d key begins with this job's id
}

// asEnqueued reports whether the record is that of a job that became pending at once, and that
// nothing has happened to yet: all there is to know of it then is when it was enqueued.
func (r *record) asEnqueued() bool { return *r == enqueuedRecord(r.Queued) }

// enqueuedRecord is the record for which asEnqueued holds.
func enqueuedRecord(queued time.Time) record {
	return record{Record: queue.Record{State: queue.Pending, Queued: queued}}
}

// encoder appends values; decoder takes them off again in the same order.
type encoder []byte

func (e *encoder) byte(b byte)     { *e = append(*e, b) }
func (e *encoder) uint(n uint64)   { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) id(id uuid.UUID) { *e = append(*e, id[:]...) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); *e = append(*e, s...) }
func (e *encoder) rest(b []byte)   { *e = append(*e, b...) }

// time appends whole microseconds: what PostgreSQL keeps, so that engines agree.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.uint(0)
		return
	}
	e.uint(uint64(t.UnixMicro()))
}

func (e *encoder) bool(b bool) {
	if b {
		e.byte(1)
	} else {
		e.byte(0)
	}
}

// decoder remembers that something was missing instead of failing at each step: the caller
// asks done once.
type decoder struct {
	left   []byte
	broken bool
}

func (d *decoder) take(n uint64) []byte {
	if d.broken || n > uint64(len(d.left)) {
		d.broken = true
		return nil
	}
	b := d.left[:n]
	d.left = d.left[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool { return d.byte() == 1 }

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.left)
	if d.broken || size <= 0 {
		d.broken = true
		return 0
	}
	d.left = d.left[size:]
	return n
}

func (d *decoder) id() (id uuid.UUID) {
	copy(id[:], d.take(uint64(len(id))))
	return id
}

func (d *decoder) string() string { return string(d.take(d.uint())) }

func (d *decoder) time() time.Time {
	if micros := d.uint(); micros != 0 {
		return time.UnixMicro(int64(micros)).UTC()
	}
	return time.Time{}
}

// rest returns a copy of all that is left.
func (d *decoder) rest() []byte {
	b := append([]byte(nil), d.left...)
	d.left = nil
	return b
}

// done returns an error if the value was shorter or longer than it should have been.
func (d *decoder) done(what string, id uuid.UUID) error {
	if d.broken || len(d.left) > 0 {
		return fmt.Errorf("%s %s: %w", what, id, queue.ErrDamaged)
	}
	return nil
}

// The functions that encode values append to a buffer of the caller's, which may be nil.

func (j *job) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.uint(j.place)
	e.string(j.Channel)
	e.string(j.Type)
	e.byte(byte(j.RunIf))
	e.bool(j.MaxRetries != nil)
	if j.MaxRetries != nil {
		e.uint(*j.MaxRetries)
	}
	e.uint(uint64(len(j.Dependencies)))
	for _, id := range j.Dependencies {
		e.id(id)
	}
	e.rest(j.Args)
	return e
}

// decodeJob decodes a j value; withArgs false leaves Args nil and saves the copy.
func decodeJob(id uuid.UUID, value []byte, withArgs bool) (job, error) {
	d := decoder{left: value}
	j := job{place: d.uint()}
	j.ID = id
	j.Channel = d.string()
	j.Type = d.string()
	j.RunIf = queue.RunIf(d.byte())
	if d.bool() {
		n := d.uint()
		j.MaxRetries = &n
	}
	if n := d.uint(); n <= uint64(len(d.left)/len(uuid.UUID{})) && n > 0 {
		j.Dependencies = make([]uuid.UUID, n)
		for i := range j.Dependencies {
			j.Dependencies[i] = d.id()
		}
	} else if n > 0 {
		d.broken = true
	}
	if len(d.left) == 0 {
		d.broken = true // args are at least one byte of JSON
	}
	if withArgs {
		j.Args = d.rest()
	} else {
		d.left = nil
	}
	return j, d.done("job", id)
}

func (r *record) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.byte(byte(r.State))
	e.bool(r.hasDependents)
	e.uint(r.Attempt)
	e.uint(r.Retries)
	e.uint(r.Open)
	e.time(r.Queued)
	e.time(r.Started)
	e.time(r.Finished)
	e.id(r.Token)
	e.string(r.Worker)
	return e
}

func decodeRecord(id uuid.UUID, value []byte) (record, error) {
	d := decoder{left: value}
	var r record
	r.State = queue.State(d.byte())
	r.hasDependents = d.bool()
	r.Attempt = d.uint()
	r.Retries = d.uint()
	r.Open = d.uint()
	r.Queued = d.time()
	r.Started = d.time()
	r.Finished = d.time()
	r.Token = d.id()
	r.Worker = d.string()
	if r.State < queue.Blocked || r.State > queue.Canceled {
		d.broken = true
	}
	return r, d.done("record of job", id)
}

// encodeReady encodes a q value. queued is zero unless the job is as it was enqueued, and has
// no s key.
func encodeReady(buffer []byte, id uuid.UUID, queued time.Time) []byte {
	e := encoder(buffer)
	e.id(id)
	if !queued.IsZero() {
		e.time(queued)
	}
	return e
}

func decodeReady(value []byte) (id uuid.UUID, queued time.Time, err error) {
	d := decoder{left: value}
	id = d.id()
	if len(d.left) > 0 {
		if queued = d.time(); queued.IsZero() {
			d.broken = true
		}
	}
	return id, queued, d.done("ready entry of job", id)
}

func encodeOutcome(buffer []byte, o queue.Outcome) []byte {
	e := encoder(buffer)
	e.bool(o.Error != nil)
	if o.Error == nil {
		e.rest(o.Result)
		return e
	}
	e.string(o.Error.Reason)
	e.rest(o.Error.Details)
	return e
}

func decodeOutcome(id uuid.UUID, value []byte) (queue.Outcome, error) {
	d := decoder{left: value}
	var o queue.Outcome
	if d.bool() {
		o.Error = &queue.JobError{Reason: d.string()}
		if details := d.rest(); len(details) > 0 {
			o.Error.Details = details
		}
	} else {
		o.Result = d.rest()
	}
	return o, d.done("outcome of job", id)
}

func encodeEndedLease(buffer []byte, l queue.EndedLease) []byte {
	e := encoder(buffer)
	e.id(l.JobID)
	e.uint(l.Attempt)
	e.byte(byte(l.End))
	e.byte(byte(l.State))
	if l.End == queue.EndReported {
		e.rest(l.Digest[:])
	}
	return e
}

// decodeEndedLease's error names the job, because a token is secret.
func decodeEndedLease(value []byte) (queue.EndedLease, error) {
	d := decoder{left: value}
	var l queue.EndedLease
	l.JobID = d.id()
	l.Attempt = d.uint()
	l.End = queue.End(d.byte())
	l.State = queue.State(d.byte())
	if l.End == queue.EndReported {
		copy(l.Digest[:], d.take(uint64(len(l.Digest))))
	}
	return l, d.done("ended lease of job", l.JobID)
}

func encodeDependent(buffer []byte, id uuid.UUID, settled bool) []byte {
	e := encoder(buffer)
	e.id(id)
	e.bool(settled)
	return e
}

// decodeDependent decodes a d value: who depends, and whether the dependency was over already
// when the dependent was enqueued, so that there is nothing to tell it.
func decodeDependent(dependency uuid.UUID, value []byte) (dependent uuid.UUID, settled bool, err error) {
	d := decoder{left: value}
	dependent, settled = d.id(), d.bool()
	return dependent, settled, d.done("dependent of job", dependency)
}
