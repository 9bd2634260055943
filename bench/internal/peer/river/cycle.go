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
	"github.com/longshore-queue/longshore/bench/internal/peer"
)

const (
	// varieties is how many different jobs a caller adds, in turn.
	varieties = 32
	// drainTimeout bounds the completion of what is left when nothing is added any more.
	drainTimeout = time.Minute
)

// cycling is such a load while it goes on.
type cycling struct {
	*Peer

	queue   string
	room    *semaphore.Weighted // for jobs that are not completed
	added   atomic.Int64
	done    atomic.Int64
	stop    atomic.Bool // nothing more is to be added
	callers sync.WaitGroup
	group   *errgroup.Group
	busy    context.Context // it ends with the first caller that fails
	end     context.CancelFunc
}

// begin lets callers add jobs to a queue while they are worked.
func (p *Peer) begin(ctx context.Context, queue string, callers, batch int) *cycling {
	y := &cycling{Peer: p, queue: queue, room: semaphore.NewWeighted(mostOutstanding)}
	ctx, y.end = context.WithCancel(ctx)
	// Whoever fails ends the others.
	y.group, y.busy = errgroup.WithContext(ctx)
	y.group.Go(func() error { return y.count(y.busy) })
	y.callers.Add(callers)
	for i := range callers {
		y.group.Go(func() error {
			defer y.callers.Done()
			return y.add(y.busy, jobs.New("connection "+strconv.Itoa(i)), batch)
		})
	}
	return y
}

// finish ends the callers, and returns when all that they have added is completed.
func (y *cycling) finish() error {
	y.stop.Store(true)
	y.callers.Wait()
	drained := y.drain(y.busy)
	y.end()
	return cmp.Or(y.group.Wait(), drained)
}

// Cycle adds jobs while they are worked, and counts those whose completion is on disk. At the end
// it waits until all of them are, and compares with what the database says.
func (p *Peer) Cycle(ctx context.Context, c peer.Cycles) (load.Result, error) {
	before, err := p.completed(ctx)
	if err != nil {
		return load.Result{}, err
	}
	y := p.begin(ctx, river.QueueDefault, c.Callers, c.Batch)
	result, observed := load.Observe(y.busy, c.Observed(y.done.Load))
	if err := cmp.Or(y.finish(), observed); err != nil {
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
	options := &river.InsertOpts{Queue: y.queue}
	for i := range list {
		a, err := newArgs(from)
		if err != nil {
			return err
		}
		list[i] = river.InsertManyParams{Args: a, InsertOpts: options}
	}
	for turn := 0; !y.stop.Load(); turn = (turn + 1) % varieties {
		if err := y.room.Acquire(ctx, int64(batch)); err != nil {
			return err
		}
		var err error
		if batch == 1 {
			_, err = y.inserter.Insert(ctx, list[turn].Args, options)
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
			if e.Job.Queue != y.queue {
				continue
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
