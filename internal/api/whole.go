package api

import (
	"context"
	"errors"

	"github.com/longshore-queue/longshore/internal/queue"
)

// complete reads what was withheld of new leases, once there is room for all of it. Where that fails it gives back those
// that are not whole, unless they are kept for the same call to ask for again, and returns the others with the error.
func (a *API) complete(ctx context.Context, leases []queue.Lease, kept bool) ([]queue.Lease, error) {
	err := a.fill(ctx, leases)
	if err == nil || kept {
		return leases, err
	}
	if errors.Is(err, queue.ErrLeaseLost) || errors.Is(err, queue.ErrNotExist) {
		err = errOverloaded // it was lost in line for room
	}
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	whole := make([]queue.Lease, 0, len(leases))
	for i := range leases {
		if l := &leases[i]; l.Withheld == 0 {
			whole = append(whole, *l)
		} else if _, err := a.queue.Release(releasing, l.Token, 0); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
			a.log.WithError(err).WithField("job", l.JobID.String()).Error("there is no room for a lease, and it could not be released")
		}
	}
	return whole, err
}

// fill reads what was withheld of leases, once there is room for all that they hold then. errOverloaded as of roomFor.
func (a *API) fill(ctx context.Context, leases []queue.Lease) error {
	var withheld int64
	for i := range leases {
		withheld += leases[i].Withheld
	}
	if withheld == 0 {
		return nil
	}
	// Whoever held some of the room while he waits for more of it could wait for another who does the same.
	holdingOf(ctx).answer.GiveBack()
	if err := a.roomFor(ctx, 2*(sizeOf(leases)+withheld)); err != nil {
		return err
	}
	for i := range leases {
		if leases[i].Withheld == 0 {
			continue
		}
		whole, err := a.queue.WholeLease(ctx, leases[i].Token)
		if err != nil {
			return err
		}
		leases[i] = whole
	}
	return nil
}
