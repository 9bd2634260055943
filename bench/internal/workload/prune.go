package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// pruneGoal is which part of the rate is to be left while jobs are pruned.
	pruneGoal = 0.85
	// pruneTimeout bounds the pruning.
	pruneTimeout = 20 * time.Minute
	// prunePoll is how often to look whether it is done.
	prunePoll = 100 * time.Millisecond
)

// The systems that are compared.
const (
	keeping = "kept"
	pruning = "being pruned"
)

// prune measures full cycles beside finished jobs that are kept, and beside as many that are
// being pruned.
func prune(ctx context.Context, b *Bench) (err error) {
	filled, ids, err := b.fill(ctx, part{kindFinished, b.Finished})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, filled)) }()
	systems := []string{keeping, pruning}
	for round := range b.Repeat {
		for _, i := range turns(len(systems), round) {
			r, err := b.pruneOnce(ctx, systems[i], filled, ids)
			if err != nil {
				return fmt.Errorf("%s: %w", systems[i], err)
			}
			b.Say("prune %d/%d, %s: %s cycles/s", round+1, b.Repeat, systems[i], report.Number(r.Rate()))
			b.add(b.pruneName(), systems[i], cycles, r)
		}
	}
	name := report.Name{Workload: b.pruneName(), System: pruning, Measure: cycles + ", part of those beside kept ones"}
	b.Figures.Ratio(name, rateOf(b.pruneName(), pruning, cycles), rateOf(b.pruneName(), keeping, cycles))
	b.aim(name, report.Goal{Limit: pruneGoal})
	return nil
}

func (b *Bench) pruneName() string {
	return "cycles beside " + report.Number(float64(b.Finished)) + " finished jobs"
}

func (b *Bench) pruneOnce(ctx context.Context, system, filled string, ids span) (r load.Result, err error) {
	store, err := b.copyOf(ctx, filled)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	before, err := b.stores().size(ctx, store)
	if err != nil {
		return load.Result{}, err
	}
	// Those that were finished while it is measured are not old enough.
	retention := time.Hour
	if system == pruning {
		retention = max(10*b.WarmUp, b.WarmUp+b.Duration)
	}
	s, err := b.start(ctx, store, b.LogLevel, "prune", "--retention", retention.String())
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	begin := time.Now()
	if system == pruning {
		if err := waitUntilPruned(ctx, s, ids.first); err != nil {
			return load.Result{}, err
		}
	}
	if r, err = load.Run(ctx, b.timed(s, b.Connections, b.cycling)); err != nil || system != pruning {
		return r, err
	}
	if there, err := isThere(ctx, s, ids.last); err != nil || !there {
		return load.Result{}, errors.Join(err, errors.New("all was pruned before it was measured; there should be more finished jobs"))
	}
	if err := waitUntilPruned(ctx, s, ids.last); err != nil {
		return load.Result{}, err
	}
	after, err := b.stores().size(ctx, store)
	b.Figures.Add(report.Name{Workload: b.pruneName(), System: system, Measure: "from start to the last one", Unit: "s"}, time.Since(begin).Seconds())
	b.Figures.Add(report.Name{Workload: b.pruneName(), System: system, Measure: "size of the store before", Unit: "MB"}, before)
	b.Figures.Add(report.Name{Workload: b.pruneName(), System: system, Measure: "size of the store after", Unit: "MB"}, after)
	return r, err
}

// waitUntilPruned waits until a job is not there any more. They are pruned in the order in which
// they were added.
func waitUntilPruned(ctx context.Context, s *process.Server, id string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pruneTimeout, errors.New("pruning did not end in time"))
	defer cancel()
	ticker := time.NewTicker(prunePoll)
	defer ticker.Stop()
	for {
		if there, err := isThere(ctx, s, id); err != nil || !there {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// isThere reports whether the server has a job.
func isThere(ctx context.Context, s *process.Server, id string) (bool, error) {
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	r, err := conn.Do(wire.Get("/v1/jobs/" + id))
	if err == nil && r.Status != http.StatusOK && r.Status != http.StatusNotFound {
		err = r.Unexpected()
	}
	return r.Status == http.StatusOK, err
}
