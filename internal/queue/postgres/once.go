package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// errCallKnown tells that the call which is being answered has an answer already.
var errCallKnown = errors.New("the call was answered meanwhile")

// keptCall is what a call with an idempotency key was answered.
type keptCall struct {
	digest   []byte
	jobs     []uuid.UUID   // that were added, or stood for those that were not
	answered []answeredJob // how; nil if each was added and pending
	places   []int64       // of the leases that were granted
	secrets  []uuid.UUID
}

// answeredJob is one job as it was answered.
type answeredJob struct {
	Existing bool         `json:"existing,omitempty"`
	Record   queue.Record `json:"record"`
	Reason   string       `json:"reason,omitempty"` // of the error that it was over with
	Details  []byte       `json:"details,omitempty"`
}

const readCall = `
SELECT digest, jobs, answered, places, secrets, until <= longshore.now() FROM longshore.calls WHERE hash = $1`

// reader is what statements can be asked of: the pool, or a transaction.
type reader interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// findCall returns what was answered to an idempotency key; nil if nothing was, or it should have
// been forgotten by now. queue.ErrKeyReused if the key was used for something else.
func findCall(ctx context.Context, from reader, once queue.Once) (*keptCall, error) {
	if !once.Given() {
		return nil, nil //nolint:nilnil // there is none
	}
	var (
		k         keptCall
		answered  []byte
		forgotten bool
	)
	err := from.QueryRow(ctx, readCall, hashOf(once.Key)).Scan(&k.digest, &k.jobs, &answered, &k.places, &k.secrets, &forgotten)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && forgotten:
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, err
	case !bytes.Equal(k.digest, once.Digest[:]):
		return nil, queue.ErrKeyReused
	}
	if answered != nil {
		if err := json.Unmarshal(answered, &k.answered); err != nil || len(k.answered) != len(k.jobs) {
			return nil, fmt.Errorf("what a call was answered: %w", queue.ErrDamaged)
		}
	}
	return &k, nil
}

func (c *change) readCall(once queue.Once) (*keptCall, error) { return findCall(c.ctx, c.tx, once) }

const keepCall = `
INSERT INTO longshore.calls (hash, digest, until, jobs, answered, places, secrets)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (hash) DO UPDATE SET digest = excluded.digest, until = excluded.until, jobs = excluded.jobs,
  answered = excluded.answered, places = excluded.places, secrets = excluded.secrets`

// keepCall remembers a call until the time to forget it.
func (c *change) keepCall(once queue.Once, k *keptCall) {
	c.keepAnswered(once, k, nil)
}

func (c *change) keepAnswered(once queue.Once, k *keptCall, answered []byte) {
	c.writes.add(keepCall, hashOf(once.Key), once.Digest[:], c.now.Add(c.store.onceTTL), k.jobs, answered, k.places, k.secrets)
}

// keepEnqueued remembers what a call to Enqueue is answered.
func (c *change) keepEnqueued(once queue.Once, answer []queue.Enqueued) error {
	k := keptCall{jobs: make([]uuid.UUID, len(answer)), answered: make([]answeredJob, len(answer))}
	for i := range answer {
		a := &answer[i]
		k.jobs[i] = a.ID
		k.answered[i] = answeredJob{Existing: a.Existing, Record: recordOf(&a.Status)}
		if a.Error != nil {
			k.answered[i].Reason, k.answered[i].Details = a.Error.Reason, a.Error.Details
		}
	}
	text, err := json.Marshal(k.answered)
	if err != nil {
		return fmt.Errorf("encode what a call is answered: %w", err)
	}
	c.keepAnswered(once, &k, text)
	return nil
}

// recordOf returns what a status shows of a job's record.
func recordOf(s *queue.Status) queue.Record {
	return queue.Record{
		State: s.State, Attempt: s.Attempt, Retries: s.Retries, Failures: s.Failures, Timeouts: s.Timeouts, Generation: s.Generation,
		Version: s.Version, Priority: s.Priority, Queued: s.Queued, Started: s.Started, Finished: s.Finished, RunAt: s.RunAt,
		Worker: s.Worker,
	}
}

