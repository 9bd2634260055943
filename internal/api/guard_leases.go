package api

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Dequeue implements Queue.
func (g *guard) Dequeue(ctx context.Context, request queue.DequeueRequest) (lease queue.Lease, err error) {
	if err := lookIn(ctx, &request); err != nil {
		return queue.Lease{}, err
	}
	request.Principal = principalName(ctx)
	if lease, err = g.queue.Dequeue(ctx, request); err == nil {
		err = g.granted(ctx, &lease)
	}
	return lease, err
}

// DequeueByID implements Queue.
func (g *guard) DequeueByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error) {
	id, err := g.job(ctx, id)
	if err != nil {
		return queue.Lease{}, err
	}
	to.Principal = principalName(ctx)
	lease, err := g.queue.DequeueByID(ctx, id, to, once)
	if err == nil {
		err = g.granted(ctx, &lease)
	}
	return lease, err
}

// DequeueBatch implements Queue.
func (g *guard) DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
	if err := lookIn(ctx, &request.DequeueRequest); err != nil {
		return queue.BatchAnswer{}, err
	}
	tokens := make([]uuid.UUID, len(request.Reports))
	for i := range tokens {
		tokens[i] = request.Reports[i].Token
	}
	own, err := owned(ctx, tokens, &g.leases, g.queue.LeaseChannels)
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	request.Reports = slices.Clone(request.Reports)
	for i := range own {
		request.Reports[i].Token = own[i]
	}
	request.Principal = principalName(ctx)
	answer, err := g.queue.DequeueBatch(ctx, request)
	if err != nil {
		return answer, err
	}
	// A lease of a call before with the same idempotency key is as if it were over, if the
	// principal had other channels then.
	answer.Leases = slices.DeleteFunc(answer.Leases, func(l queue.Lease) bool { return g.granted(ctx, &l) != nil })
	return answer, nil
}

// granted refuses a lease that is not for the caller: one that an earlier call with the same
// idempotency key was granted, when the principal had other channels.
func (g *guard) granted(ctx context.Context, lease *queue.Lease) error {
	channels := channelsOf(ctx)
	switch {
	case channels.All():
		return nil
	case !channels.Has(lease.Channel):
		*lease = queue.Lease{}
		return queue.ErrLeaseLost
	}
	g.leases.keep(lease.Token, lease.Channel)
	g.jobs.keep(lease.JobID, lease.Channel)
	return nil
}

// RequeueOrFinishJob implements Queue.
func (g *guard) RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return 0, err
	}
	return g.queue.RequeueOrFinishJob(ctx, token, maxRetries, outcome)
}

// Fail implements Queue.
func (g *guard) Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return 0, err
	}
	return g.queue.Fail(ctx, token, failure)
}

// Release implements Queue.
func (g *guard) Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return 0, err
	}
	return g.queue.Release(ctx, token, delay)
}

// Lease implements Queue.
func (g *guard) Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return queue.Lease{}, err
	}
	return g.queue.Lease(ctx, token)
}

// WholeLease implements Queue.
func (g *guard) WholeLease(ctx context.Context, token uuid.UUID) (queue.Lease, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return queue.Lease{}, err
	}
	return g.queue.WholeLease(ctx, token)
}

// RefreshHeartbeat implements Queue.
func (g *guard) RefreshHeartbeat(ctx context.Context, token uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return queue.BeatAnswer{}, err
	}
	return g.queue.RefreshHeartbeat(ctx, token, beat)
}

// AwaitLease implements Queue.
func (g *guard) AwaitLease(ctx context.Context, token uuid.UUID) error {
	token, err := g.token(ctx, token)
	if err != nil {
		return err
	}
	return g.queue.AwaitLease(ctx, token)
}

// IdFromToken implements Queue.
func (g *guard) IdFromToken(ctx context.Context, token uuid.UUID) (uuid.UUID, error) {
	token, err := g.token(ctx, token)
	if err != nil {
		return uuid.Nil, err
	}
	return g.queue.IdFromToken(ctx, token)
}

// Heartbeats implements Queue. Tokens are secrets: of these only one who may see every job is told.
func (g *guard) Heartbeats(ctx context.Context, olderThan time.Duration) ([]uuid.UUID, error) {
	if !channelsOf(ctx).All() {
		return nil, nil
	}
	return g.queue.Heartbeats(ctx, olderThan)
}
