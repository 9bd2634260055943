package workload

import (
	"context"
	"fmt"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

// peersGoal is how many times as fast as its peers the server is to be on PostgreSQL.
const peersGoal = 2.0

const (
	peersName = "peers"
	// peersBest is the best that a system makes of its batches.
	peersBest = "cycles in batches, best of these"
)

// effort is how jobs are put through their cycles.
type effort struct{ callers, batch int }

func (e effort) measure() string {
	if e.batch == 1 {
		return fmt.Sprintf("cycles singly, %d callers", e.callers)
	}
	return fmt.Sprintf("cycles in batches of %d, %d callers", e.batch, e.callers)
}

func (e effort) cost() string {
	return "CPU of all for each, " + strings.TrimPrefix(e.measure(), "cycles ")
}

// peers compares the server with systems that do the same: full cycles singly and in batches, and
// how soon a worker that waits has a job.
func peers(ctx context.Context, b *Bench) error {
	systems := b.contenders()
	efforts := []effort{{b.Connections, 1}}
	for _, callers := range b.batchesBy() {
		efforts = append(efforts, effort{callers, batchesOf})
	}
	b.Figures.Compare(peersName)
	for round := range b.Repeat {
		best := make([]float64, len(systems))
		for _, e := range efforts {
			for _, i := range turns(len(systems), round) {
				r, err := b.contender(systems[i]).cycles(ctx, e.callers, e.batch)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", systems[i], e.measure(), err)
				}
				b.Say("peers %d/%d, %s: %s, %s/s", round+1, b.Repeat, systems[i], e.measure(), report.Number(r.Rate()))
				b.addCompared(peersName, systems[i], e, r)
				if e.batch > 1 {
					best[i] = max(best[i], r.Rate())
				}
			}
		}
		for i, system := range systems {
			b.Figures.Add(rateOf(peersName, system, peersBest), best[i])
		}
		if err := b.peerWakes(ctx, systems, round); err != nil {
			return err
		}
	}
	for _, system := range systems {
		b.comparePeers(system, efforts)
	}
	return nil
}

func (b *Bench) peerWakes(ctx context.Context, systems []string, round int) error {
	for _, i := range turns(len(systems), round) {
		wakes, err := b.contender(systems[i]).wakes(ctx)
		if err != nil {
			return fmt.Errorf("%s: wakes: %w", systems[i], err)
		}
		b.Say("peers %d/%d, %s: wake %s us", round+1, b.Repeat, systems[i], report.Number(microseconds(wakes, 50)))
		for _, p := range percentiles() {
			b.Figures.Add(peerWake(systems[i], p.name), microseconds(wakes, p.p)/1000)
		}
	}
	return nil
}

func peerWake(system, percentile string) report.Name {
	return report.Name{Workload: peersName, System: system, Measure: "added to at work, " + percentile, Unit: "ms"}
}

// comparePeers adds the ratios of a system and River, if it is another one and River is there.
func (b *Bench) comparePeers(system string, efforts []effort) {
	if system == peerRiver {
		return
	}
	ratio := func(name report.Name) report.Name {
		of := report.Name{Workload: peersName, System: system + " by " + peerRiver, Measure: name.Measure}
		with := name
		with.System = peerRiver
		b.Figures.Ratio(of, name, with)
		return of
	}
	goal := report.Goal{Limit: peersGoal}
	for _, e := range efforts {
		of := ratio(rateOf(peersName, system, e.measure()))
		if e.batch == 1 {
			b.Figures.Aim(of, goal)
		}
		ratio(report.Name{Workload: peersName, System: system, Measure: e.cost(), Unit: "us"})
	}
	b.Figures.Aim(ratio(rateOf(peersName, system, peersBest)), goal)
	for _, p := range percentiles() {
		ratio(peerWake(system, p.name))
	}
}
