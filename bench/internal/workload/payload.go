package workload

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	payloadName = "payload"
	// storeGoal is how many times as large as the args that it keeps a store is to be.
	storeGoal = 2.5
)

// payload measures full cycles of jobs with more or less args, and how large a store is that keeps them.
func payload(ctx context.Context, b *Bench) error {
	sizes := []int{100, 1_000, 10_000, 100 << 10}
	b.Figures.Compare(b.payloadTable())
	for round := range b.Repeat {
		for _, i := range turns(len(sizes), round) {
			if err := b.payloadOnce(ctx, sizes[i]); err != nil {
				return fmt.Errorf("args of %d bytes: %w", sizes[i], err)
			}
			b.Say("payload %d/%d, %d bytes", round+1, b.Repeat, sizes[i])
		}
	}
	line := report.Series{Label: b.name()}
	for _, size := range sizes {
		line.Points = append(line.Points, report.Point{At: float64(size), Of: b.payloadFigure(size, growthCost, "us")})
		b.aim(b.payloadFigure(size, "store by args", ""), report.Goal{Limit: storeGoal, AtMost: true})
	}
	b.Figures.Plot(report.Plot{
		File: "payload", Title: "Processors for a full cycle, by size of args", X: "bytes of args", Y: "us", LogX: true, Series: []report.Series{line},
	})
	return nil
}

func (b *Bench) payloadTable() string { return "payload, " + b.name() }

func (b *Bench) payloadFigure(size int, measure, unit string) report.Name {
	return report.Name{Workload: b.payloadTable(), System: strconv.Itoa(size) + " bytes of args", Measure: measure, Unit: unit}
}

func (b *Bench) payloadOnce(ctx context.Context, size int) (err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	if err := b.payloadCycles(ctx, store, size); err != nil {
		return err
	}
	kept, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, kept)) }()
	count := b.Kept << 20 / size
	if err := b.payloadKeep(ctx, kept, size, count); err != nil {
		return err
	}
	bytes, err := b.stores().size(ctx, kept)
	if err != nil {
		return err
	}
	b.Figures.Add(b.payloadFigure(size, growthStore, "B"), bytes*1e6/float64(count))
	b.Figures.Add(b.payloadFigure(size, "store by args", ""), bytes*1e6/float64(count)/float64(size))
	return nil
}

// payloadCycles measures full cycles.
func (b *Bench) payloadCycles(ctx context.Context, store string, size int) (err error) {
	s, err := b.start(ctx, store, b.LogLevel, "payload")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	r, err := load.Run(ctx, b.timed(s, b.Connections, func(connection int) load.Operation {
		return b.cyclingWith(sizedJobs(connection, size))
	}))
	if err != nil {
		return err
	}
	b.Figures.Add(b.payloadFigure(size, "rate", "/s"), r.Rate())
	if spent := r.Processor + r.Database; spent > 0 {
		b.Figures.Add(b.payloadFigure(size, growthCost, "us"), r.Each(spent))
	}
	return nil
}

// payloadKeep adds jobs to a store, leaves it alone until it has put itself in order, and closes it.
func (b *Bench) payloadKeep(ctx context.Context, store string, size, count int) (err error) {
	s, err := b.start(ctx, store, b.LogLevel, "payload-kept")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	l := b.counted(s, int64(count), func(connection int) load.Operation {
		job := sizedJobs(connection, size)
		return func(c *wire.Conn) error {
			_, err := c.Expect(http.StatusCreated, job())
			return err
		}
	})
	if _, err = load.Run(ctx, l); err != nil {
		return err
	}
	return s.Rest(ctx)
}
