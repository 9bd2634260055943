package api

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// roomKey is of what gives the room back that a request's body takes, a func().
type roomKey struct{}

// makeRoom waits until there is room for a body of so many bytes, of which the request holds that much until it
// is answered or begins to wait. Short ones need none: there are as many as connections at most. errOverloaded
// if there is none in time.
func (b *bodies) makeRoom(c echo.Context, length int64) error {
	if b.room == nil || length <= keepBuffer {
		return nil
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), b.timeout)
	defer cancel()
	giveBack, err := b.room.Take(ctx, length)
	if err != nil {
		b.limited()
		return errOverloaded
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), roomKey{}, giveBack)))
	// Who had to wait has the whole time to send it.
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(b.timeout))
	return nil
}

// giveRoomBack gives the room back that a request holds, if it holds any.
func giveRoomBack(ctx context.Context) {
	if giveBack, holds := ctx.Value(roomKey{}).(func()); holds {
		giveBack()
	}
}
