package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CopySource is a store that is copied to another one. It implements queue.CopySource. Nobody else
// can open the store before Close.
type CopySource struct{ *still }

// OpenCopySource opens a store to be copied. Nothing in it is changed. ErrInUse.
func OpenCopySource(directory string) (*CopySource, error) {
	return openCopySource(vfs.Default, directory)
}

func openCopySource(files vfs.FS, directory string) (*CopySource, error) {
	s, err := openStill(files, directory)
	if err != nil {
		return nil, err
	}
	if err := s.refuseUnfinished(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &CopySource{s}, nil
}

// refuseUnfinished returns an error if a crash has left dependents that are still to be told. Only a
// start can do that, since it is for the rules, and changes the store.
func (s *still) refuseUnfinished() error {
	for _, prefix := range []byte{prefixSettlement, prefixRevival} {
		unfinished := false
		err := s.scan([]byte{prefix}, []byte{prefix + 1}, func([]byte, []byte) (bool, error) {
			unfinished = true
			return false, nil
		})
		if err != nil {
			return err
		}
		if unfinished {
			return errors.New("the store was not closed in order, and has left something undone; start a server on it and stop it again")
		}
	}
	return nil
}

// Audit implements queue.CopySource.
func (s *CopySource) Audit(ctx context.Context) (queue.Audit, error) { return auditAll(ctx, s.reader) }

// LastPlace implements queue.CopySource.
func (s *CopySource) LastPlace(context.Context) (uint64, error) { return s.highestPlace() }

// Jobs implements queue.CopySource: jobs come in the order of their ids.
func (s *CopySource) Jobs(ctx context.Context, use func(*queue.CopiedJob) error) (err error) {
	records, err := s.openCursor([]byte{prefixRecord}, []byte{prefixRecord + 1})
	if err != nil {
		return err
	}
	defer func() { err = records.close(err) }()
	return s.scan([]byte{prefixJob}, []byte{prefixJob + 1}, func(key, value []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		id, err := uuid.FromBytes(key[1:])
		if err != nil {
			return false, fmt.Errorf("the key of a job: %w", queue.ErrDamaged)
		}
		j, err := decodeJob(id, value, true)
		if err != nil {
			return false, err
		}
		r, found, err := records.record(id)
		if err == nil && !found { // it is as it was enqueued
			r, err = s.readKept(id)
		}
		var c *queue.CopiedJob
		if err == nil {
			c, err = s.copied(&j, &r)
		}
		if err != nil {
			return false, fmt.Errorf("read job %s: %w", id, err)
		}
		return true, use(c)
	})
}

// copied adds to a job what stands elsewhere.
func (s *CopySource) copied(j *job, r *record) (*queue.CopiedJob, error) {
	c := &queue.CopiedJob{
		Given: j.Job, Place: j.place, Record: r.Record, Hidden: r.deleted, HasDependents: r.hasDependents,
	}
	c.Given.Dependencies, c.Record.Token = nil, uuid.Nil
	var err error
	if r.State.Over() {
		if c.Outcome, err = s.readOutcome(j.ID); err != nil {
			return nil, err
		}
	}
	if r.deleted {
		return c, nil
	}
	if c.Attempts, err = s.readEarlierAttempts(j.ID, r); err != nil {
		return nil, err
	}
	if r.endedToken != uuid.Nil {
		ended, err := s.readEndedLease(r.endedToken)
		if err != nil {
			return nil, fmt.Errorf("the lease that it ended with: %w", mustExist(err))
		}
		c.LastEnd = ended.End
	}
	if r.hasReported {
		if c.Progress, c.PartialResult, err = s.readReported(j.ID); err != nil {
			return nil, err
		}
	}
	c.Above = make([]queue.CopiedEdge, len(j.Dependencies))
	for i := range j.Dependencies {
		if c.Above[i], err = s.edge(&j.Dependencies[i], j.place); err != nil {
			return nil, fmt.Errorf("its dependency %s: %w", j.Dependencies[i].ID, err)
		}
	}
	return c, nil
}

// readEarlierAttempts returns the leases that ended before their job did.
func (s *CopySource) readEarlierAttempts(id uuid.UUID, r *record) (attempts []queue.Attempt, err error) {
	told := uint64(0)
	if r.State == queue.Running || r.endedToken != uuid.Nil {
		told = 1
	}
	if r.Attempt == told { // which spares most jobs a look
		return nil, nil
	}
	prefix := idKey(nil, prefixAttempt, id)
	err = s.scan(prefix, after(prefix), func(_, value []byte) (bool, error) {
		a, err := decodeAttempt(id, value)
		attempts = append(attempts, a.Attempt)
		return true, err
	})
	return attempts, err
}

// edge returns what the job at a place knows of a dependency.
func (s *CopySource) edge(edge *queue.Edge, place uint64) (queue.CopiedEdge, error) {
	c := queue.CopiedEdge{Edge: *edge}
	r, err := s.readKept(edge.ID)
	if errors.Is(err, queue.ErrNotExist) {
		gone, err := s.readGone(edge.ID, place)
		if err != nil {
			return c, mustExist(err)
		}
		c.Gone, c.State, c.Type = true, gone.gone, gone.goneType
		return c, nil
	}
	if err != nil {
		return c, err
	}
	j, err := s.readJob(edge.ID, false)
	if err != nil {
		return c, mustExist(err)
	}
	// One that is hidden may be said to be gone already, to those of its dependents that are over.
	// That is a step on the way to its being gone, and not carried over.
	c.State, c.Generation, c.Place = r.State, r.Generation, j.place
	return c, nil
}

// Calls implements queue.CopySource.
func (s *CopySource) Calls(ctx context.Context, use func(*queue.CopiedCall) error) error {
	return s.scan([]byte{prefixOnce}, []byte{prefixOnce + 1}, func(key, value []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		entry, err := decodeOnce(value)
		if err != nil {
			return false, err
		}
		if len(entry.enqueued) == 0 {
			return true, nil
		}
		call := &queue.CopiedCall{Digest: entry.digest, Until: entry.until, Answered: make([]queue.CopiedAnswer, len(entry.enqueued))}
		if copy(call.Hash[:], key[1:]) != len(key[1:]) {
			return false, fmt.Errorf("the hash of an idempotency key: %w", queue.ErrDamaged)
		}
		for i := range entry.enqueued {
			if call.Answered[i], err = entry.enqueued[i].copied(); err != nil {
				return false, err
			}
		}
		return true, use(call)
	})
}

// APIKeys implements queue.CopySource.
func (s *CopySource) APIKeys(ctx context.Context, use func(*queue.APIKey) error) error {
	return s.scanAPIKeys("", func(k *queue.APIKey) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return true, use(k)
	})
}

func (o *onceJob) copied() (queue.CopiedAnswer, error) {
	a := queue.CopiedAnswer{ID: o.id, Existing: o.existing}
	r, err := decodeRecord(o.id, o.record)
	if err != nil {
		return a, err
	}
	a.Record = r.Record
	a.Record.Token = uuid.Nil
	if len(o.outcome) > 0 {
		a.Outcome, err = decodeOutcome(o.id, o.outcome)
	}
	return a, err
}
