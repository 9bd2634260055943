package workload

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

const (
	// batchesGoal is how many cycles a second are to be made in batches.
	batchesGoal = 50_000.0
	// batchesOf is how many jobs a request is about.
	batchesOf = 100
	// batchesKinds is how many different batches a connection adds, in turn. They are long.
	batchesKinds  = 4
	batchesCycles = "cycles in batches"
)

// batchesBy is how many connections make them: few wait the most for the disk, many share it.
func (b *Bench) batchesBy() []int {
	if most := b.Connections; most > 4 {
		return slices.Compact([]int{4, max(most/4, 4), most})
	}
	return []int{b.Connections}
}

// batches measures full cycles of jobs that are added 100 at a time, and leased 100 at a time
// with the reports on the 100 before.
func batches(ctx context.Context, b *Bench) error {
	by := b.batchesBy()
	for round := range b.Repeat {
		for _, i := range turns(len(by), round) {
			callers := by[i]
			r, err := b.batchesOnce(ctx, callers, batchesOf)
			if err != nil {
				return fmt.Errorf("%s: %w", connections(callers), err)
			}
			b.Say("batches %d/%d, %s: %s cycles/s", round+1, b.Repeat, connections(callers), report.Number(r.Rate()))
			b.add(batchesName(), b.name()+", "+connections(callers), batchesCycles, r)
		}
	}
	for _, callers := range by {
		b.aim(rateOf(batchesName(), b.name()+", "+connections(callers), batchesCycles), report.Goal{Limit: batchesGoal})
	}
	return nil
}

func batchesName() string { return "cycles in batches of " + strconv.Itoa(batchesOf) }

// batchesOnce measures from a start of its own. The result counts jobs.
func (b *Bench) batchesOnce(ctx context.Context, callers, size int) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("batches-%d", callers))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	r, err = load.Run(ctx, b.timed(s, callers, b.cyclingBatches(size)))
	r.Operations *= int64(size)
	return r, err
}
