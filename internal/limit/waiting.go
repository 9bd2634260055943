package limit

import (
	"errors"
	"sync"
)

var (
	// ErrCrowded is returned where as many wait as may wait in all.
	ErrCrowded = errors.New("too many wait")
	// ErrTooMany is returned where as many of one caller wait as may.
	ErrTooMany = errors.New("too many of one caller wait")
)

// Waiting bounds how many calls wait at the same time.
type Waiting struct {
	all, each int // 0 is no bound

	mu    sync.Mutex // guards all below
	total int
	of    map[string]int // of callers that have any, if each is bounded
}

// NewWaiting returns a Waiting of so many calls in all, and so many of each caller; 0 is no bound.
func NewWaiting(all, each int) *Waiting {
	return &Waiting{all: all, each: each, of: make(map[string]int)}
}

// Enter lets one more call of a caller wait, until Leave is called with the same name. A caller
// without a name is nobody in particular, and only the bound of all of them counts. ErrTooMany,
// ErrCrowded.
func (w *Waiting) Enter(name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.each > 0 && name != ""
	switch {
	case one && w.of[name] >= w.each:
		return ErrTooMany
	case w.all > 0 && w.total >= w.all:
		return ErrCrowded
	}
	w.total++
	if one {
		w.of[name]++
	}
	return nil
}

// Leave ends what Enter allowed.
func (w *Waiting) Leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.each == 0 || name == "" {
		return
	}
	w.of[name]--
	if w.of[name] == 0 {
		delete(w.of, name)
	}
}
