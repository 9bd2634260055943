package limit

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Room bounds how many bytes may be held at the same time of what callers send and are sent. Who finds no
// room waits in line. A nil Room has room for everything.
type Room struct {
	all  int64
	free *semaphore.Weighted
}

// NewRoom returns a Room of so many bytes.
func NewRoom(bytes int64) *Room {
	return &Room{all: bytes, free: semaphore.NewWeighted(bytes)}
}

// Held is a part of a Room that somebody holds. A nil Held is of a nil Room.
type Held struct {
	room *Room

	mu    sync.Mutex // guards bytes
	bytes int64
}

// Take blocks until there is room for so many bytes, and holds it. What is larger than the whole room takes
// all of it. ctx's error if that ends before.
func (r *Room) Take(ctx context.Context, bytes int64) (*Held, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // a nil Held is one
	}
	bytes = min(bytes, r.all)
	if err := r.free.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return &Held{room: r, bytes: bytes}, nil
}

// Keep gives back all but so many bytes.
func (h *Held) Keep(bytes int64) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if bytes < h.bytes {
		h.room.free.Release(h.bytes - bytes)
		h.bytes = bytes
	}
}

// GiveBack gives all of it back. It may be called more than once.
func (h *Held) GiveBack() { h.Keep(0) }
