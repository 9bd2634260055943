package queue

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// ErrNotEmpty is returned where a store is to be filled that has something in it.
var ErrNotEmpty = errors.New("the store is not empty")

// CopiedJob is all that one store knows of a job and another one has to know to go on with it.
// Tokens are not part of it: each engine makes them in its own way.
type CopiedJob struct {
	Given  Job    // Dependencies is nil: see Above
	Place  uint64 // in line, and for as long as the job exists
	Record Record // Token is nil
	// Hidden tells that the job was deleted, and that some of its dependents still need its
	// outcome: it has neither Above nor Attempts, LastEnd, Progress or PartialResult.
	Hidden   bool
	Outcome  Outcome
	LastEnd  End       // how the lease ended that the job was over with; 0 if there was none
	Attempts []Attempt // the leases that ended before the job did, in their order
	// Progress and PartialResult are what the newest lease's worker has reported.
	Progress      *Progress
	PartialResult json.RawMessage
	Above         []CopiedEdge // the job's dependencies, in their order
	HasDependents bool         // as far as the end of the job has to be told to anybody
}

// CopiedEdge is a dependency, and what the job that has it knows of it.
type CopiedEdge struct {
	Edge
	State      State
	Generation uint64
	Place      uint64 // 0 if it is Gone
	Gone       bool   // it was deleted, and nothing is kept of it but what stands here
	Type       string // of one that is Gone
}

// CopiedCall is what a call to Enqueue was answered that had an idempotency key.
type CopiedCall struct {
	Hash     [sha256.Size]byte // of the key
	Digest   [sha256.Size]byte
	Until    time.Time // when it is forgotten
	Answered []CopiedAnswer
}

// CopiedAnswer is one job as it was answered. Of a job that was deleted since, only the ID is
// known.
type CopiedAnswer struct {
	ID       uuid.UUID
	Existing bool
	Record   Record
	Outcome  Outcome
}

// Edges returns the dependencies as the job was given them.
func (c *CopiedJob) Edges() []Edge {
	if len(c.Above) == 0 {
		return nil
	}
	edges := make([]Edge, len(c.Above))
	for i := range c.Above {
		edges[i] = c.Above[i].Edge
	}
	return edges
}

// endLease has the job not be running any more, at no cost to it: as a worker that gives it back
// would have it, and as a backup has it that is restored. False if it is not running.
func (c *CopiedJob) endLease(now time.Time) bool {
	running := c.Record
	if now.Before(running.Started) { // by another clock
		now = running.Started
	}
	next, err := running.Release(0, now)
	if err != nil {
		return false
	}
	c.Record = next
	c.Attempts = append(c.Attempts, Attempt{
		Number: running.Attempt, Worker: running.Worker, Principal: running.Principal, Started: running.Started,
		Ended: now, End: EndReleased, State: next.State,
	})
	return true
}

// mendReasons has U+FFFD stand for U+0000 in the reasons of failures, and tells whether there was any:
// PostgreSQL has no text with it, and the embedded engine took it from workers once.
func (c *CopiedJob) mendReasons() (mended bool) {
	mend := func(e *JobError) {
		if e != nil && strings.Contains(e.Reason, "\x00") {
			e.Reason = strings.ReplaceAll(e.Reason, "\x00", "\uFFFD")
			mended = true
		}
	}
	mend(c.Outcome.Error)
	for i := range c.Attempts {
		mend(c.Attempts[i].Error)
	}
	return mended
}

// CopySource is a store that nobody else uses, and that is read from one end to the other.
type CopySource interface {
	Audit(ctx context.Context) (Audit, error)
	// Jobs calls use with each job there is, in any order. What use is given is its own.
	Jobs(ctx context.Context, use func(*CopiedJob) error) error
	// Calls calls use with each call to Enqueue that is remembered. Calls that were handed leases
	// are left out, because the leases end.
	Calls(ctx context.Context, use func(*CopiedCall) error) error
	// APIKeys calls use with each API key. What use is given is its own.
	APIKeys(ctx context.Context, use func(*APIKey) error) error
	// LastPlace returns a place above which none was ever given out.
	LastPlace(ctx context.Context) (uint64, error)
}

