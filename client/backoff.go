package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff paces repeated attempts: its pauses double from low to high, and each is drawn from
// the upper half of its range, so that a fleet that failed together does not return together.
type backoff struct {
	low, high time.Duration
	next      time.Duration
}

func newBackoff(low, high time.Duration) *backoff {
	return &backoff{low: low, high: high, next: low}
}

// reset is called after a success.
func (b *backoff) reset() { b.next = b.low }

// pause returns how long to wait after err. The server's Retry-After is a lower bound, with
// up to half of it added as jitter.
func (b *backoff) pause(err error) time.Duration {
	pause := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, b.high)
	if asked := RetryAfter(err); asked > pause {
		pause = asked + rand.N(asked/2+1)
	}
	return pause
}

// sleep blocks for d, or until ctx ends: then it returns the context's cause.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
