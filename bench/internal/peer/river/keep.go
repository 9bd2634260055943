package river

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
)

// Keep adds so many jobs, in one call, to a queue that nobody works.
func (p *Peer) Keep(ctx context.Context, from *jobs.Source, n int) error {
	options := &river.InsertOpts{Queue: "kept"}
	list := make([]river.InsertManyParams, n)
	for i := range list {
		a, err := newArgs(from)
		if err != nil {
			return err
		}
		list[i] = river.InsertManyParams{Args: a, InsertOpts: options}
	}
	if _, err := p.inserter.InsertManyFast(ctx, list); err != nil {
		return fmt.Errorf("add jobs to River: %w", err)
	}
	return nil
}
