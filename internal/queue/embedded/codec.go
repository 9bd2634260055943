package embedded

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// formatVersion is the version of the key space and of the values in it. A store that has a later
	// one is refused: what an older program cannot read it would take for damaged.
	formatVersion = 5
	// formatWithBytes is the first version whose c values have how large the args of jobs are.
	formatWithBytes = 5
	// oldestFormat is the earliest version that is read. A store that has it gets formatVersion when it is
	// opened to be written to.
	oldestFormat = 3
)

const jsonNull = "null"

// job is what a j key holds.
type job struct {
	queue.Job
	number laneNumber // of its lane
	place  uint64     // in line, for as long as the job exists
	size   int64      // of its args, in bytes
}

// record is what an s key holds: the domain's record, and what of the job would otherwise have
// to be read again with each change.
type record struct {
	queue.Record
	lane             laneNumber
	counted          queue.State // what the job is counted as: its State, but for a change that is being made
	size             int64       // of the job's args, in bytes, which s keys do not have; 0 if it is not known
	deleted          bool        // nobody finds it any more, but it is still needed
	endedToken       uuid.UUID   // of the lease that the job was over with; zero if there was none
	hasDependents    bool        // some d key begins with this job's id
	hasUniqueKey     bool        // the job has a unique key; its u key stands while it is not over
	hasReported      bool        // a p key stands for the job
	timeout          time.Duration
	heartbeatTimeout time.Duration
}

// asEnqueued reports whether the record is that of a job that became pending at once, and that
// nothing has happened to yet: all there is to know of it then is its priority, which its ready
// entry tells by its key, and when it was enqueued.
func (r *record) asEnqueued() bool {
	enqueued := enqueuedRecord(r.lane, r.Queued, r.Priority)
	enqueued.counted, enqueued.size = r.counted, r.size
	return *r == enqueued
}

// enqueuedRecord is the record for which asEnqueued holds, as it is read.
func enqueuedRecord(lane laneNumber, queued time.Time, priority int) record {
	return record{
		Record: queue.Record{State: queue.Pending, Version: 1, Queued: queued, Priority: priority},
		lane:   lane, counted: queue.Pending,
	}
}

// position returns where the job stands in line.
func (r *record) position(place uint64) position { return positionOf(r.Priority, place) }

// encoder appends values; decoder takes them off again in the same order.
type encoder []byte

func (e *encoder) byte(b byte)     { *e = append(*e, b) }
func (e *encoder) uint(n uint64)   { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) id(id uuid.UUID) { *e = append(*e, id[:]...) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); *e = append(*e, s...) }
func (e *encoder) rest(b []byte)   { *e = append(*e, b...) }

// time appends whole microseconds: what PostgreSQL keeps, so that engines agree. The epoch is 1,
// since 0 is no time.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.uint(0)
		return
	}
	e.uint(uint64(t.UnixMicro()) + 1)
}

func (e *encoder) int(n int64)              { *e = binary.AppendVarint(*e, n) }
func (e *encoder) duration(d time.Duration) { e.int(int64(d)) }
func (e *encoder) float(f float64)          { *e = binary.BigEndian.AppendUint64(*e, math.Float64bits(f)) }

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

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.left)
	if d.broken || size <= 0 {
		d.broken = true
		return 0
	}
	d.left = d.left[size:]
	return n
}

func (d *decoder) duration() time.Duration { return time.Duration(d.int()) }

func (d *decoder) float() float64 {
	if b := d.take(8); b != nil {
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) id() (id uuid.UUID) {
	copy(id[:], d.take(uint64(len(id))))
	return id
}

func (d *decoder) string() string { return string(d.take(d.uint())) }

func (d *decoder) time() time.Time {
	if micros := d.uint(); micros != 0 {
		return time.UnixMicro(int64(micros - 1)).UTC()
	}
	return time.Time{}
}

// count takes the number of things that follow, each of which has at least so many bytes.
func (d *decoder) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.left)/least) {
		d.broken = true
		return 0
	}
	return int(n)
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

// dependent is what a d key holds.
type dependent struct {
	id        uuid.UUID // who depends
	condition queue.Condition
	// generation is the one of the dependency that the dependent knows of, and settled that
	// it was over by then, so that the dependent does not count it among its open ones and is
	// not told.
	generation uint64
	settled    bool
	// gone is the state that the dependency was in when it was deleted, and goneType its type;
	// 0 if it was not.
	gone     queue.State
	goneType string
}

func (t dependent) encode(buffer []byte) []byte {
	e := encoder(buffer)
	e.id(t.id)
	e.byte(byte(t.condition))
	e.uint(t.generation)
	e.bool(t.settled)
	if t.gone != 0 {
		e.byte(byte(t.gone))
		e.string(t.goneType)
	}
	return e
}

func decodeDependent(dependency uuid.UUID, value []byte) (dependent, error) {
	d := decoder{left: value}
	t := dependent{id: d.id(), condition: queue.Condition(d.byte()), generation: d.uint(), settled: d.bool()}
	if len(d.left) > 0 {
		t.gone, t.goneType = queue.State(d.byte()), d.string()
		d.broken = d.broken || t.gone == 0
	}
	return t, d.done("dependent of job", dependency)
}
