package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// peersName is the workload; the others are the tables that come of it.
const (
	peersName     = "peers"
	peersSingly   = "full cycles of single jobs"
	peersBatches  = "full cycles in batches"
	peersRatios   = "beside each other"
	peersCost     = "processors of all for a full cycle"
	peersWake     = "added to at work, where nothing else goes on"
	peersWakeBusy = "added to at work, beside others' cycles"
	// peersBest is the best that a system makes of its batches of 100.
	peersBest = "of 100, best"
	// peersBusy is how many others cycle beside a wake.
	peersBusy = 16
)

// effort is how jobs are put through their cycles.
type effort struct{ callers, batch int }

func (e effort) measure() string {
	if e.batch == 1 {
		return fmt.Sprintf("cycles singly, %s", callersOf(e.callers))
	}
	return fmt.Sprintf("cycles in batches of %d, %s", e.batch, callersOf(e.callers))
}

func (e effort) cost() string { return "CPU of all for each, " + e.measure()[len("cycles "):] }

func callersOf(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return strconv.Itoa(n) + " callers"
}

// name names the rate of a system.
func (e effort) name(system string) report.Name {
	if e.batch == 1 {
		return rateOf(peersSingly, system, callersOf(e.callers))
	}
	return rateOf(peersBatches, system, fmt.Sprintf("of %d, %s", e.batch, callersOf(e.callers)))
}

func (e effort) costName(system string) report.Name {
	measure := "singly, " + callersOf(e.callers)
	if e.batch > 1 {
		measure = fmt.Sprintf("in batches of %d, %s", e.batch, callersOf(e.callers))
	}
	return report.Name{Workload: peersCost, System: system, Measure: measure, Unit: "us"}
}

// singly are the numbers of callers that add single jobs.
func (b *Bench) singly() []int {
	list := slices.DeleteFunc([]int{1, 16, 64, 256}, func(n int) bool { return n > 4*b.Connections })
	if !slices.Contains(list, b.Connections) {
		list = append(list, b.Connections)
	}
	slices.Sort(list)
	return list
}

// peerEfforts are all that the contenders are put through.
func (b *Bench) peerEfforts() (efforts []effort) {
	for _, callers := range b.singly() {
		efforts = append(efforts, effort{callers, 1})
	}
	by := b.batchesBy()
	efforts = append(efforts, effort{by[len(by)-1], 10})
	for _, callers := range by {
		efforts = append(efforts, effort{callers, batchesOf})
	}
	return append(efforts, effort{by[0], 1000})
}

// peers compares the server with the limits of this machine and with systems that do the same: full
// cycles singly and in batches, and how soon a worker that waits has a job.
func peers(ctx context.Context, b *Bench) error {
	var systems []entrant
	for _, e := range b.contenders() {
		if e.missing != nil {
			if why := e.missing(b); why != "" {
				b.Say("peers: %s is LEFT OUT: %s", e.name, why)
				b.Figures.LeaveOut(e.name, why)
				continue
			}
		}
		b.Figures.Describe(e.name, e.means)
		systems = append(systems, e)
	}
	for _, name := range []string{peersSingly, peersBatches, peersCost, peersWake, peersWakeBusy, b.keptName()} {
		b.Figures.Compare(name)
	}
	for round := range b.Repeat {
		if err := b.peerCycles(ctx, systems, round); err != nil {
			return err
		}
		for _, busy := range []int{0, peersBusy} {
			if err := b.peerWakes(ctx, systems, round, busy); err != nil {
				return err
			}
		}
	}
	if err := b.peerKept(ctx, systems); err != nil {
		return err
	}
	b.comparePeers()
	b.plotPeers(systems)
	return nil
}

func (b *Bench) peerCycles(ctx context.Context, systems []entrant, round int) error {
	best := make([]float64, len(systems))
	for _, e := range b.peerEfforts() {
		for _, i := range turns(len(systems), round) {
			system := systems[i].name
			r, err := systems[i].of(b).cycles(ctx, e.callers, e.batch)
			if errors.Is(err, peer.ErrUnsupported) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", system, e.measure(), err)
			}
			b.Say("peers %d/%d, %s: %s, %s/s", round+1, b.Repeat, system, e.measure(), report.Number(r.Rate()))
			b.Figures.Add(e.name(system), r.Rate())
			b.addCost(systems[i], e, r)
			if e.batch == batchesOf {
				best[i] = max(best[i], r.Rate())
			}
		}
	}
	for i, system := range systems {
		if best[i] > 0 {
			b.Figures.Add(rateOf(peersBatches, system.name, peersBest), best[i])
		}
	}
	return nil
}

// addCost adds what server, database and this program have spent together. Where this machine does
// not tell what servers spend, it would be that of this program only.
func (b *Bench) addCost(system entrant, e effort, r load.Result) {
	if r.Processor+r.Database > 0 || system.name == peerDisk {
		b.Figures.Add(e.costName(system.name), r.Each(r.Processor+r.Database+r.Own))
	}
}

func (b *Bench) peerWakes(ctx context.Context, systems []entrant, round, busy int) error {
	for _, i := range turns(len(systems), round) {
		system := systems[i].name
		wakes, err := systems[i].of(b).wakes(ctx, busy)
		if errors.Is(err, peer.ErrUnsupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: wakes beside %d: %w", system, busy, err)
		}
		b.Say("peers %d/%d, %s: wake beside %d, %s us", round+1, b.Repeat, system, busy, report.Number(microseconds(wakes, 50)))
		for _, p := range told(len(wakes)) {
			b.Figures.Add(peerWake(system, p.name, busy), microseconds(wakes, p.p)/1000)
		}
	}
	return nil
}

func peerWake(system, percentile string, busy int) report.Name {
	name := report.Name{Workload: peersWake, System: system, Measure: percentile, Unit: "ms"}
	if busy > 0 {
		name.Workload = peersWakeBusy
	}
	return name
}

// threeTimes does an operation as often as a cycle has requests.
func threeTimes(once load.Operation) load.Operation {
	return func(c *wire.Conn) error {
		for range cycleRequests {
			if err := once(c); err != nil {
				return err
			}
		}
		return nil
	}
}
