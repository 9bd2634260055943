package river

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
)

const (
	// varieties is how many different jobs a caller adds, in turn.
	varieties = 32
	// drainTimeout bounds the completion of what is left when nothing is added any more.
	drainTimeout = time.Minute
)

// Cycles says how jobs are added while they are worked.
type Cycles struct {
	Callers int
	// Batch is how many jobs a call adds; 1: each by a call for a single one.
	Batch int
	// WarmUp goes before what is measured, for Duration.
	WarmUp, Duration time.Duration
	// Database tells the time that the database has spent on processors so far; nil if that is of
	// no interest.
	Database func() (time.Duration, error)
}

// cycling is such a load while it goes on.
type cycling struct {
	*Peer

	room  *semaphore.Weighted // for jobs that are not completed
	added atomic.Int64
	done  atomic.Int64
	stop  atomic.Bool // nothing more is to be added
}

// Cycle adds jobs while they are worked, and counts those whose completion is on disk. At the end
// it waits until all of them are, and compares with what the database says.
func (p *Peer) Cycle(ctx context.Context, c Cycles) (load.Result, error) {
	before, err := p.completed(ctx)
	if err != nil {
		return load.Result{}, err
	}
	y := &cycling{Peer: p, room: semaphore.NewWeighted(mostOutstanding)}
	counting, stopCounting := context.WithCancel(ctx)
	defer stopCounting()
	// Whoever fails ends the others.
	group, busy := errgroup.WithContext(counting)
	group.Go(func() error { return y.count(busy) })
	var callers sync.WaitGroup
	callers.Add(c.Callers)
	for i := range c.Callers {
		group.Go(func() error {
			defer callers.Done()
			return y.add(busy, jobs.New("connection "+strconv.Itoa(i)), c.Batch)
		})
	}
	result, observed := load.Observe(busy, load.Observed{WarmUp: c.WarmUp, Duration: c.Duration, Done: y.done.Load, Database: c.Database})
	y.stop.Store(true)
	callers.Wait()
	drained := y.drain(busy)
	stopCounting()
	if err := cmp.Or(group.Wait(), drained, observed); err != nil {
		return load.Result{}, err
	}
	after, err := p.completed(ctx)
	if err == nil && after-before != y.added.Load() {
		err = fmt.Errorf("%d jobs were added and %d completed, says the database", y.added.Load(), after-before)
	}
	return result, err
}

// add adds jobs until it is to stop, and waits whenever there are too many that are not completed.
func (y *cycling) add(ctx context.Context, from *jobs.Source, batch int) error {
	list := make([]river.InsertManyParams, max(batch, varieties))
	for i := range list {
		a, err := newArgs(from)
		if err != nil {
			return err
		}
		list[i].Args = a
	}
	for turn := 0; !y.stop.Load(); turn = (turn + 1) % varieties {
		if err := y.room.Acquire(ctx, int64(batch)); err != nil {
			return err
		}
		var err error
		if batch == 1 {
			_, err = y.inserter.Insert(ctx, list[turn].Args, nil)
		} else {
			_, err = y.inserter.InsertManyFast(ctx, list[:batch])
		}
		if err != nil {
			return fmt.Errorf("add jobs to River: %w", err)
		}
		y.added.Add(int64(batch))
	}
	return nil
}

// count counts completions, each of which River tells when it is on disk.
func (y *cycling) count(ctx context.Context) error {
	for {
		select {
		case e, open := <-y.events:
			if !open || e.Kind != river.EventKindJobCompleted {
				return errNotCompleted
			}
			y.done.Add(1)
			y.room.Release(1)
		case <-ctx.Done():
			return nil
		}
	}
}

// drain waits until there is room for all that there could be: everything is completed.
func (y *cycling) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drainTimeout, errors.New("not all jobs were completed in time"))
	defer cancel()
	if err := y.room.Acquire(ctx, mostOutstanding); err != nil {
		return context.Cause(ctx)
	}
	return nil
}
