package embedded

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// The bits of a job's first byte say which of the rarer fields it has.
const (
	jobHasTimes  = 1 << iota // run_at, expires_at, timeout, heartbeat timeout
	jobHasLimits             // max_retries, max_timeouts, retry
	jobHasUniqueKey
	jobHasLabels
	jobHasTraceParent
	jobHasDependencies
)

func (j *job) has() (bits byte) {
	set := func(bit byte, is bool) {
		if is {
			bits |= bit
		}
	}
	set(jobHasTimes, !j.RunAt.IsZero() || !j.ExpiresAt.IsZero() || j.Timeout != 0 || j.HeartbeatTimeout != 0)
	set(jobHasLimits, j.MaxRetries != nil || j.MaxTimeouts != 0 || j.Retry != nil)
	set(jobHasUniqueKey, j.UniqueKey != "")
	set(jobHasLabels, len(j.Labels) > 0)
	set(jobHasTraceParent, j.TraceParent != "")
	set(jobHasDependencies, len(j.Dependencies) > 0)
	return bits
}

func (j *job) encode(buffer []byte) []byte {
	e := encoder(buffer)
	has := j.has()
	e.byte(has)
	e.uint(j.place)
	e.uint(uint64(j.number))
	e.string(j.Channel)
	e.string(j.Type)
	e.byte(byte(j.RunIf))
	e.int(int64(j.Priority))
	if has&jobHasTimes != 0 {
		e.time(j.RunAt)
		e.time(j.ExpiresAt)
		e.duration(j.Timeout)
		e.duration(j.HeartbeatTimeout)
	}
	if has&jobHasLimits != 0 {
		j.encodeLimits(&e)
	}
	if has&jobHasUniqueKey != 0 {
		e.string(j.UniqueKey)
	}
	if has&jobHasLabels != 0 {
		e.uint(uint64(len(j.Labels)))
		for _, name := range slices.Sorted(maps.Keys(j.Labels)) {
			e.string(name)
			e.string(j.Labels[name])
		}
	}
	if has&jobHasTraceParent != 0 {
		e.string(j.TraceParent)
	}
	if has&jobHasDependencies != 0 {
		e.uint(uint64(len(j.Dependencies)))
		for i := range j.Dependencies {
			e.id(j.Dependencies[i].ID)
			e.byte(byte(j.Dependencies[i].If))
			e.string(j.Dependencies[i].Name)
		}
	}
	e.rest(j.Args)
	return e
}

func (j *job) encodeLimits(e *encoder) {
	e.bool(j.MaxRetries != nil)
	if j.MaxRetries != nil {
		e.uint(*j.MaxRetries)
	}
	e.uint(j.MaxTimeouts)
	e.bool(j.Retry != nil)
	if r := j.Retry; r != nil {
		e.uint(r.MaxAttempts)
		e.duration(r.Initial)
		e.float(r.Factor)
		e.duration(r.Max)
		e.float(r.Jitter)
	}
}

// decodeJob decodes a j value; withArgs false leaves Args nil and saves the copy.
func decodeJob(id uuid.UUID, value []byte, withArgs bool) (job, error) {
	d := decoder{left: value}
	has := d.byte()
	j := job{place: d.uint(), number: laneNumber(d.uint())}
	j.ID = id
	j.Channel = d.string()
	j.Type = d.string()
	j.RunIf = queue.RunIf(d.byte())
	j.Priority = int(d.int())
	if has&jobHasTimes != 0 {
		j.RunAt = d.time()
		j.ExpiresAt = d.time()
		j.Timeout = d.duration()
		j.HeartbeatTimeout = d.duration()
	}
	if has&jobHasLimits != 0 {
		j.decodeLimits(&d)
	}
	if has&jobHasUniqueKey != 0 {
		j.UniqueKey = d.string()
	}
	if has&jobHasLabels != 0 {
		n := d.count(2)
		j.Labels = make(map[string]string, n)
		for range n {
			name := d.string()
			j.Labels[name] = d.string()
		}
	}
	if has&jobHasTraceParent != 0 {
		j.TraceParent = d.string()
	}
	if has&jobHasDependencies != 0 {
		j.Dependencies = make([]queue.Edge, d.count(len(uuid.UUID{})+2))
		for i := range j.Dependencies {
			j.Dependencies[i] = queue.Edge{ID: d.id(), If: queue.Condition(d.byte()), Name: d.string()}
		}
	}
	if j.size = int64(len(d.left)); j.size == 0 {
		d.broken = true // args are at least one byte of JSON
	}
	if withArgs {
		j.Args = d.rest()
	} else {
		d.left = nil
	}
	return j, d.done("job", id)
}