// enqueuedOf returns what an Enqueue was answered.
func (c *change) enqueuedOf(k *keptCall) ([]queue.Enqueued, error) {
	if err := c.readMany(k.jobs); err != nil {
		return nil, err
	}
	places := make([]int64, len(k.jobs))
	for i, id := range k.jobs {
		r, err := c.get(id)
		if err != nil {
			return nil, fmt.Errorf("read job %s: %w", id, queue.ErrDeleted)
		}
		places[i] = r.place
	}
	above, err := c.readAbove(distinct(append([]int64(nil), places...)))
	if err != nil {
		return nil, err
	}
	answer := make([]queue.Enqueued, len(k.jobs))
	for i, place := range places {
		r := c.rows[place]
		j, err := c.job(r)
		if err != nil {
			return nil, err
		}
		j.Dependencies = queueEdges(above[place])
		if k.answered == nil {
			record, _ := j.Admit(nil, r.Queued)
			answer[i] = queue.Enqueued{Status: queue.StatusOf(&j, &record, queue.Outcome{}), Repeated: true}
			continue
		}
		a := &k.answered[i]
		var outcome queue.Outcome
		if a.Reason != "" {
			outcome.Error = &queue.JobError{Reason: a.Reason, Details: a.Details}
		}
		answer[i] = queue.Enqueued{Status: queue.StatusOf(&j, &a.Record, outcome), Existing: a.Existing, Repeated: true}
	}
	return answer, nil
}

// forgetCall has a dequeue not be answered again with leases that it could not be given.
func (s *Store) forgetCall(ctx context.Context, once queue.Once, secrets []uuid.UUID) error {
	if !once.Given() {
		return nil
	}
	return s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `DELETE FROM longshore.calls WHERE hash = $1 AND secrets = $2`, hashOf(once.Key), secrets)
		return err
	})
}

// vacateCall has a dequeue be granted other leases in place of those, which were released: also when
// their jobs are deleted by then. Its key stays known.
func (s *Store) vacateCall(ctx context.Context, once queue.Once, secrets []uuid.UUID) error {
	const statement = `UPDATE longshore.calls SET jobs = NULL, places = NULL, secrets = NULL WHERE hash = $1 AND secrets = $2`
	return s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, statement, hashOf(once.Key), secrets)
		return err
	})
}

// adoptLeases has leases that a dequeue was granted not be taken for orphans any more, because they
// are about to be handed out: a server that did not see how the first call ended may be about to give
// them back. It tells whether that has not happened yet. A call that enqueues has jobs there.
func (s *Store) adoptLeases(ctx context.Context, once queue.Once, k *keptCall) (is bool, err error) {
	const statement = `UPDATE longshore.calls SET jobs = '{}' WHERE hash = $1 AND secrets = $2`
	err = s.database(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, statement, hashOf(once.Key), k.secrets)
		is = tag.RowsAffected() > 0
		return err
	})
	return is, err
}

// leasesOf returns the leases that were granted to a dequeue with the same idempotency key, apart
// from those that were released. If there are none, new ones are to be granted.
// queue.ErrLeaseLost if all of them are over, other than by a cancel.
func (s *Store) leasesOf(ctx context.Context, once queue.Once) (granted []queue.Lease, err error) {
	if !once.Given() {
		return nil, nil
	}
	var k *keptCall
	err = s.database(ctx, func(ctx context.Context) (err error) {
		k, err = findCall(ctx, s.pool, once)
		return err
	})
	if err != nil || k == nil {
		return nil, err
	}
	var lost error
	for i, place := range k.places {
		l, how, err := s.lookAtLease(ctx, tokenOf(place, k.secrets[i]), queue.MaxLeaseResults)
		switch {
		case err == nil:
			granted = append(granted, l)
		case how == queue.EndReleased:
		case errors.Is(err, queue.ErrLeaseLost), errors.Is(err, queue.ErrNotExist): // its job was deleted
			lost = queue.ErrLeaseLost
		default:
			return nil, err
		}
	}
	switch {
	case len(granted) > 0:
		// At last: those that cannot be handed out are to be given back.
		if is, err := s.adoptLeases(ctx, once, k); err != nil || !is {
			return nil, err
		}
		return granted, nil
	case lost == nil:
		return nil, s.vacateCall(ctx, once, k.secrets)
	default:
		return nil, lost
	}
}

// forgetCalls forgets some of those whose time has come.
const forgetCalls = `
DELETE FROM longshore.calls WHERE hash IN (
  SELECT hash FROM longshore.calls WHERE until <= $1 ORDER BY until LIMIT 1000)`

func (s *Store) forgetCalls(ctx context.Context, now time.Time) (n int64, err error) {
	err = s.database(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, forgetCalls, now)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}
