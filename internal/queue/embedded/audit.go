package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Audit compares every index, edge and count of the store with what its jobs say, as of one
// moment. Others may use the store meanwhile. It holds nothing that grows with the jobs: it goes
// through them once, looks up what each should have in the indexes, and counts; what an index has
// beside that is looked for only if the numbers differ.
func (s *Store) Audit(ctx context.Context) (queue.Audit, error) {
	if err := s.enter(); err != nil {
		return queue.Audit{}, err
	}
	defer s.leave()
	snapshot := s.db.NewSnapshot()
	a, err := auditAll(ctx, reader{snapshot})
	if closeErr := snapshot.Close(); err == nil && closeErr != nil {
		err = readError(closeErr)
	}
	return a, s.answer(err)
}

// auditAll audits what a reader reads.
func auditAll(ctx context.Context, from reader) (queue.Audit, error) {
	a := auditor{
		reader: from, ctx: ctx, want: make(map[byte]int64), lanes: make(map[queue.Lane]*queue.Counts),
		numbers: make(map[queue.Lane]laneNumber), bytes: make(map[queue.Lane]int64), told: make(map[uuid.UUID]told),
		reviving: make(map[uuid.UUID]struct{}),
	}
	for _, step := range []func() error{a.unfinished, a.jobs, a.indexes, a.tallies, a.apiKeys} {
		if err := step(); err != nil {
			return queue.Audit{}, err
		}
	}
	return a.result, nil
}

// auditor is one audit.
type auditor struct {
	reader
	ctx     context.Context
	result  queue.Audit
	want    map[byte]int64 // how many keys there should be, by prefix
	lanes   map[queue.Lane]*queue.Counts
	numbers map[queue.Lane]laneNumber
	bytes   map[queue.Lane]int64 // of the args of jobs that are not over
	highest uint64               // place
	// told has the jobs that are over and some of whose dependents are still to be told.
	told map[uuid.UUID]told
	// reviving has the roots of the retries that are under way: they are over still, and have their unique keys
	// already. A retry leaves edges in between, so they are not compared then.
	reviving map[uuid.UUID]struct{}
}

type told struct{ generation, place uint64 }

// differ notes a difference.
func (a *auditor) differ(format string, arguments ...any) {
	if len(a.result.Differences) == queue.MaxDifferences {
		a.result.More++
		return
	}
	a.result.Differences = append(a.result.Differences, fmt.Sprintf(format, arguments...))
}

// unfinished finds what a start would finish.
func (a *auditor) unfinished() error {
	err := a.scan([]byte{prefixSettlement}, []byte{prefixSettlement + 1}, func(key, value []byte) (bool, error) {
		if len(key) != len(settlementKey(nil, uuid.UUID{}, 0)) || len(value) != 8 {
			a.differ("w %x: the settlement cannot be read", key)
			return true, nil
		}
		a.told[uuid.UUID(key[1:17])] = told{binary.BigEndian.Uint64(key[17:]), binary.BigEndian.Uint64(value)}
		return true, nil
	})
	if err != nil {
		return err
	}
	return a.scan([]byte{prefixRevival}, []byte{prefixRevival + 1}, func(key, value []byte) (bool, error) {
		item, err := decodeReviving(key, value)
		if err != nil {
			a.differ("v %x: the entry of a retry cannot be read", key)
		}
		a.reviving[item.root] = struct{}{}
		return true, nil
	})
}

// jobs goes through all jobs, and beside them through all records.
func (a *auditor) jobs() (err error) {
	records, err := a.openCursor([]byte{prefixRecord}, []byte{prefixRecord + 1})
	if err != nil {
		return err
	}
	defer func() { err = records.close(err) }()
	return a.scan([]byte{prefixJob}, []byte{prefixJob + 1}, func(key, value []byte) (bool, error) {
		if err := a.ctx.Err(); err != nil {
			return false, err
		}
		a.result.Jobs++
		id, err := uuid.FromBytes(key[1:])
		if err != nil {
			a.differ("j %x: that is no id", key)
			return true, nil
		}
		j, err := decodeJob(id, value, true)
		if err == nil && !json.Valid(j.Args) {
			err = fmt.Errorf("its args: %w", queue.ErrDamaged)
		}
		if err != nil {
			a.differ("job %s: %v", id, err)
			return true, nil
		}
		r, found, err := records.record(id)
		if err != nil && !isDamage(err) {
			return false, err
		}
		if err != nil {
			a.differ("job %s: %v", id, err)
			return true, nil
		}
		return true, a.job(&j, &r, found)
	})
}

// job compares what there is of one job.
func (a *auditor) job(j *job, r *record, stored bool) error {
	id := j.ID
	if stored {
		a.want[prefixRecord]++
	} else if err := a.asEnqueued(j, r); err != nil {
		return err
	}
	a.highest = max(a.highest, j.place)
	for _, is := range []struct {
		what      string
		got, want any
	}{
		{"the lane", r.lane, j.number},
		{"that it has a unique key", r.hasUniqueKey, j.UniqueKey != ""},
		{"the timeout", r.timeout, j.Timeout},
		{"the heartbeat timeout", r.heartbeatTimeout, j.HeartbeatTimeout},
		{"that it has ended", !r.Finished.IsZero(), r.State.Over()},
		{"that it has a token", r.Token != uuid.Nil, r.State == queue.Running},
	} {
		if is.got != is.want {
			a.differ("job %s, which is %s: %s is %v and should be %v", id, r.State, is.what, is.got, is.want)
		}
	}
	if r.deleted && !r.State.Over() {
		a.differ("job %s was deleted and is %s", id, r.State)
	}
	if !r.deleted {
		a.count(j, r)
	}
	if err := a.keysOf(j, r); err != nil {
		return err
	}
	if err := a.attemptsOf(j, r); err != nil {
		return err
	}
	if r.deleted || len(a.reviving) > 0 {
		return nil
	}
	return a.edgesOf(j, r)
}

