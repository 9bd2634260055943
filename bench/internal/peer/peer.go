// Package peer is how systems are measured that do what the server does: a session of a caller adds
// jobs, fetches as many and acknowledges them, over and over (Cycle), or one adds a job for another
// one that waits for it (Wake). The packages below it each know one system; libraries, which run
// callers of their own, bring their own Cycle and Wake.
//
// It does not know how a system is started, nor what its answers are worth.
package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/bench/internal/load"
)

// Where jobs go. Lanes are apart: no job of one is fetched from another.
const (
	Lane      = "jobs"
	OtherLane = "others"
)

// ErrUnsupported says that a system has no such thing.
var ErrUnsupported = errors.New("this system has no such thing")

// Session is one caller's, and not safe for concurrent use. What it returns from has happened: the
// system has acknowledged it.
type Session interface {
	// Add adds so many jobs.
	Add(jobs int) error
	// Fetch fetches so many jobs, and waits for them.
	Fetch(jobs int) error
	// Acknowledge tells that all jobs that were fetched are done.
	Acknowledge() error
	// Close ends the session, and what it waits for. Any goroutine may call it, once.
	Close()
}

// Opener opens the session of a caller in a lane.
type Opener func(ctx context.Context, lane string, caller int) (Session, error)

// Cycles says how jobs are put through their cycles.
type Cycles struct {
	Callers int
	// Batch is how many jobs a call adds; 1: each by a call for a single one.
	Batch int
	// WarmUp goes before what is measured, for Duration.
	WarmUp, Duration time.Duration
	// Processor and Database are load.Observed's.
	Processor, Database func() (time.Duration, error)
}

// Observed is what to look at while jobs are done.
func (c Cycles) Observed(done func() int64) load.Observed {
	return load.Observed{WarmUp: c.WarmUp, Duration: c.Duration, Least: int64(c.Callers * c.Batch), Done: done, Processor: c.Processor, Database: c.Database}
}

// Kept is what a system takes for jobs that nobody works, beyond what it takes without them, in bytes.
// Less than nothing is what nobody can tell.
type Kept struct{ Memory, Store float64 }

// Unknown is what nobody can tell of a Kept.
const Unknown = -1.0

// crowd is sessions that go through cycles.
type crowd struct {
	sessions []Session
	group    *errgroup.Group
	done     atomic.Int64
	stopped  atomic.Bool
}

// start opens sessions and lets them cycle. The context that it returns ends when one of them fails.
func start(ctx context.Context, open Opener, lane string, callers, batch int) (*crowd, context.Context, error) {
	c := new(crowd)
	for i := range callers {
		s, err := open(ctx, lane, i)
		if err != nil {
			c.close()
			return nil, nil, err
		}
		c.sessions = append(c.sessions, s)
	}
	var busy context.Context
	c.group, busy = errgroup.WithContext(ctx)
	for _, s := range c.sessions {
		c.group.Go(func() error { return c.work(s, batch) })
	}
	// Whoever fails ends the others, who may wait for what the failed one does not add.
	context.AfterFunc(busy, c.close)
	return c, busy, nil
}

func (c *crowd) work(s Session, batch int) error {
	for !c.stopped.Load() {
		err := cycle(s, batch)
		if c.stopped.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d jobs: %w", c.done.Load(), err)
		}
		c.done.Add(int64(batch))
	}
	return nil
}

// cycle puts jobs through one. There is always one to fetch: each session has added more than it
// has fetched.
func cycle(s Session, batch int) error {
	if err := s.Add(batch); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if err := s.Fetch(batch); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if err := s.Acknowledge(); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// stop ends all sessions, and tells whether one of them had failed before.
func (c *crowd) stop() error {
	c.stopped.Store(true)
	c.close()
	return c.group.Wait()
}

func (c *crowd) close() {
	for _, s := range c.sessions {
		s.Close()
	}
}

// Cycle measures sessions that cycle. The result counts jobs.
func Cycle(ctx context.Context, open Opener, c Cycles) (load.Result, error) {
	sessions, busy, err := start(ctx, open, Lane, c.Callers, c.Batch)
	if err != nil {
		return load.Result{}, err
	}
	result, observed := load.Observe(busy, c.Observed(sessions.done.Load))
	if err := sessions.stop(); err != nil {
		return load.Result{}, err
	}
	return result, errors.Join(observed, ctx.Err())
}

// Wakes says how a worker is woken.
type Wakes struct {
	// Busy is how many other callers go through cycles meanwhile, in another lane.
	Busy             int
	WarmUp, Duration time.Duration
}

const (
	// Rest is how long a system is left alone between two wakes: until the worker surely waits.
	Rest = 5 * time.Millisecond
	// Patience is how long one wake may take.
	Patience = 10 * time.Second
)

// Wake adds single jobs for a worker that waits, and returns how long each took from before it was
// added until the worker had it.
func Wake(ctx context.Context, open Opener, w Wakes) (wakes []time.Duration, err error) {
	others, busy, err := start(ctx, open, OtherLane, w.Busy, 1)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopErr := others.stop(); err == nil {
			err = stopErr
		}
	}()
	producer, err := open(ctx, Lane, 0)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	worker, err := open(ctx, Lane, 1)
	if err != nil {
		return nil, err
	}
	fetched, failed := make(chan time.Time), make(chan error, 1)
	var working sync.WaitGroup
	ended := make(chan struct{})
	working.Go(func() { failed <- work(worker, fetched, ended) })
	defer working.Wait()
	defer worker.Close()
	defer close(ended)
	return Repeat(busy, w, func() (time.Duration, error) {
		begin := time.Now()
		if err := producer.Add(1); err != nil {
			return 0, fmt.Errorf("add: %w", err)
		}
		select {
		case at := <-fetched:
			return at.Sub(begin), nil
		case err := <-failed:
			return 0, err
		case <-time.After(Patience):
			return 0, errors.New("a job was not fetched in time")
		case <-busy.Done():
			return 0, context.Cause(busy)
		}
	})
}

// work fetches jobs one at a time, and tells when each was there, until nobody asks any more.
func work(worker Session, fetched chan<- time.Time, ended <-chan struct{}) error {
	for {
		if err := worker.Fetch(1); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		at := time.Now()
		if err := worker.Acknowledge(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		select {
		case fetched <- at:
		case <-ended:
			return nil
		}
	}
}

// Repeat wakes a worker over and over, for as long as is to be measured and at least once, and
// rests in between.
func Repeat(ctx context.Context, w Wakes, once func() (time.Duration, error)) ([]time.Duration, error) {
	var wakes []time.Duration
	for _, d := range []time.Duration{w.WarmUp, w.Duration} {
		wakes = nil
		for end := time.Now().Add(d); len(wakes) == 0 || time.Now().Before(end); {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			time.Sleep(Rest)
			wake, err := once()
			if err != nil {
				return nil, err
			}
			wakes = append(wakes, wake)
		}
	}
	return wakes, nil
}
