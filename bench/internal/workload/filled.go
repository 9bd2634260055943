package workload

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// filledGoal is which part of the rate of an empty store is to be left.
const filledGoal = 0.85

// The stores that are compared.
const (
	emptyStore  = "empty store"
	filledStore = "filled store"
)

// efforts are how the server's cycles are measured where they are compared with its own.
func (b *Bench) efforts() []effort {
	by := b.batchesBy()
	return []effort{{b.Connections, 1}, {by[len(by)/2], batchesOf}}
}

// filled measures full cycles on a store that has many finished and many pending jobs, against
// those on an empty one.
func filled(ctx context.Context, b *Bench) (err error) {
	full, _, err := b.fill(ctx, part{kindFinished, b.Finished}, part{kindPending, b.Backlog})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, full)) }()
	systems := []string{emptyStore, filledStore}
	for round := range b.Repeat {
		for _, e := range b.efforts() {
			for _, i := range turns(len(systems), round) {
				r, err := b.filledOnce(ctx, full, systems[i], e)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", systems[i], e.measure(), err)
				}
				b.Say("filled %d/%d, %s: %s, %s/s", round+1, b.Repeat, systems[i], e.measure(), report.Number(r.Rate()))
				b.addCompared(b.filledName(), systems[i], e, r)
			}
		}
	}
	b.Figures.Compare(b.filledName())
	for _, e := range b.efforts() {
		of := report.Name{Workload: b.filledName(), System: "part that is left", Measure: e.measure()}
		b.Figures.Ratio(of, rateOf(b.filledName(), filledStore, e.measure()), rateOf(b.filledName(), emptyStore, e.measure()))
		b.Figures.Aim(of, report.Goal{Limit: filledGoal})
	}
	return nil
}

func (b *Bench) filledName() string {
	return fmt.Sprintf("%s, %s finished and %s pending jobs", b.name(), report.Number(float64(b.Finished)), report.Number(float64(b.Backlog)))
}

func (b *Bench) filledOnce(ctx context.Context, full, system string, e effort) (r load.Result, err error) {
	store, err := b.emptyOr(ctx, full, system == filledStore)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "filled")
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	return b.cyclesAt(ctx, e, s)
}

// cyclesAt measures full cycles at servers that share a store, to which callers are spread in turn.
// The result counts jobs.
func (b *Bench) cyclesAt(ctx context.Context, e effort, servers ...*process.Server) (load.Result, error) {
	operation := b.cycling
	if e.batch > 1 {
		operation = b.cyclingBatches(e.batch)
	}
	l := b.timed(servers[0], e.callers, operation)
	for _, s := range servers[1:] {
		l.Addresses = append(l.Addresses, s.Address)
		l.Processor = sum(l.Processor, processorOf(s))
	}
	r, err := load.Run(ctx, l)
	r.Operations *= int64(e.batch)
	return r, err
}

// addCompared adds the figures of a system that is compared with others by efforts.
func (b *Bench) addCompared(workload, system string, e effort, r load.Result) {
	b.Figures.Add(rateOf(workload, system, e.measure()), r.Rate())
	// Where there is a server, or a database, and this machine does not tell what they take, the sum
	// would be that of this program only.
	if r.Processor+r.Database > 0 {
		b.Figures.Add(report.Name{Workload: workload, System: system, Measure: e.cost(), Unit: "us"}, r.Each(r.Processor+r.Database+r.Own))
	}
}
