package api

import (
	"context"
	"errors"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// complete reads what was withheld of leases, once there is room for all of it. Where that fails it gives back those
// that are not whole, and returns the others with the error. It does so also where the call can be made again: nobody keeps
// a lease alive meanwhile, and the same call is granted another one.
func (a *API) complete(ctx context.Context, leases []queue.Lease) ([]queue.Lease, error) {
	err := a.fill(ctx, leases)
	if err == nil {
		return leases, nil
	}
	switch {
	case errors.Is(err, queue.ErrLeaseLost), errors.Is(err, queue.ErrNotExist):
		err = errOverloaded // it was lost in line for room
	case !errors.Is(err, errOverloaded) && ctx.Err() == nil:
		a.log.WithError(err).Error("leases could not be read, and are given back")
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

// fill reads what was withheld of leases, once there is room for all of that. errOverloaded as of roomFor.
func (a *API) fill(ctx context.Context, leases []queue.Lease) (err error) {
	var withheld int64
	patience := answerPatience
	for i := range leases {
		l := &leases[i]
		withheld += l.Withheld
		for _, timeout := range []time.Duration{l.Timeout, l.HeartbeatTimeout} {
			if l.Withheld > 0 && timeout > 0 {
				patience = min(patience, timeout/2) // nobody works on the job meanwhile, nor says that it lives
			}
		}
	}
	if withheld == 0 {
		return nil
	}
	// It is there twice while it is written.
	if holdingOf(ctx).results, err = a.roomIn(ctx, a.options.Limits.Results, 2*withheld, patience); err != nil {
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
