package workload

import (
	"context"
	"fmt"
	"slices"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// inMemory is the server with a store that it keeps in memory: what is left between it and the
// server with a store on disk is the disk.
const inMemory = longshore + " in memory"

// memoryStore is how the server calls it.
const memoryStore = "memory"

// enqueueGoal is which part of the ceiling's rate is to be reached.
const enqueueGoal = 0.80

// loggedLevel is the level at which there is a line for each request.
const loggedLevel = "info"

// enqueue measures POST /v1/jobs against the ceilings.
func enqueue(ctx context.Context, b *Bench) error {
	levels := []string{b.LogLevel}
	if b.LogLevel != loggedLevel {
		levels = append(levels, loggedLevel)
	}
	systems := append([]string{b.name(), inMemory}, ceiling.Kinds()...)
	for round := range b.Repeat {
		for _, level := range levels {
			for _, i := range turns(len(systems), round) {
				r, err := b.enqueueOnce(ctx, systems[i], level)
				if err != nil {
					return fmt.Errorf("%s: %w", systems[i], err)
				}
				b.Say("enqueue %d/%d, log level %s, %s: %s/s", round+1, b.Repeat, level, systems[i], report.Number(r.Rate()))
				b.add(enqueueAt(level), systemName(systems[i]), "POST /v1/jobs", r)
			}
		}
	}
	for _, level := range levels {
		workload := enqueueAt(level)
		// What it costs to have a job on disk at all: how much of the goal is in reach.
		for _, kind := range []string{ceiling.Log, ceiling.Pebble} {
			name := report.Name{Workload: workload, System: systemName(kind), Measure: "part of " + systemName(ceiling.Edge)}
			b.Figures.Ratio(name, rateOf(workload, systemName(kind), "POST /v1/jobs"), rateOf(workload, systemName(ceiling.Edge), "POST /v1/jobs"))
		}
		for _, kind := range ceiling.Kinds() {
			name := report.Name{Workload: workload, System: b.name(), Measure: "part of " + systemName(kind)}
			b.Figures.Ratio(name, rateOf(workload, b.name(), "POST /v1/jobs"), rateOf(workload, systemName(kind), "POST /v1/jobs"))
			if kind == ceiling.Edge {
				b.aim(name, report.Goal{Limit: enqueueGoal})
			}
		}
	}
	return nil
}

func enqueueAt(level string) string { return "enqueue, log level " + level }

func systemName(system string) string {
	if system == ceiling.Unread || slices.Contains(ceiling.Kinds(), system) {
		return "ceiling " + system
	}
	return system
}

// enqueueOnce measures one system from a start of its own.
func (b *Bench) enqueueOnce(ctx context.Context, system, level string) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	var s *process.Server
	switch system {
	case b.name():
		s, err = b.start(ctx, store, level, "enqueue-"+level)
	case inMemory:
		s, err = b.start(ctx, memoryStore, level, "enqueue-in-memory-"+level)
	default:
		s, err = b.startCeiling(ctx, system, level)
	}
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	return load.Run(ctx, b.timed(s, b.Connections, adding))
}