func (j *job) decodeLimits(d *decoder) {
	if d.bool() {
		n := d.uint()
		j.MaxRetries = &n
	}
	j.MaxTimeouts = d.uint()
	if d.bool() {
		j.Retry = &queue.RetryPolicy{
			MaxAttempts: d.uint(), Initial: d.duration(), Factor: d.float(), Max: d.duration(), Jitter: d.float(),
		}
	}
}

// The bits of what a record begins with. The rarest are last: they cost another byte.
const (
	recordHasDependents = 1 << iota
	recordWasLeased     // attempt, started, worker
	recordEndedLeased   // the token of the lease that it ended with
	recordHasPriority   // other than 0
	recordHasTimes      // run_at, expires_at, timeout, heartbeat timeout
	recordHasUniqueKey
	recordHasCounts // retries, failures, timeouts, generation
	recordHasReported
	recordByDependency
	recordIsDeleted
	recordHasPrincipal
)

func (r *record) has() (bits uint64) {
	set := func(bit uint64, is bool) {
		if is {
			bits |= bit
		}
	}
	set(recordHasDependents, r.hasDependents)
	set(recordHasUniqueKey, r.hasUniqueKey)
	set(recordHasReported, r.hasReported)
	set(recordByDependency, r.ByDependency)
	set(recordIsDeleted, r.deleted)
	set(recordHasCounts, r.Retries|r.Failures|r.Timeouts|r.Generation != 0)
	set(recordHasTimes, !r.RunAt.IsZero() || !r.ExpiresAt.IsZero() || r.timeout != 0 || r.heartbeatTimeout != 0)
	set(recordWasLeased, r.Attempt != 0)
	set(recordEndedLeased, r.endedToken != uuid.Nil)
	set(recordHasPriority, r.Priority != 0)
	set(recordHasPrincipal, r.Principal != "")
	return bits
}

func (r *record) encode(buffer []byte) []byte {
	e := encoder(buffer)
	has := r.has()
	e.uint(has)
	e.byte(byte(r.State))
	e.uint(uint64(r.lane))
	e.uint(r.Version)
	e.time(r.Queued)
	switch {
	case r.State == queue.Running:
		e.id(r.Token)
		e.uint(r.Open)
	case r.State == queue.Blocked:
		e.uint(r.Open)
	case r.State.Over():
		e.time(r.Finished)
	}
	if has&recordEndedLeased != 0 {
		e.id(r.endedToken)
	}
	if has&recordHasCounts != 0 {
		e.uint(r.Retries)
		e.uint(r.Failures)
		e.uint(r.Timeouts)
		e.uint(r.Generation)
	}
	if has&recordHasTimes != 0 {
		e.time(r.RunAt)
		e.time(r.ExpiresAt)
		e.duration(r.timeout)
		e.duration(r.heartbeatTimeout)
	}
	if has&recordWasLeased != 0 {
		e.uint(r.Attempt)
		e.time(r.Started)
		e.string(r.Worker)
	}
	if has&recordHasPriority != 0 {
		e.int(int64(r.Priority))
	}
	if has&recordHasPrincipal != 0 {
		e.string(r.Principal)
	}
	return e
}

func decodeRecord(id uuid.UUID, value []byte) (record, error) {
	d := decoder{left: value}
	has := d.uint()
	var r record
	r.State = queue.State(d.byte())
	if r.deleted = has&recordIsDeleted != 0; !r.deleted {
		r.counted = r.State
	}
	r.lane = laneNumber(d.uint())
	r.hasDependents = has&recordHasDependents != 0
	r.hasUniqueKey = has&recordHasUniqueKey != 0
	r.hasReported = has&recordHasReported != 0
	r.ByDependency = has&recordByDependency != 0
	r.Version = d.uint()
	r.Queued = d.time()
	switch {
	case r.State == queue.Running:
		r.Token = d.id()
		r.Open = d.uint()
	case r.State == queue.Blocked:
		r.Open = d.uint()
	case r.State.Over():
		r.Finished = d.time()
	}
	if has&recordEndedLeased != 0 {
		r.endedToken = d.id()
	}
	if has&recordHasCounts != 0 {
		r.Retries = d.uint()
		r.Failures = d.uint()
		r.Timeouts = d.uint()
		r.Generation = d.uint()
	}
	if has&recordHasTimes != 0 {
		r.RunAt = d.time()
		r.ExpiresAt = d.time()
		r.timeout = d.duration()
		r.heartbeatTimeout = d.duration()
	}
	if has&recordWasLeased != 0 {
		r.Attempt = d.uint()
		r.Started = d.time()
		r.Worker = d.string()
	}
	if has&recordHasPriority != 0 {
		r.Priority = int(d.int())
	}
	if has&recordHasPrincipal != 0 {
		r.Principal = d.string()
	}
	if r.State < queue.Scheduled || r.State > queue.Canceled {
		d.broken = true
	}
	return r, d.done("record of job", id)
}