// asEnqueued fills in the record of a job that has none: its ready entry should tell.
func (a *auditor) asEnqueued(j *job, r *record) error {
	value, found, err := a.get(readyKey(nil, j.Lane(), positionOf(j.Priority, j.place)))
	if err != nil {
		return err
	}
	var queued time.Time
	if found {
		_, queued, err = decodeReady(value)
	}
	if err != nil || queued.IsZero() {
		a.differ("job %s: it has no record, and no ready entry that stands for one", j.ID)
	}
	*r = enqueuedRecord(j.number, queued, j.Priority)
	return nil
}

// count counts a job.
func (a *auditor) count(j *job, r *record) {
	lane := j.Lane()
	if a.lanes[lane] == nil {
		a.lanes[lane], a.numbers[lane] = new(queue.Counts), j.number
	}
	a.lanes[lane][r.State]++
	if !r.State.Over() {
		a.bytes[lane] += j.size
	}
	a.result.Counts[r.State]++
	if a.numbers[lane] != j.number {
		a.differ("job %s: its lane has number %d and %d", j.ID, j.number, a.numbers[lane])
	}
}

// keysOf looks up what a job should have in the indexes.
func (a *auditor) keysOf(j *job, r *record) error {
	id := j.ID
	for _, index := range a.indexKeys(j, r) {
		prefix := index.key[0]
		a.want[prefix]++
		value, found, err := a.get(index.key)
		if err != nil {
			return err
		}
		if !found || !bytes.HasPrefix(value, index.value) {
			a.differ("job %s, which is %s: its entry in %c is missing, or another job's", id, r.State, prefix)
		}
	}
	return nil
}

// attemptsOf compares the leases that a job has had with what is kept of them.
func (a *auditor) attemptsOf(j *job, r *record) error {
	var kept, ended uint64
	token := func(token uuid.UUID) error {
		l, err := a.readEndedLease(token)
		if isDamage(err) || err == nil && l.JobID != j.ID {
			return nil // which is seen by their number
		}
		ended++
		return err
	}
	prefix := idKey(nil, prefixAttempt, j.ID)
	err := a.scan(prefix, after(prefix), func(_, value []byte) (bool, error) {
		kept++
		attempt, err := decodeAttempt(j.ID, value)
		if err != nil {
			a.differ("%v", err)
			return true, nil
		}
		return true, token(attempt.token)
	})
	if err != nil {
		return err
	}
	live := uint64(0)
	if r.State == queue.Running {
		live = 1
	}
	told := live
	if r.endedToken != uuid.Nil {
		told++
		if err := token(r.endedToken); err != nil {
			return err
		}
	}
	want := r.Attempt
	if r.deleted {
		want = 0
	}
	if kept+told != want || ended+live != want {
		a.differ("job %s, which is %s: of %d leases %d are told of, and %d tokens are known", j.ID, r.State, want, kept+told, ended+live)
	}
	a.want[prefixAttempt] += int64(kept)
	a.want[prefixEndedLease] += int64(ended)
	return nil
}

// edgesOf compares what a job waits for with what its dependencies are.
func (a *auditor) edgesOf(j *job, r *record) error {
	open := uint64(0)
	for i := range j.Dependencies {
		edge := &j.Dependencies[i]
		value, found, err := a.get(dependentKey(nil, edge.ID, j.place))
		if err != nil {
			return err
		}
		d, err := decodeDependent(edge.ID, value)
		if !found || err != nil || d.id != j.ID || d.condition != edge.If {
			a.differ("job %s: its dependency %s does not know it", j.ID, edge.ID)
			continue
		}
		a.want[prefixDependent]++
		other, err := a.readKept(edge.ID)
		if isDamage(err) && d.gone.Over() || err == nil && other.deleted && d.gone.Over() {
			continue
		}
		if err != nil && !isDamage(err) {
			return err
		}
		if err != nil {
			a.differ("job %s: its dependency %s cannot be read: %v", j.ID, edge.ID, err)
			continue
		}
		t, telling := a.told[edge.ID]
		waits := !other.State.Over() || telling && t.generation == d.generation && t.place < j.place && !d.settled
		if !waits || r.State.Over() {
			continue
		}
		open++
		if !other.State.Over() && (!other.hasDependents || d.settled || d.generation != other.Generation) {
			a.differ("job %s: it would not be told of the end of its dependency %s", j.ID, edge.ID)
		}
	}
	if !r.State.Over() && open != r.Open || r.State == queue.Blocked && open == 0 || r.State.Waiting() && r.State != queue.Blocked && open > 0 {
		a.differ("job %s, which is %s: %d of its dependencies are open, and it waits for %d", j.ID, r.State, open, r.Open)
	}
	return nil
}
