package api

import (
	"context"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queues implements Queue.
func (g *guard) Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error) {
	listing.Channels = named(ctx, listing.Channels)
	return g.queue.Queues(ctx, listing)
}

// OpenJobs implements Queue.
func (g *guard) OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error) {
	if len(channels) == 0 {
		return nil, nil
	}
	return g.queue.OpenJobs(ctx, named(ctx, channels))
}

// Demand implements Queue.
func (g *guard) Demand(ctx context.Context, demand queue.Demand) (queue.DemandAnswer, error) {
	demand.Channels = named(ctx, demand.Channels)
	return g.queue.Demand(ctx, demand)
}

// Workers implements Queue.
func (g *guard) Workers(ctx context.Context, listing queue.WorkerListing) (queue.WorkerPage, error) {
	listing.Channels = named(ctx, listing.Channels)
	return g.queue.Workers(ctx, listing)
}

// EventPosition implements Queue. It counts what happened to the jobs of all, so that it is
// not to be shown as it is: see position.
func (g *guard) EventPosition() queue.EventPosition { return g.queue.EventPosition() }

// ReadEvents implements Queue. How many events were missed is not told, because they may be those of
// others.
func (g *guard) ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error) {
	filter.Channels = named(ctx, filter.Channels)
	events, err := g.queue.ReadEvents(ctx, filter, after, most)
	if !channelsOf(ctx).All() {
		events.MissedUpTo = 0
	}
	return events, err
}
