package workload

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// cycle measures full cycles of three requests, by one connection and by many.
func cycle(ctx context.Context, b *Bench) error {
	callers := []int{1, b.Connections}
	if b.Connections == 1 {
		callers = callers[:1]
	}
	for round := range b.Repeat {
		for _, i := range turns(len(callers), round) {
			r, err := b.cycleOnce(ctx, callers[i])
			if err != nil {
				return fmt.Errorf("%s: %w", connections(callers[i]), err)
			}
			b.Say("cycle %d/%d, %s: %s/s", round+1, b.Repeat, connections(callers[i]), report.Number(r.Rate()))
			b.add("cycle", longshore+", "+connections(callers[i]), "cycles of 3 requests", r)
		}
	}
	return nil
}

func (b *Bench) cycleOnce(ctx context.Context, callers int) (r load.Result, err error) {
	store, err := b.fresh()
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, remover(store)) }()
	s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("cycle-%d", callers))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	return load.Run(ctx, b.timed(s, callers, cycling))
}
