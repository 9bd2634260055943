package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// listSize is how much memory a page of jobs may take, in bytes: engines end a page at 4 MiB of values, which
// are held a second time as they are written.
const listSize = 8 << 20

// roomKey is of the room that a request's body holds, a *limit.Held.
type roomKey struct{}

// makeRoom waits until there is room for a body of so many bytes, which the request holds until it is answered
// or begins to wait. Short ones need none: there are as many as connections at most. errOverloaded if
// there is none in time.
func (b *bodies) makeRoom(c echo.Context, length int64) error {
	if b.room == nil || length <= keepBuffer {
		return nil
	}
	r := c.Request()
	held, err := take(r.Context(), b.room, length, b.timeout)
	if err != nil {
		b.limited()
		return errOverloaded
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), roomKey{}, held)))
	// Who had to wait has the whole time to send it.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(b.timeout))
	return nil
}

// giveRoomBack gives the room back that the request's body holds, if it holds any.
func giveRoomBack(ctx context.Context) {
	if held, holds := ctx.Value(roomKey{}).(*limit.Held); holds {
		held.GiveBack()
	}
}

func take(ctx context.Context, room *limit.Room, bytes int64, timeout time.Duration) (*limit.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return room.Take(ctx, bytes)
}

// roomFor waits until there is room for an answer of so many bytes, as makeRoom does for bodies. Whoever writes the
// answer gives it back.
func (a *API) roomFor(ctx context.Context, bytes int64) (*limit.Held, error) {
	if a.options.Limits.Room == nil {
		return nil, nil //nolint:nilnil // a nil Held is one
	}
	giveRoomBack(ctx) // who holds some and waits for more may wait for one who does the same
	held, err := take(ctx, a.options.Limits.Room, bytes, a.options.BodyTimeout)
	if err != nil {
		a.options.Observer.Limited(limitMemory)
		return nil, errOverloaded
	}
	return held, nil
}

// exchangeMany is ask for leases that may be large together: it looks for jobs once there is room for them, and
// waits for jobs without holding any. What comes then is what one call has made ready, whose body had room.
// The room is that of the leases.
func (a *API) exchangeMany(ctx context.Context, request queue.BatchRequest, patience time.Duration) (queue.BatchAnswer, *limit.Held, error) {
	held, err := a.roomFor(ctx, min(int64(request.Max)*a.options.MaxArgsBytes, queue.MaxDependencyBytes))
	if err != nil && len(request.Reports) == 0 {
		return queue.BatchAnswer{}, nil, err
	}
	if request.ReportOnly = err != nil; request.ReportOnly {
		patience = 0
	}
	got, err := a.ask(ctx, request, 0)
	if err != nil || len(got.Leases) > 0 || patience == 0 {
		held.Keep(sizeOf(got.Leases))
		return got, held, err
	}
	held.GiveBack()
	reported := got.Reported
	request.Reports = nil
	got, err = a.ask(ctx, request, patience)
	if refused := (*requestError)(nil); errors.As(err, &refused) && len(reported) > 0 {
		err = nil // it may not wait; the reports were taken
	}
	got.Reported = reported
	return got, nil, err
}

// sizeOf is how large the values of leases are, in bytes.
func sizeOf(leases []queue.Lease) (bytes int64) {
	for i := range leases {
		bytes += int64(len(leases[i].Args))
		for k := range leases[i].Dependencies {
			bytes += int64(len(leases[i].Dependencies[k].Result))
		}
	}
	return bytes
}
