package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CopyTarget is a database that is filled with what is in another store. It implements
// queue.CopyTarget.
type CopyTarget struct {
	*exclusion
	lanes  map[queue.Lane]int32
	counts map[int32]*difference
	tables []*filling // in the order in which they are written
	byName map[string]*filling
	rows   int // that were not written yet
	bytes  int // of what is opaque in them
}

// filling is a table, and the rows that are to be added to it next.
type filling struct {
	name    string
	columns []string
	rows    [][]any
}

// OpenCopyTarget opens a database to be filled, whose schema Migrate has made. queue.ErrNotEmpty if
// there is anything in it; ErrInUse; ErrSchema.
func OpenCopyTarget(ctx context.Context, dsn string) (*CopyTarget, error) {
	x, err := exclude(ctx, dsn, pgx.TxOptions{}, lockToFill)
	if err != nil {
		return nil, err
	}
	t := &CopyTarget{
		exclusion: x, lanes: make(map[queue.Lane]int32), counts: make(map[int32]*difference), byName: make(map[string]*filling),
	}
	for _, table := range []struct{ name, columns string }{
		{"jobs", `place, id, lane, rank, edges, timeout, heartbeat_timeout, trace_parent, labels, terms, args`},
		{"ready", recordColumns},
		{"waiting", recordColumns},
		{"ended", recordColumns + `, principal, secret, how, result, reason, details, hidden`},
		{"edges", `dependent, ordinal, dependency, dependency_id, succeeded, name, gone_state, gone_type`},
		{"attempts", `place, number, secret, worker, principal, started, ended, how, state, reason, details`},
		{"reported", `place, progress, percent, message, partial`},
		{"unique_keys", `lane, key, place`},
		{"calls", `hash, digest, until, jobs, answered`},
		{"api_keys", keyColumns},
		{"count_differences", `lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes`},
	} {
		f := &filling{name: table.name, columns: namesOf(table.columns)}
		t.tables = append(t.tables, f)
		t.byName[f.name] = f
	}
	if err := t.requireEmpty(ctx); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return t, nil
}

