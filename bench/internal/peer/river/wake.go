package river

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
)

const (
	// rest is how long the queue is left alone between two wakes. It is longer than the time that
	// has to pass between two fetches, so that no wake waits for the one before.
	rest = 5 * time.Millisecond
	// wakePatience is how long one wake may take.
	wakePatience = 10 * time.Second
)

// Wake adds single jobs to an idle queue, each once the one before was worked, and returns how
// long each took from before it was added until its worker began.
func (p *Peer) Wake(ctx context.Context, warmUp, duration time.Duration) ([]time.Duration, error) {
	source := jobs.New("wake")
	if _, err := p.wakeFor(ctx, source, warmUp); err != nil {
		return nil, err
	}
	return p.wakeFor(ctx, source, duration)
}

// wakeFor does so for that long, and at least once.
func (p *Peer) wakeFor(ctx context.Context, source *jobs.Source, d time.Duration) ([]time.Duration, error) {
	var wakes []time.Duration
	for end := time.Now().Add(d); len(wakes) == 0 || time.Now().Before(end); {
		wake, err := p.wakeOnce(ctx, source)
		if err != nil {
			return nil, err
		}
		wakes = append(wakes, wake)
		time.Sleep(rest)
	}
	return wakes, nil
}

func (p *Peer) wakeOnce(ctx context.Context, source *jobs.Source) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wakePatience, errors.New("a job was not worked in time"))
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
