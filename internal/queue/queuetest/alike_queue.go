package queuetest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// pairQueue is two queues that are asked the same, and answers what the first one does. What no walk
// asks goes to the first one alone.
type pairQueue struct {
	Queue
	pair   *pair
	second Queue
}

type naming func(uuid.UUID) uuid.UUID

func (n naming) all(of []uuid.UUID) []uuid.UUID {
	named := make([]uuid.UUID, len(of))
	for i := range of {
		named[i] = n(of[i])
	}
	return named
}

func (n naming) jobs(of []queue.NewJob) []queue.NewJob {
	named := slices.Clone(of)
	for i := range named {
		named[i].Dependencies = n.all(named[i].Dependencies)
	}
	return named
}

func (p *pairQueue) Enqueue(ctx context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
	return ask(p.pair, "Enqueue", func(q Queue, n naming) ([]queue.Enqueued, error) { return q.Enqueue(ctx, n.jobs(jobs)) })
}

func (p *pairQueue) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	return ask(p.pair, "EnqueueOnce", func(q Queue, n naming) ([]queue.Enqueued, error) { return q.EnqueueOnce(ctx, n.jobs(jobs), once) })
}

func (p *pairQueue) EnqueuedOnce(ctx context.Context, once queue.Once) ([]queue.Enqueued, error) {
	return ask(p.pair, "EnqueuedOnce", func(q Queue, _ naming) ([]queue.Enqueued, error) { return q.EnqueuedOnce(ctx, once) })
}

func (p *pairQueue) Dequeue(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error) {
	return ask(p.pair, "Dequeue", func(q Queue, _ naming) (queue.Lease, error) { return q.Dequeue(ctx, request) })
}

func (p *pairQueue) DequeueByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error) {
	return ask(p.pair, "DequeueByID", func(q Queue, n naming) (queue.Lease, error) { return q.DequeueByID(ctx, n(id), to, once) })
}

func (p *pairQueue) DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
	return ask(p.pair, "DequeueBatch", func(q Queue, n naming) (queue.BatchAnswer, error) {
		named := request
		named.Reports = slices.Clone(request.Reports)
		for i := range named.Reports {
			named.Reports[i].Token = n(named.Reports[i].Token)
		}
		return q.DequeueBatch(ctx, named)
	})
}

func (p *pairQueue) RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	return ask(p.pair, "RequeueOrFinishJob", func(q Queue, n naming) (queue.State, error) {
		return q.RequeueOrFinishJob(ctx, n(token), maxRetries, outcome)
	})
}

func (p *pairQueue) Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error) {
	return ask(p.pair, "Fail", func(q Queue, n naming) (queue.State, error) { return q.Fail(ctx, n(token), failure) })
}

func (p *pairQueue) Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error) {
	return ask(p.pair, "Release", func(q Queue, n naming) (queue.State, error) { return q.Release(ctx, n(token), delay) })
}

// done asks both for something that has no answer.
func (p *pairQueue) done(call string, of func(q Queue, n naming) error) error {
	_, err := ask(p.pair, call, func(q Queue, n naming) (struct{}, error) { return struct{}{}, of(q, n) })
	return err
}

func (p *pairQueue) CancelJob(ctx context.Context, id uuid.UUID) error {
	return p.done("CancelJob", func(q Queue, n naming) error { return q.CancelJob(ctx, n(id)) })
}

func (p *pairQueue) RetryJob(ctx context.Context, id uuid.UUID) error {
	return p.done("RetryJob", func(q Queue, n naming) error { return q.RetryJob(ctx, n(id)) })
}

func (p *pairQueue) DeleteJob(ctx context.Context, id uuid.UUID) error {
	return p.done("DeleteJob", func(q Queue, n naming) error { return q.DeleteJob(ctx, n(id)) })
}

// UpdateJob expects a version that is as far from the job's present one for both.
func (p *pairQueue) UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error {
	present, _ := p.Queue.JobStatus(ctx, id)
	return p.done("UpdateJob", func(q Queue, n naming) error {
		own := update
		if update.IfVersion != nil {
			status, err := q.JobStatus(ctx, n(id))
			require.NoError(p.pair.r, err)
			own.IfVersion = new(status.Version - present.Version + *update.IfVersion)
		}
		return q.UpdateJob(ctx, n(id), own)
	})
}

