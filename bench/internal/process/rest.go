package process

import (
	"context"
	"errors"
	"time"
)

const (
	// restWatch is how long a process must have next to nothing to do, and restLimit how long it may
	// take until then.
	restWatch = 200 * time.Millisecond
	restLimit = 2 * time.Minute
)

// Rest waits until a process, which nobody asks anything, has nothing left to do: a store goes on
// putting in order what it was given. Where the system does not tell what a process does it
// returns at once.
func Rest(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, restLimit, errors.New("it has found no rest"))
	defer cancel()
	before, err := Family(pid)
	for err == nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(restWatch):
		}
		var after time.Duration
		if after, err = Family(pid); after-before <= tick {
			break
		}
		before = after
	}
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return err
}

// Rest waits until the server has nothing left to do.
func (s *Server) Rest(ctx context.Context) error { return Rest(ctx, s.cmd.Process.Pid) }
