package workload

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// drainGoal is which part of the rate of independent jobs a graph is to be drained at.
const drainGoal = 0.5

const drained = "jobs drained"

// graph measures jobs that depend on each other: how fast workers get them done, and what
// happens when the first one fails.
func graph(ctx context.Context, b *Bench) error {
	if err := b.drains(ctx); err != nil {
		return err
	}
	return b.failures(ctx)
}

func (b *Bench) graphName() string { return "graphs of " + report.Number(float64(b.Graph)) + " jobs" }

// drain is jobs that are there, and workers that get them done.
type drain struct {
	shape
	workers int
}

func (d drain) system() string { return d.name + ", " + connections(d.workers) }

// drains measures how fast graphs are drained. Of a chain one job is ready at a time, however
// many workers wait for it, so it is compared with independent jobs that one worker drains.
func (b *Bench) drains(ctx context.Context) error {
	one, all := drain{independent(), 1}, drain{independent(), b.Connections}
	chain, diamond := drain{chained(), b.Connections}, drain{diamondly(), b.Connections}
	systems := []drain{chain, one, diamond, all}
	if b.Connections == 1 {
		systems = systems[:3] // one is all
	}
	for round := range b.Drains {
		for _, i := range turns(len(systems), round) {
			d := systems[i]
			r, err := b.drainOnce(ctx, d)
			if err != nil {
				return fmt.Errorf("drain %s: %w", d.system(), err)
			}
			b.Say("graph, drain %d/%d, %s: %s/s", round+1, b.Drains, d.system(), report.Number(r.Rate()))
			b.add(b.graphName(), d.system(), drained, r)
		}
	}
	b.compareDrains(chain, one, true)
	b.compareDrains(diamond, all, true)
	if b.Connections > 1 {
		b.compareDrains(chain, all, false)
	}
	return nil
}

func (b *Bench) compareDrains(of, with drain, aim bool) {
	name := report.Name{Workload: b.graphName(), System: of.system(), Measure: "part of " + with.system()}
	b.Figures.Ratio(name, rateOf(b.graphName(), of.system(), drained), rateOf(b.graphName(), with.system(), drained))
	if aim {
		b.aim(name, report.Goal{Limit: drainGoal})
	}
}

// drainOnce measures how fast workers drain what was added before.
func (b *Bench) drainOnce(ctx context.Context, d drain) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("graph-drain-%s-%d", d.name, d.workers))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	if _, err := b.addGraph(ctx, s, d.shape); err != nil {
		return load.Result{}, err
	}
	l := b.draining(s)
	l.Connections = d.workers
	return load.Run(ctx, l)
}

// draining is a load that drains a graph.
func (b *Bench) draining(s *process.Server) load.Load {
	l := b.counted(s, int64(b.Graph), working)
	l.Processor, l.Database = processorOf(s), b.database()
	return l
}

// addGraph adds as many jobs as a graph has.
func (b *Bench) addGraph(ctx context.Context, s *process.Server, of shape) (ends, error) {
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return ends{}, err
	}
	defer conn.Close()
	return of.add(&adder{conn: conn, source: jobs.New(of.name)}, b.Graph)
}
