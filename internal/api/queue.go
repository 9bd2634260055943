package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queue is what the edge needs of an engine: the ten operations, and those beside them that
// its routes stand for. All methods are safe for concurrent use.
type Queue interface {
	queue.JobQueue

	// Release ends a lease and puts its job back in line, at its old place and at no cost.
	// The same again is answered the same. When the job was canceled meanwhile there is
	// nothing to give back, and the state says so. ErrNotExist, ErrLeaseLost.
	Release(ctx context.Context, token uuid.UUID) (queue.State, error)

	// Lease returns a lease without refreshing it. One that ended because its job was
	// canceled is returned with Canceled set. ErrNotExist, ErrLeaseLost.
	Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error)

	// Await blocks until the job is over or ctx ends, and returns its status at that
	// moment; the end of ctx is no error. ErrNotExist.
	Await(ctx context.Context, id uuid.UUID) (queue.Status, error)

	// Ready returns nil if the queue can take calls, else ErrUnavailable. It does not block.
	Ready(ctx context.Context) error
}
