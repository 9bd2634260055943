package workload

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// growthName is the workload; its tables have names of their own.
const growthName = "growth"

// What is measured of each size.
const (
	growthCost   = "server's processors for each"
	growthOpen   = "process start to /readyz"
	growthMemory = "resident memory"
	growthStore  = "store for each job"
	waiterMemory = "resident memory for each"
)

// waiterGoal is how many times the memory of an idle worker at the ceiling one may take.
const waiterGoal = 1.5

// dimension is something that grows.
type dimension struct {
	name string // as a title
	of   string // what there is so much of
	job  string // what a cost is for
	// kind is of the jobs that a store is filled with; "" if it stays empty.
	kind  string
	sizes []int
	// measure measures one size on a store, and adds the figures.
	measure func(ctx context.Context, b *Bench, d dimension, size int, store string) error
}

// tenfold are sizes from least to most, each ten times the one before, but for the last one.
func tenfold(least, most int) (sizes []int) {
	for size := least; size < most; size *= 10 {
		sizes = append(sizes, size)
	}
	return append(sizes, most)
}

// dimensions are those that are grown.
func (b *Bench) dimensions() []dimension {
	const cycle = "a full cycle"
	return []dimension{
		{"backlog", "pending jobs", cycle, kindPending, tenfold(1_000, b.Many), cyclesBeside},
		{"history", "finished jobs", cycle, kindFinished, tenfold(1_000, b.Finished), cyclesBeside},
		{"types", "pending jobs, each of a type of its own", cycle, kindTypes, tenfold(10, b.Lanes), cyclesBeside},
		{"channels", "pending jobs, each in a channel of its own", cycle, kindChannels, tenfold(10, b.Lanes), cyclesBeside},
		{"waiters", "workers that wait", cycle, "", tenfold(100, b.Waiters), cyclesBesideWaiters},
		{"graph", "jobs in a diamond", "a job of it that is drained", "", tenfold(1_000, b.Graph), drainOfSize},
	}
}

// growth measures what it costs that there is much of something.
func growth(ctx context.Context, b *Bench) error {
	for _, d := range b.dimensions() {
		if err := b.grow(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		b.aimWaiters(d)
		b.plotGrowth(d)
	}
	return nil
}

// grow measures all sizes of one dimension. Stores are filled once, and keep what cycles leave in
// them, which is little beside what they are filled with.
func (b *Bench) grow(ctx context.Context, d dimension) (err error) {
	stores := make([]string, len(d.sizes))
	defer func() {
		for _, store := range stores {
			if store != "" {
				err = closing(err, b.remover(ctx, store))
			}
		}
	}()
	for i, size := range d.sizes {
		if d.kind == "" {
			continue
		}
		if stores[i], _, err = b.fill(ctx, part{d.kind, size}); err != nil {
			return err
		}
	}
	b.Figures.Compare(b.growthTable(d))
	for round := range b.Repeat {
		for _, i := range turns(len(d.sizes), round) {
			if err := b.growTo(ctx, d, d.sizes[i], stores[i]); err != nil {
				return fmt.Errorf("%s %s: %w", report.Size(float64(d.sizes[i])), d.of, err)
			}
			cost, _ := b.Figures.Median(b.growthName(d, d.sizes[i], growthCost, "us"))
			b.Say("growth %d/%d, %s of %s: %s us", round+1, b.Repeat, d.name, report.Size(float64(d.sizes[i])), report.Number(cost))
		}
	}
	return nil
}

func (b *Bench) growTo(ctx context.Context, d dimension, size int, store string) (err error) {
	if d.kind == "" {
		if store, err = b.fresh(ctx); err != nil {
			return err
		}
		defer func() { err = closing(err, b.remover(ctx, store)) }()
	}
	return d.measure(ctx, b, d, size, store)
}

func (b *Bench) growthTable(d dimension) string { return d.name + ", " + b.name() }

func (b *Bench) growthName(d dimension, size int, measure, unit string) report.Name {
	return report.Name{Workload: b.growthTable(d), System: report.Size(float64(size)) + " " + d.of, Measure: measure, Unit: unit}
}

// addGrowth adds the figures of a load beside a size.
func (b *Bench) addGrowth(d dimension, size int, r load.Result) {
	b.Figures.Add(b.growthName(d, size, "rate", "/s"), r.Rate())
	if spent := r.Processor + r.Database; spent > 0 {
		b.Figures.Add(b.growthName(d, size, growthCost, "us"), r.Each(spent))
	}
}

// cyclesBeside measures full cycles on a store that was filled.
func cyclesBeside(ctx context.Context, b *Bench, d dimension, size int, store string) (err error) {
	bytes, err := b.stores().size(ctx, store)
	if err != nil {
		return err
	}
	s, err := b.start(ctx, store, b.LogLevel, "growth-"+d.name)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	b.Figures.Add(b.growthName(d, size, growthOpen, "ms"), float64(s.Opened.Milliseconds()))
	r, err := load.Run(ctx, b.timed(s, b.Connections, b.cycling))
	if err != nil {
		return err
	}
	b.addGrowth(d, size, r)
	if err := b.addResident(b.growthName(d, size, growthMemory, "MB"), s); err != nil {
		return err
	}
	// A store has a size even when there is next to nothing in it.
	if d.kind == kindPending || d.kind == kindFinished {
		b.Figures.Add(b.growthName(d, size, growthStore, "B"), bytes*1e6/float64(size))
	}
	return nil
}

// cyclesBesideWaiters measures full cycles while workers wait for jobs of another type, and what each
// of them takes of the server's memory, and of the ceiling's.
func cyclesBesideWaiters(ctx context.Context, b *Bench, d dimension, size int, store string) error {
	if err := b.cyclesBesideLine(ctx, d, size, store); err != nil {
		return err
	}
	return b.waitAtCeiling(ctx, d, size)
}

func (b *Bench) cyclesBesideLine(ctx context.Context, d dimension, size int, store string) (err error) {
	s, err := b.start(ctx, store, b.LogLevel, "growth-"+d.name)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	waiting, err := b.lineUp(ctx, s, b.growthName(d, size, waiterMemory, "KiB"), size)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, waiting.stop) }()
	r, err := load.Run(ctx, b.timed(s, b.Connections, b.cycling))
	if err != nil {
		return err
	}
	b.addGrowth(d, size, r)
	return nil
}

