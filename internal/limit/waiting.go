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
	all int // 0 is no bound

	mu    sync.Mutex // guards all below
	total int
	of    map[string]int // of callers with a name that have any
}

// NewWaiting returns a Waiting of so many calls in all; 0 is no bound.
func NewWaiting(all int) *Waiting {
	return &Waiting{all: all, of: make(map[string]int)}
}

// Enter lets one more call of a caller wait, until Leave is called with the same name. most is how
// many of the caller's may wait at the same time, 0 for any number. A caller without a name is nobody
// in particular, and only the bound of all of them counts. ErrTooMany, ErrCrowded.
func (w *Waiting) Enter(name string, most int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case name != "" && most > 0 && w.of[name] >= most:
		return ErrTooMany
	case w.all > 0 && w.total >= w.all:
		return ErrCrowded
	}
	w.total++
	if name != "" {
		w.of[name]++
	}
	return nil
}

// Leave ends what Enter allowed.
func (w *Waiting) Leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if name == "" {
		return
	}
	w.of[name]--
	if w.of[name] == 0 {
		delete(w.of, name)
	}
}
