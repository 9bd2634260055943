package limit

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Room bounds how many bytes may be held at the same time of what callers send. Who finds no room waits
// in line. A nil Room has room for everything.
type Room struct {
	all  int64
	free *semaphore.Weighted
}

// NewRoom returns a Room of so many bytes.
func NewRoom(bytes int64) *Room {
	return &Room{all: bytes, free: semaphore.NewWeighted(bytes)}
}

// Take blocks until there is room for so many bytes, and returns what gives it back, which may be called more
// than once. What is larger than the whole room takes all of it. ctx's error if that ends before.
func (r *Room) Take(ctx context.Context, bytes int64) (giveBack func(), err error) {
	if r == nil {
		return func() {}, nil
	}
	bytes = min(bytes, r.all)
	if err := r.free.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { r.free.Release(bytes) }), nil
}
