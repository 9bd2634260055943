package workload

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// nextGoal is how many times as fast cycles are to be of which the next dequeue brings the
// report.
const nextGoal = 1.3

// The ways to go through a cycle.
const (
	cycleOf3 = "cycles of 3 requests"
	cycleOf2 = "cycles of 2 requests"
)

// cycle measures full cycles of three requests, and of two, by one connection and by many.
func cycle(ctx context.Context, b *Bench) error {
	type variant struct {
		callers   int
		measure   string
		operation func(int) load.Operation
	}
	var variants []variant
	callers := []int{1, b.Connections}
	if b.Connections == 1 {
		callers = callers[:1]
	}
	for _, n := range callers {
		variants = append(variants, variant{n, cycleOf3, b.cycling}, variant{n, cycleOf2, b.cyclingNext})
	}
	for round := range b.Repeat {
		for _, i := range turns(len(variants), round) {
			v := variants[i]
			r, err := b.cycleOnce(ctx, v.callers, v.operation)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", connections(v.callers), v.measure, err)
			}
			b.Say("cycle %d/%d, %s: %s %s/s", round+1, b.Repeat, connections(v.callers), report.Number(r.Rate()), v.measure)
			b.add(cycleName(v.measure), b.name()+", "+connections(v.callers), v.measure, r)
		}
	}
	for _, n := range callers {
		system := b.name() + ", " + connections(n)
		name := report.Name{Workload: cycleName(cycleOf2), System: system, Measure: "by " + cycleOf3}
		b.Figures.Ratio(name, rateOf(cycleName(cycleOf2), system, cycleOf2), rateOf(cycleName(cycleOf3), system, cycleOf3))
		b.aim(name, report.Goal{Limit: nextGoal})
	}
	return nil
}

// cycleName is the workload of a way: the figures of both have the same names otherwise.
func cycleName(measure string) string {
	if measure == cycleOf3 {
		return "cycle"
	}
	return "cycle, reported with the next dequeue"
}

func (b *Bench) cycleOnce(ctx context.Context, callers int, operation func(int) load.Operation) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("cycle-%d", callers))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	return load.Run(ctx, b.timed(s, callers, operation))
}
