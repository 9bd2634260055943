package workload

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// Goals with the backlog.
const (
	openGoal   = 1.0   // seconds
	memoryGoal = 300.0 // MB
	rateGoal   = 0.85  // of the rate on an empty queue
)

// The two queues that are compared.
const (
	emptyQueue = "empty queue"
	fullQueue  = "backlog"
)

// What is measured of each.
const (
	cycles      = "full cycles"
	enqueues    = "enqueues"
	dequeues    = "dequeues"
	afterOpen   = "resident memory after opening"
	afterCycles = "resident memory after cycles"
)

// backlog measures a queue with many pending jobs against an empty one. Both go through the
// same steps in each round: open, full cycles, enqueues, and as many dequeues as there were
// enqueues. So the empty queue is empty when it opens and in its cycles; its dequeues drain
// what its enqueues have left, while those of the backlog take from its front.
func backlog(ctx context.Context, b *Bench) (err error) {
	filled, _, err := b.fill(ctx, part{kindPending, b.Backlog})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, filled)) }()
	queues := []string{emptyQueue, fullQueue}
	for round := range b.Repeat {
		for _, i := range turns(len(queues), round) {
			if err := b.backlogOnce(ctx, queues[i], filled); err != nil {
				return fmt.Errorf("%s: %w", queues[i], err)
			}
			b.Say("backlog %d/%d, %s", round+1, b.Repeat, queues[i])
		}
	}
	b.aim(b.opening(fullQueue), report.Goal{Limit: openGoal, AtMost: true})
	for _, measure := range []string{afterOpen, afterCycles} {
		b.aim(b.memory(fullQueue, measure), report.Goal{Limit: memoryGoal, AtMost: true})
	}
	for _, operation := range []string{enqueues, dequeues, cycles} {
		name := report.Name{Workload: b.backlogName(), System: fullQueue, Measure: operation + ", part of the empty queue's"}
		b.Figures.Ratio(name, rateOf(b.backlogName(), fullQueue, operation), rateOf(b.backlogName(), emptyQueue, operation))
		b.aim(name, report.Goal{Limit: rateGoal})
	}
	return nil
}

func (b *Bench) backlogName() string {
	return "backlog of " + report.Number(float64(b.Backlog)) + " pending jobs"
}

func (b *Bench) opening(queue string) report.Name {
	return report.Name{Workload: b.backlogName(), System: queue, Measure: "process start to /readyz", Unit: "s"}
}

func (b *Bench) memory(queue, measure string) report.Name {
	return report.Name{Workload: b.backlogName(), System: queue, Measure: measure, Unit: "MB"}
}

// backlogOnce takes one queue through all steps.
func (b *Bench) backlogOnce(ctx context.Context, queue, filled string) (err error) {
	store, err := b.emptyOr(ctx, filled, queue == fullQueue)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "backlog")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	b.Figures.Add(b.opening(queue), s.Opened.Seconds())
	if err := b.addResident(b.memory(queue, afterOpen), s); err != nil {
		return err
	}
	if err := b.backlogRate(ctx, queue, cycles, b.counted(s, b.Cycles, b.cycling)); err != nil {
		return err
	}
	if err := b.addResident(b.memory(queue, afterCycles), s); err != nil {
		return err
	}
	if err := b.backlogRate(ctx, queue, enqueues, b.counted(s, b.Cycles/2, adding)); err != nil {
		return err
	}
	return b.backlogRate(ctx, queue, dequeues, b.counted(s, b.Cycles/2, b.dequeueing))
}

func (b *Bench) backlogRate(ctx context.Context, queue, operation string, l load.Load) error {
	r, err := load.Run(ctx, l)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	b.Figures.Add(rateOf(b.backlogName(), queue, operation), r.Rate())
	return nil
}

// counted is a load of so many operations.
func (b *Bench) counted(s *process.Server, count int64, operation func(int) load.Operation) load.Load {
	return load.Load{Addresses: []string{s.Address}, Connections: b.Connections, New: operation, Count: count}
}