// CopyTarget is an empty store that is being filled. Nobody can use it before Keep has returned
// nil.
type CopyTarget interface {
	// AddJob, AddCall and AddAPIKey keep nothing of what they are given.
	AddJob(ctx context.Context, job *CopiedJob) error
	AddCall(ctx context.Context, call *CopiedCall) error
	AddAPIKey(ctx context.Context, key *APIKey) error
	// Complete is called once, after everything was added: the store gives out places above last
	// from there on.
	Complete(ctx context.Context, last uint64) error
	// Audit is called after Complete.
	Audit(ctx context.Context) (Audit, error)
	// Keep makes what was added durable, and a store that can be used.
	Keep(ctx context.Context) error
}

// Copied is what came of a copy.
type Copied struct {
	Source   Audit
	Target   Audit
	Jobs     int64 // without those that are hidden
	Calls    int64
	APIKeys  int64
	Released int64 // jobs that were running and wait again
	// Mended are the jobs that failed with a reason that had U+0000, for which U+FFFD stands in the copy;
	// FirstMended is one of them.
	Mended      int64
	FirstMended uuid.UUID

	found Counts
	given Counts
}

// Copy copies all that is in one store to another one, which is kept only if both are sound and
// hold the same; if either is not, what is returned says so, with an error. now is the present
// time.
//
// Leases end, at no cost to their jobs: those are back at their old places. Nothing is held in
// memory that grows with the number of jobs.
func Copy(ctx context.Context, from CopySource, to CopyTarget, now time.Time) (Copied, error) {
	var c Copied
	var err error
	if c.Source, err = from.Audit(ctx); err != nil {
		return c, fmt.Errorf("audit the source: %w", err)
	}
	if !c.Source.Sound() {
		return c, errors.New("the source is not sound; nothing was copied")
	}
	if err := c.copyAll(ctx, from, to, now.UTC().Truncate(time.Microsecond)); err != nil {
		return c, err
	}
	if c.Target, err = to.Audit(ctx); err != nil {
		return c, fmt.Errorf("audit the target: %w", err)
	}
	if err := c.check(); err != nil {
		return c, err
	}
	if err := to.Keep(ctx); err != nil {
		return c, fmt.Errorf("keep the copy: %w", err)
	}
	return c, nil
}

func (c *Copied) copyAll(ctx context.Context, from CopySource, to CopyTarget, now time.Time) error {
	last, err := from.LastPlace(ctx)
	if err != nil {
		return fmt.Errorf("read the last place in line: %w", err)
	}
	err = from.Jobs(ctx, func(j *CopiedJob) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !j.Hidden {
			c.Jobs++
			c.found[j.Record.State]++
		}
		if j.endLease(now) {
			c.Released++
		}
		if !j.Hidden {
			c.given[j.Record.State]++
		}
		if j.mendReasons() {
			if c.Mended == 0 {
				c.FirstMended = j.Given.ID
			}
			c.Mended++
		}
		if err := to.AddJob(ctx, j); err != nil {
			return fmt.Errorf("add job %s: %w", j.Given.ID, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("copy the jobs: %w", err)
	}
	err = from.Calls(ctx, func(call *CopiedCall) error {
		c.Calls++
		return to.AddCall(ctx, call)
	})
	if err != nil {
		return fmt.Errorf("copy the idempotency keys: %w", err)
	}
	err = from.APIKeys(ctx, func(key *APIKey) error {
		c.APIKeys++
		return to.AddAPIKey(ctx, key)
	})
	if err != nil {
		return fmt.Errorf("copy the API keys: %w", err)
	}
	if err := to.Complete(ctx, last); err != nil {
		return fmt.Errorf("complete the copy: %w", err)
	}
	return nil
}

// check compares what was found, what was given, and what there is now.
func (c *Copied) check() error {
	switch {
	case c.found != c.Source.Counts:
		return fmt.Errorf("the source has other jobs than were read: %v, and not %v by state", c.Source.Counts, c.found)
	case !c.Target.Sound():
		return errors.New("the copy is not sound")
	case c.given != c.Target.Counts:
		return fmt.Errorf("the copy has other jobs than were written: %v, and not %v by state", c.Target.Counts, c.given)
	case c.APIKeys != c.Source.APIKeys || c.APIKeys != c.Target.APIKeys:
		return fmt.Errorf("the source has %d API keys, %d were read, and the copy has %d", c.Source.APIKeys, c.APIKeys, c.Target.APIKeys)
	default:
		return nil
	}
}
