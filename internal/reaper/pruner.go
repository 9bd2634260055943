package reaper

import (
	"context"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Store is what a Pruner asks of a queue.
type Store interface {
	// Prune makes a step of deleting what was over before a time, and tells whether that was
	// the last one for now.
	Prune(ctx context.Context, before time.Time) (done bool, err error)
}

const (
	// A round of pruning begins so often that no job outlives its retention by much more than a
	// part of it, and seldom enough to cost nothing where there is little to do.
	roundsPerRetention = 50
	leastRoundPause    = time.Second
	mostRoundPause     = 10 * time.Minute
	// restBetweenSteps is how much longer than a step the pause after it is: deleting is never
	// in a hurry, and others use the store.
	restBetweenSteps = 4
	// failurePause is the least pause after a step that failed.
	failurePause = time.Second
)

// Pruner deletes jobs that have been over for longer than they are to be kept, from Start to
// Stop. Any number of servers may prune one queue at once.
type Pruner struct {
	store     Store
	retention time.Duration
	log       queue.SimpleLogger
	ctx       context.Context // ends with Stop
	cancel    context.CancelFunc
	done      sync.WaitGroup
}

// NewPruner makes a Pruner. It does nothing before Start. If retention is 0 jobs are kept for
// ever, and only what clients deleted is cleaned up.
func NewPruner(store Store, retention time.Duration, log queue.SimpleLogger) *Pruner {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pruner{store: store, retention: retention, log: log, ctx: ctx, cancel: cancel}
}

// Start begins to prune, in a goroutine. It is called once.
func (p *Pruner) Start() { p.done.Go(p.run) }

// Stop ends the pruning and waits for the step that is under way. It may be called again, and
// without Start.
func (p *Pruner) Stop() {
	p.cancel()
	p.done.Wait()
}

func (p *Pruner) run() {
	pause := p.betweenRounds()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		done, err := p.store.Prune(p.ctx, p.before(began))
		took := time.Since(began)
		switch {
		case p.ctx.Err() != nil:
			return // what fails because of Stop is no failure
		case err != nil:
			p.log.Error(err, "old jobs could not be deleted; it is tried again")
			pause = max(failurePause, restBetweenSteps*took)
		case done:
			pause = p.betweenRounds()
		default:
			pause = restBetweenSteps * took
		}
		timer.Reset(pause)
	}
}

// before is when a job must have been over to be deleted now.
func (p *Pruner) before(now time.Time) time.Time {
	if p.retention == 0 {
		return time.Time{}
	}
	return now.Add(-p.retention)
}

func (p *Pruner) betweenRounds() time.Duration {
	if p.retention == 0 {
		return mostRoundPause
	}
	return min(max(p.retention/roundsPerRetention, leastRoundPause), mostRoundPause)
}
