package api

import (
	"context"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// listSize is how much memory a page of jobs may take, in bytes: engines end a page at 4 MiB of values, which
	// are held a second time as they are written.
	listSize = 8 << 20
	// answerPatience is how long to wait for room for an answer, at most.
	answerPatience = 2 * time.Second
)

// holding is what one request holds of the room for bodies, of that for answers, and of that for results. One goroutine at
// a time looks at it.
type holding struct {
	body, answer, results *limit.Held
}

type holdingKey struct{}

// hasRoom has a request hold no room yet. Whoever calls it gives back what the request holds in the end.
func hasRoom(c echo.Context) *holding {
	h, r := new(holding), c.Request()
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), holdingKey{}, h)))
	return h
}

// holdingOf is what the request of the context holds. Where nothing bounds room, it is nobody's.
func holdingOf(ctx context.Context) *holding {
	if h, ok := ctx.Value(holdingKey{}).(*holding); ok {
		return h
	}
	return new(holding)
}

func (h *holding) giveBack() {
	h.body.GiveBack()
	h.answer.GiveBack()
	h.results.GiveBack()
}

// makeRoom waits until there is room for a body of so many bytes, which the request holds until it is answered
// or begins to wait. errOverloaded if there is none in time.
func (b *bodies) makeRoom(ctx context.Context, length int64) error {
	waiting, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	held, err := b.room.Take(waiting, length)
	if err != nil {
		return b.noRoom(ctx)
	}
	holdingOf(ctx).body = held
	return nil
}

// noRoom is why a request does not get room.
func (b *bodies) noRoom(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.limited()
	return errOverloaded
}

// roomFor waits until there is room for an answer of so many bytes, which the request holds until it is written.
// errOverloaded if there is none in time, or the server stops.
func (a *API) roomFor(ctx context.Context, bytes int64) (err error) {
	holdingOf(ctx).answer, err = a.roomIn(ctx, a.options.Limits.Answers, bytes, answerPatience)
	return err
}

// roomIn waits for so long until there is so much of a room, and takes it. errOverloaded as of roomFor.
func (a *API) roomIn(ctx context.Context, room *limit.Room, bytes int64, patience time.Duration) (*limit.Held, error) {
	if room == nil {
		return nil, nil //nolint:nilnil // a nil Held is one
	}
	waiting, cancel := a.patience(ctx, patience)
	defer cancel()
	held, err := room.Take(waiting, bytes)
	switch {
	case err == nil:
		return held, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case a.stopping():
		return nil, errOverloaded
	}
	return nil, a.putOff()
}

// roomWhileShort is roomFor for the lease of one job, which needs none but while memory is short. Jobs that are ready are
// handed out then as well, a few at a time: what is worked off needs no memory any more.
func (a *API) roomWhileShort(ctx context.Context) (short bool, err error) {
	if !a.short() {
		return false, nil
	}
	return true, a.roomFor(ctx, a.options.MaxArgsBytes)
}

// exchangeMany is ask for leases that may be large together: it looks for jobs once there is room for them, and
// waits for jobs without holding any. Most of what comes then is what one call has made ready, whose body had room.
func (a *API) exchangeMany(ctx context.Context, request queue.BatchRequest, patience time.Duration) (queue.BatchAnswer, error) {
	began := time.Now()
	// Most of what is large in a lease are args. What others have finished may be larger, and nobody knows before.
	err := a.roomFor(ctx, min(int64(request.Max)*a.options.MaxArgsBytes, queue.MaxDependencyBytes))
	request.ReportOnly = err != nil || a.stopping()
	if err != nil && !a.stopping() && (len(request.Reports) == 0 || ctx.Err() != nil) {
		return queue.BatchAnswer{}, err
	}
	if patience -= time.Since(began); request.ReportOnly {
		patience = 0
	}
	answer := holdingOf(ctx).answer
	got, err := a.ask(ctx, request, 0)
	answer.Keep(2 * sizeOf(got.Leases)) // they are there twice while they are written
	if err != nil || len(got.Leases) > 0 || patience <= 0 {
		return got, err
	}
	reported := got.Reported
	request.Reports = nil
	got, err = a.ask(ctx, request, patience)
	if refused := (*requestError)(nil); errors.As(err, &refused) && len(reported) > 0 {
		err = nil // it may not wait; the reports were taken
	}
	got.Reported = reported
	return got, err
}

// sizeOf is how large the values of leases are, in bytes, but for what is withheld.
func sizeOf(leases []queue.Lease) (bytes int64) {
	for i := range leases {
		bytes += int64(len(leases[i].Args))
		for k := range leases[i].Dependencies {
			d := &leases[i].Dependencies[k]
			bytes += int64(len(d.Result))
			if d.Error != nil {
				bytes += int64(len(d.Error.Details))
			}
		}
	}
	return bytes
}
