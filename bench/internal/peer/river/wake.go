package river

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
)

// Wake adds single jobs, each once the one before was worked, and returns how long each took from
// before it was added until its worker began.
func (p *Peer) Wake(ctx context.Context, w peer.Wakes) (wakes []time.Duration, err error) {
	busy := ctx
	if w.Busy > 0 {
		others := p.begin(ctx, peer.OtherLane, w.Busy, 1)
		busy = others.busy
		defer func() { err = cmp.Or(others.finish(), err) }()
	}
	source := jobs.New("wake")
	return peer.Repeat(busy, w, func() (time.Duration, error) { return p.wakeOnce(busy, source) })
}

func (p *Peer) wakeOnce(ctx context.Context, source *jobs.Source) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, peer.Patience, errors.New("a job was not worked in time"))
	defer cancel()
	a, err := newArgs(source)
	if err != nil {
		return 0, err
	}
	a.Timed = true
	begin := time.Now()
	if _, err := p.inserter.Insert(ctx, a, nil); err != nil {
		return 0, fmt.Errorf("add a job to River: %w", err)
	}
	select {
	case at := <-p.worker.started:
		return at.Sub(begin), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
