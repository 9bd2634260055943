package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

const serversName = "servers on one database"

// The numbers of servers that are compared.
const (
	oneServer  = "one server"
	twoServers = "two servers"
)

// servers measures two servers on one database against one: full cycles, and how soon a worker that
// waits at the one has a job that was added at the other.
func servers(ctx context.Context, b *Bench) error {
	systems := []string{oneServer, twoServers}
	b.Figures.Compare(serversName)
	for round := range b.Repeat {
		for _, e := range b.efforts() {
			for _, i := range turns(len(systems), round) {
				err := b.withServers(ctx, i+1, func(started []*process.Server) error {
					r, err := b.cyclesAt(ctx, e, started...)
					if err != nil {
						return err
					}
					b.Say("servers %d/%d, %s: %s, %s/s", round+1, b.Repeat, systems[i], e.measure(), report.Number(r.Rate()))
					b.addCompared(serversName, systems[i], e, r)
					return nil
				})
				if err != nil {
					return fmt.Errorf("%s: %s: %w", systems[i], e.measure(), err)
				}
			}
		}
		for _, i := range turns(len(systems), round) {
			err := b.withServers(ctx, i+1, func(started []*process.Server) error {
				wakes, _, err := b.wakes(ctx, started[0], started[len(started)-1])
				if err != nil {
					return err
				}
				b.Say("servers %d/%d, %s: wake %s us", round+1, b.Repeat, systems[i], report.Number(microseconds(wakes, 50)))
				for _, p := range told(len(wakes)) {
					b.Figures.Add(serversWake(systems[i], p.name), microseconds(wakes, p.p)/1000)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: wakes: %w", systems[i], err)
			}
		}
	}
	b.compareServers()
	return nil
}

func serversWake(system, percentile string) report.Name {
	return report.Name{Workload: serversName, System: system, Measure: "added at the first to leased at the last, " + percentile, Unit: "ms"}
}

func (b *Bench) compareServers() {
	ratio := func(a, of report.Name) {
		b.Figures.Ratio(report.Name{Workload: serversName, System: "two by one", Measure: a.Measure}, a, of)
	}
	for _, e := range b.efforts() {
		ratio(rateOf(serversName, twoServers, e.measure()), rateOf(serversName, oneServer, e.measure()))
	}
	for _, p := range percentiles() {
		ratio(serversWake(twoServers, p.name), serversWake(oneServer, p.name))
	}
}

// withServers starts so many servers on an empty store for as long as do takes.
func (b *Bench) withServers(ctx context.Context, n int, do func([]*process.Server) error) (err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	var started []*process.Server
	defer func() {
		for _, s := range started {
			err = closing(err, s.Stop)
		}
	}()
	for i := range n {
		s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("server-%d-of-%d", i+1, n))
		if err != nil {
			return err
		}
		started = append(started, s)
	}
	return do(started)
}

// sum adds what two of them tell; it is nil if one of them is.
func sum(a, b func() (time.Duration, error)) func() (time.Duration, error) {
	if a == nil || b == nil {
		return nil
	}
	return func() (time.Duration, error) {
		first, err := a()
		if err != nil {
			return 0, err
		}
		second, err := b()
		return first + second, err
	}
}
