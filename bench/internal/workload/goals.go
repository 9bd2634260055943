package workload

import "github.com/longshore-queue/longshore/bench/internal/report"

// rival is a figure of the product that is compared with a peer's.
type rival struct {
	name report.Name // of the product's figure
	peer string
	goal report.Goal
}

// rivals lists what the product is to reach beside others.
func (b *Bench) rivals() []rival {
	singly := func(system string) report.Name { return effort{b.Connections, 1}.name(system) }
	batches := func(system string) report.Name { return rateOf(peersBatches, system, peersBest) }
	wake := func(system, percentile string) report.Name { return peerWake(system, percentile, 0) }
	least := func(limit float64) report.Goal { return report.Goal{Limit: limit} }
	ahead := report.Goal{Limit: 1, AtMost: true}
	return []rival{
		{singly(longshore), peerCeiling, least(0.85)},
		{singly(longshoreNext), peerMemory, least(1)},
		{singly(longshoreNext), peerSynced, least(5)},
		{singly(longshoreNext), peerAsynq, least(1)},
		{singly(longshoreNext), peerFaktory, least(1)},
		{batches(longshore), peerNATS, least(1)},
		{batches(longshore), peerNATSAlways, least(20)},
		{batches(longshore), peerFaktory, least(5)},
		{wake(longshore, "p50"), peerSynced, ahead},
		{wake(longshore, "p50"), peerNATS, ahead},
		{singly(longshoreOn), peerRiver, least(3)},
		{singly(longshoreOnNext), peerRiver, least(3)},
		{batches(longshoreOn), peerRiver, least(2.5)},
		{wake(longshoreOn, "p50"), peerRiver, ahead},
		{wake(longshoreOn, "p99"), peerRiver, ahead},
	}
}

// The goals that are no comparison.
const (
	peersBatchesGoal = 60_000 // cycles a second
	peersWakeGoal    = 1      // ms, of 99 of 100 wakes
)

// comparePeers sets the goals, and adds the ratios that some of them are about.
func (b *Bench) comparePeers() {
	for _, r := range b.rivals() {
		with := r.name
		with.System = r.peer
		of := report.Name{Workload: peersRatios, System: r.name.System + " by " + r.peer, Measure: r.name.Workload + ", " + r.name.Measure}
		b.Figures.Ratio(of, r.name, with)
		b.Figures.Aim(of, r.goal)
	}
	b.Figures.Aim(rateOf(peersBatches, longshore, peersBest), report.Goal{Limit: peersBatchesGoal})
	b.Figures.Aim(peerWake(longshore, "p99", 0), report.Goal{Limit: peersWakeGoal, AtMost: true})
}

// plotPeers says which pictures are drawn.
func (b *Bench) plotPeers(systems []entrant) {
	bars := func(file, title, unit string, of func(system string) report.Name) {
		p := report.Plot{File: file, Title: title, Y: unit}
		for _, s := range systems {
			p.Series = append(p.Series, report.Series{Label: s.name, Note: s.means, Points: []report.Point{{Of: of(s.name)}}})
		}
		b.Figures.Plot(p)
	}
	bars("cycles", "Full cycles of single jobs, "+callersOf(b.Connections), "cycles a second",
		func(system string) report.Name { return effort{b.Connections, 1}.name(system) })
	bars("batches", "Full cycles in batches of 100, best number of callers", "cycles a second",
		func(system string) report.Name { return rateOf(peersBatches, system, peersBest) })
	bars("wake", "From before a job is added until a worker that waits has it, median", "ms",
		func(system string) report.Name { return peerWake(system, "p50", 0) })
	bars("wake-p99", "The same, the slowest of a hundred", "ms",
		func(system string) report.Name { return peerWake(system, "p99", 0) })
	bars("wake-busy", "The same beside 16 callers of full cycles, median", "ms",
		func(system string) report.Name { return peerWake(system, "p50", peersBusy) })
	lines := report.Plot{File: "callers", Title: "Full cycles of single jobs by callers", X: "callers", Y: "cycles a second", LogX: true}
	for _, s := range systems {
		if s.name == peerDisk {
			continue // it is so far above that nothing else could be told apart
		}
		line := report.Series{Label: s.name}
		for _, callers := range b.singly() {
			line.Points = append(line.Points, report.Point{At: float64(callers), Of: effort{callers, 1}.name(s.name)})
		}
		lines.Series = append(lines.Series, line)
	}
	b.Figures.Plot(lines)
}