// lineUp lets workers wait, and adds how much more memory is resident for each of them.
func (b *Bench) lineUp(ctx context.Context, s *process.Server, name report.Name, n int) (*line, error) {
	before, beforeErr := s.Resident()
	waiting, err := startLine(ctx, s, n)
	if err != nil {
		return nil, err
	}
	time.Sleep(standing)
	if after, err := s.Resident(); err == nil && beforeErr == nil {
		b.Figures.Add(name, float64(after-before)/1024/float64(n))
	}
	return waiting, nil
}

// waitAtCeiling measures what a worker takes that waits at the ceiling, and compares.
func (b *Bench) waitAtCeiling(ctx context.Context, d dimension, size int) (err error) {
	s, err := b.startCeiling(ctx, ceiling.Edge, b.LogLevel)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	waiting, err := b.lineUp(ctx, s, b.growthName(d, size, waiterMemory+" at the ceiling", "KiB"), size)
	if err != nil {
		return err
	}
	return waiting.stop()
}

// drainOfSize measures how fast a graph is drained.
func drainOfSize(ctx context.Context, b *Bench, d dimension, size int, store string) (err error) {
	sized := *b
	sized.Graph = size
	s, err := b.start(ctx, store, b.LogLevel, "growth-"+d.name)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	if _, err := sized.addGraph(ctx, s, diamondly()); err != nil {
		return err
	}
	r, err := load.Run(ctx, sized.draining(s))
	if err != nil {
		return err
	}
	b.addGrowth(d, size, r)
	return nil
}

// aimWaiters sets the goal of the memory of a worker that waits.
func (b *Bench) aimWaiters(d dimension) {
	for _, size := range d.sizes {
		by := b.growthName(d, size, waiterMemory+", by the ceiling's", "")
		b.Figures.Ratio(by, b.growthName(d, size, waiterMemory, "KiB"), b.growthName(d, size, waiterMemory+" at the ceiling", "KiB"))
		if size == d.sizes[len(d.sizes)-1] {
			b.aim(by, report.Goal{Limit: waiterGoal, AtMost: true})
		}
	}
}

// plotGrowth draws cost against size, and says what it is.
func (b *Bench) plotGrowth(d dimension) {
	line := report.Series{Label: b.name()}
	found := make(curve, 0, len(d.sizes))
	for _, size := range d.sizes {
		name := b.growthName(d, size, growthCost, "us")
		line.Points = append(line.Points, report.Point{At: float64(size), Of: name})
		if f, measured := b.Figures.Shown(name); measured {
			found = append(found, cost{size, f.Median, f.Least, f.Most})
		}
	}
	b.Figures.Plot(report.Plot{
		File: "growth-" + d.name, Title: "Processors for " + d.job + ", by " + d.name,
		X: d.of, Y: "us", LogX: true, Series: []report.Series{line},
	})
	if len(found) > 1 && len(found) == len(d.sizes) {
		b.Figures.Find(report.Finding{Workload: b.growthTable(d), Text: found.describe(d)})
	}
}

// SayGrowth says how costs grow that a page shows below a title; false if it is not one of those.
func SayGrowth(title string, rows []report.Row) (string, bool) {
	for _, d := range new(Bench).dimensions() {
		if !strings.HasPrefix(strings.ToLower(title), d.name+", ") {
			continue
		}
		var found curve
		for _, row := range rows {
			digits, named := strings.CutSuffix(row.System, " "+d.of)
			size, err := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
			f, measured := row.Figures[growthCost+", us"]
			if named && err == nil && measured {
				found = append(found, cost{size, f.Median, f.Least, f.Most})
			}
		}
		if len(found) > 1 && len(found) == len(rows) {
			return found.describe(d), true
		}
	}
	return "", false
}