func (t *CopyTarget) requireEmpty(ctx context.Context) error {
	var filled bool
	err := t.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM longshore.jobs) OR EXISTS (SELECT FROM longshore.calls)
	OR EXISTS (SELECT FROM longshore.api_keys)`).Scan(&filled)
	if err == nil && filled {
		err = queue.ErrNotEmpty
	}
	return err
}

// add has a row be written with the next ones.
func (t *CopyTarget) add(table string, values ...any) {
	f := t.byName[table]
	f.rows = append(f.rows, values)
	t.rows++
}

// AddJob implements queue.CopyTarget.
func (t *CopyTarget) AddJob(ctx context.Context, c *queue.CopiedJob) error {
	lane, err := t.number(ctx, c.Given.Lane())
	if err != nil {
		return err
	}
	d, err := defineJob(&c.Given)
	if err != nil {
		return err
	}
	r := &row{Record: c.Record, place: int64(c.Place), id: c.Given.ID, lane: lane, hidden: c.Hidden} //nolint:gosec // no sequence goes so far
	if c.HasDependents {
		r.ties |= tieDependents
	}
	if c.Progress != nil || c.PartialResult != nil {
		r.ties |= tieReported
		t.addReported(r.place, c)
	}
	if c.Given.UniqueKey != "" && !r.State.Over() {
		r.ties |= tieUniqueKey
		t.add("unique_keys", lane, c.Given.UniqueKey, r.place)
	}
	t.add("jobs", r.place, column(r.id), lane, rankOf(r.Priority), int32(len(c.Above)), d.timeout, d.heartbeatTimeout, d.traceParent, //nolint:gosec // bounded by queue.MaxDependencies
		d.labels, d.terms, []byte(c.Given.Args))
	t.addRecord(r, c)
	for i := range c.Above {
		e := &c.Above[i]
		var state *int16
		var jobType *string
		if e.Gone {
			state, jobType = new(int16(e.State)), &e.Type
		}
		// No job has place 0, which stands for one that is gone.
		t.add("edges", r.place, int32(i), int64(e.Place), column(e.ID), e.If == queue.IfSucceeded, e.Name, state, jobType) //nolint:gosec // as above
	}
	for i := range c.Attempts {
		a := &c.Attempts[i]
		_, reason, details := outcomeColumns(&queue.Outcome{Error: a.Error})
		t.add("attempts", r.place, number(a.Number), column(newSecret()), a.Worker, a.Principal, a.Started, a.Ended,
			int16(a.End), int16(a.State), reason, details)
	}
	if !c.Hidden {
		counts := t.counts[lane]
		if counts == nil {
			counts = new(difference)
			t.counts[lane] = counts
		}
		counts.counts[r.State]++
		if !r.State.Over() {
			counts.bytes += int64(len(c.Given.Args))
		}
	}
	t.bytes += len(c.Given.Args) + len(c.Outcome.Result) + len(c.PartialResult)
	if c.Outcome.Error != nil {
		t.bytes += len(c.Outcome.Error.Details)
	}
	return t.step(ctx)
}

// addRecord adds the row that says what state a job is in, to the table that is for that.
func (t *CopyTarget) addRecord(r *row, c *queue.CopiedJob) {
	values := []any{
		r.place, column(r.id), r.lane, int16(r.State), rankOf(r.Priority), number(r.Version), number(r.Attempt), number(r.Retries),
		number(r.Failures), number(r.Timeouts), number(r.Generation), number(r.Open), r.Queued, nullTime(r.Started),
		nullTime(r.Finished), nullTime(r.RunAt), nullTime(r.ExpiresAt), r.Worker, r.ByDependency, r.ties,
	}
	switch {
	case r.State == queue.Pending:
		t.add("ready", values...)
	case r.State.Waiting():
		t.add("waiting", values...)
	default:
		var secret, how any
		if c.LastEnd != 0 {
			secret, how = column(newSecret()), int16(c.LastEnd)
		}
		result, reason, details := outcomeColumns(&c.Outcome)
		t.add("ended", append(values, r.Principal, secret, how, result, reason, details, r.hidden)...)
	}
}

func (t *CopyTarget) addReported(place int64, c *queue.CopiedJob) {
	p := c.Progress
	if p == nil {
		p = new(queue.Progress)
	}
	t.add("reported", place, c.Progress != nil, p.Percent, []byte(p.Message), []byte(c.PartialResult))
}

// column is an id as COPY takes it soonest.
func column(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// number returns the number of a lane, which it gets if it has none.
func (t *CopyTarget) number(ctx context.Context, lane queue.Lane) (int32, error) {
	number, found := t.lanes[lane]
	if found {
		return number, nil
	}
	channels, types := []string{lane.Channel}, []string{lane.Type}
	if _, err := t.tx.Exec(ctx, addLanes, channels, types); err != nil {
		return 0, fmt.Errorf("number a lane: %w", err)
	}
	var channel, jobType string
	if err := t.tx.QueryRow(ctx, findLanes, channels, types).Scan(&number, &channel, &jobType); err != nil {
		return 0, fmt.Errorf("number a lane: %w", err)
	}
	t.lanes[lane] = number
	return number, nil
}

// AddCall implements queue.CopyTarget.
func (t *CopyTarget) AddCall(ctx context.Context, call *queue.CopiedCall) error {
	ids := make([]uuid.UUID, len(call.Answered))
	answered := make([]answeredJob, len(call.Answered))
	for i := range call.Answered {
		a := &call.Answered[i]
		ids[i] = a.ID
		answered[i] = answeredJob{Existing: a.Existing, Record: a.Record}
		if a.Outcome.Error != nil {
			answered[i].Reason, answered[i].Details = a.Outcome.Error.Reason, a.Outcome.Error.Details
		}
	}
	text, err := json.Marshal(answered)
	if err != nil {
		return fmt.Errorf("encode what a call was answered: %w", err)
	}
	t.add("calls", call.Hash[:], call.Digest[:], call.Until, ids, text)
	t.bytes += len(text)
	return t.step(ctx)
}

// AddAPIKey implements queue.CopyTarget.
func (t *CopyTarget) AddAPIKey(ctx context.Context, k *queue.APIKey) error {
	kept := *k // whose hash the row refers to
	t.add("api_keys", keyRow(&kept)...)
	return t.step(ctx)
}

// step writes what has gathered, if that is enough.
func (t *CopyTarget) step(ctx context.Context) error {
	if t.bytes < copyPageBytes && t.rows < 4*copyPage {
		return nil
	}
	return t.flush(ctx)
}

func (t *CopyTarget) flush(ctx context.Context) error {
	for _, f := range t.tables {
		if len(f.rows) == 0 {
			continue
		}
		if _, err := t.tx.CopyFrom(ctx, pgx.Identifier{"longshore", f.name}, f.columns, pgx.CopyFromRows(f.rows)); err != nil {
			return fmt.Errorf("write to %s: %w", f.name, err)
		}
		clear(f.rows)
		f.rows = f.rows[:0]
	}
	t.rows, t.bytes = 0, 0
	return nil
}

const (
	setLastPlace = `SELECT setval('longshore.places', greatest(last_value, $1, 1)) FROM longshore.places`
	// analyzeAll tells the planner what there is now: the audit, and servers, which come at once.
	analyzeAll = `ANALYZE longshore.jobs, longshore.ready, longshore.waiting, longshore.ended, longshore.edges, longshore.attempts,
	longshore.reported, longshore.unique_keys, longshore.calls`
)

// Complete implements queue.CopyTarget.
func (t *CopyTarget) Complete(ctx context.Context, last uint64) error {
	for lane, d := range t.counts {
		c := &d.counts
		t.add("count_differences", lane, c[queue.Scheduled], c[queue.Blocked], c[queue.Pending], c[queue.Running],
			c[queue.Finished], c[queue.Failed], c[queue.Canceled], d.bytes)
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	if _, err := t.tx.Exec(ctx, setLastPlace, int64(last)); err != nil { //nolint:gosec // no sequence goes so far
		return fmt.Errorf("set the last place: %w", err)
	}
	if _, err := t.tx.Exec(ctx, analyzeAll); err != nil {
		return fmt.Errorf("analyze the tables: %w", err)
	}
	return nil
}

// Audit implements queue.CopyTarget.
func (t *CopyTarget) Audit(ctx context.Context) (audit queue.Audit, err error) {
	err = auditIn(ctx, t.tx, &audit)
	return audit, err
}

// Keep implements queue.CopyTarget.
func (t *CopyTarget) Keep(ctx context.Context) error { return t.tx.Commit(ctx) }
