package workload

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// batchGoal is how many jobs a second are to be added in batches.
	batchGoal = 100_000.0
	// batchVarieties is how many different batches a connection adds, in turn. They are long.
	batchVarieties = 4
	batchJobs      = "jobs by POST /v1/jobs/batch"
)

// batch measures POST /v1/jobs/batch, in jobs a second, against the server in memory and
// against ceilings.
func batch(ctx context.Context, b *Bench) error {
	systems := []string{b.name(), inMemory, ceiling.NoStore, ceiling.Unread}
	for round := range b.Repeat {
		for _, i := range turns(len(systems), round) {
			r, err := b.batchOnce(ctx, systems[i])
			if err != nil {
				return fmt.Errorf("%s: %w", systems[i], err)
			}
			b.Say("batch %d/%d, %s: %s jobs/s", round+1, b.Repeat, systems[i], report.Number(r.Rate()))
			b.add(b.batchName(), systemName(systems[i]), batchJobs, r)
		}
	}
	rate := rateOf(b.batchName(), b.name(), batchJobs)
	b.aim(rate, report.Goal{Limit: batchGoal})
	for _, system := range systems[1:] {
		name := report.Name{Workload: b.batchName(), System: b.name(), Measure: "part of " + systemName(system)}
		b.Figures.Ratio(name, rate, rateOf(b.batchName(), systemName(system), batchJobs))
	}
	return nil
}

func (b *Bench) batchName() string {
	return "batches of " + report.Number(float64(b.Batch)) + " jobs, " + connections(b.BatchConnections)
}

// batchOnce measures one system from a start of its own. The result counts jobs.
func (b *Bench) batchOnce(ctx context.Context, system string) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	var s *process.Server
	switch system {
	case b.name():
		s, err = b.start(ctx, store, b.LogLevel, "batch")
	case inMemory:
		s, err = b.start(ctx, memoryStore, b.LogLevel, "batch-in-memory")
	default:
		s, err = b.startCeiling(ctx, system, b.LogLevel)
	}
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	r, err = load.Run(ctx, b.timed(s, b.BatchConnections, b.addingBatches))
	r.Operations *= int64(b.Batch)
	return r, err
}

// addingBatches adds as many jobs as a batch has.
func (b *Bench) addingBatches(connection int) load.Operation {
	source := jobs.New("batches of connection " + strconv.Itoa(connection))
	requests := make([][]byte, batchVarieties)
	for i := range requests {
		batch := make([]string, b.Batch)
		for j := range batch {
			batch[j] = source.Body()
		}
		requests[i] = postBatch(batch)
	}
	next := 0
	return func(c *wire.Conn) error {
		next = (next + 1) % batchVarieties
		_, err := c.Expect(http.StatusCreated, requests[next])
		return err
	}
}

// postBatch makes the request that adds jobs, of which there are the JSON objects.
func postBatch(batch []string) []byte {
	return wire.Post("/v1/jobs/batch", `{"jobs":[`+strings.Join(batch, ",")+`]}`)
}