// Prune prunes to the end: how many steps that takes is each engine's own.
func (p *pairQueue) Prune(ctx context.Context, before time.Time) (bool, error) {
	return ask(p.pair, "Prune", func(q Queue, _ naming) (done bool, err error) {
		for !done && err == nil {
			done, err = q.Prune(ctx, before)
		}
		return done, err
	})
}

func (p *pairQueue) ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error) {
	return ask(p.pair, "ListJobs", func(q Queue, n naming) (queue.Page, error) {
		named := listing
		named.After = n(listing.After)
		return q.ListJobs(ctx, named)
	})
}

func (p *pairQueue) Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	return ask(p.pair, "Lease", func(q Queue, n naming) (queue.Lease, error) { return q.Lease(ctx, n(token)) })
}

func (p *pairQueue) WholeLease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	return ask(p.pair, "WholeLease", func(q Queue, n naming) (queue.Lease, error) { return q.WholeLease(ctx, n(token)) })
}

func (p *pairQueue) IdFromToken(ctx context.Context, token uuid.UUID) (uuid.UUID, error) {
	return ask(p.pair, "IdFromToken", func(q Queue, n naming) (uuid.UUID, error) { return q.IdFromToken(ctx, n(token)) })
}

func (p *pairQueue) RefreshHeartbeat(ctx context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
	return ask(p.pair, "RefreshHeartbeat", func(q Queue, n naming) (queue.BeatAnswer, error) { return q.RefreshHeartbeat(ctx, n(token), beat) })
}

// Heartbeats compares tokens in whatever order they come.
func (p *pairQueue) Heartbeats(ctx context.Context, olderThan time.Duration) ([]uuid.UUID, error) {
	tokens, err := p.Queue.Heartbeats(ctx, olderThan)
	others, otherErr := p.second.Heartbeats(ctx, olderThan)
	require.NoError(p.pair.r, p.pair.compareErrors(err, otherErr))
	require.ElementsMatch(p.pair.r, naming(p.pair.twin).all(tokens), others)
	return tokens, err
}

func (p *pairQueue) Job(ctx context.Context, id uuid.UUID) (queue.Job, error) {
	return ask(p.pair, "Job", func(q Queue, n naming) (queue.Job, error) { return q.Job(ctx, n(id)) })
}

func (p *pairQueue) JobStatus(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return ask(p.pair, "JobStatus", func(q Queue, n naming) (queue.Status, error) { return q.JobStatus(ctx, n(id)) })
}

func (p *pairQueue) Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	return ask(p.pair, "Attempts", func(q Queue, n naming) ([]queue.Attempt, error) { return q.Attempts(ctx, n(id)) })
}

func (p *pairQueue) Explain(ctx context.Context, id uuid.UUID) (queue.Explanation, error) {
	return ask(p.pair, "Explain", func(q Queue, n naming) (queue.Explanation, error) { return q.Explain(ctx, n(id)) })
}

func (p *pairQueue) ChannelsOf(ctx context.Context, ids []uuid.UUID) ([]string, error) {
	return ask(p.pair, "ChannelsOf", func(q Queue, n naming) ([]string, error) { return q.ChannelsOf(ctx, n.all(ids)) })
}

func (p *pairQueue) LeaseChannels(ctx context.Context, tokens []uuid.UUID) ([]string, error) {
	return ask(p.pair, "LeaseChannels", func(q Queue, n naming) ([]string, error) { return q.LeaseChannels(ctx, n.all(tokens)) })
}

// OpenJobs leaves out those that have none, which a queue may do as well.
func (p *pairQueue) OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error) {
	return ask(p.pair, "OpenJobs", func(q Queue, _ naming) (map[string]queue.Amount, error) {
		open, err := q.OpenJobs(ctx, channels)
		maps.DeleteFunc(open, func(_ string, n queue.Amount) bool { return n == queue.Amount{} })
		return open, err
	})
}

func (p *pairQueue) Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error) {
	return ask(p.pair, "Queues", func(q Queue, _ naming) (queue.LanePage, error) { return q.Queues(ctx, listing) })
}

func (p *pairQueue) Workers(ctx context.Context, listing queue.WorkerListing) (queue.WorkerPage, error) {
	return ask(p.pair, "Workers", func(q Queue, _ naming) (queue.WorkerPage, error) { return q.Workers(ctx, listing) })
}

func (p *pairQueue) Demand(ctx context.Context, demand queue.Demand) (queue.DemandAnswer, error) {
	return ask(p.pair, "Demand", func(q Queue, _ naming) (queue.DemandAnswer, error) { return q.Demand(ctx, demand) })
}
