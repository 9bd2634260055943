package wait

import (
	"sync"
	"sync/atomic"
)

// Watch wakes everybody who waits for something to happen to the thing called Key.
//
// The zero Watch is ready to use. All methods are safe for concurrent use.
type Watch[Key comparable] struct {
	mu     sync.Mutex // guards topics and what they hold
	topics map[Key]*topic
	size   atomic.Int64 // of topics, so that Notify costs nothing where nobody watches
}

type topic struct {
	happened chan struct{} // closed by Notify
	watchers int
}

// Subscribe returns a channel that is closed by the next Notify of the key, and a function
// that must be called when the subscriber stops looking at it, whether it was closed or not.
//
// Subscribe before looking at the thing itself: what happens between a look and a
// subscription wakes nobody.
func (w *Watch[Key]) Subscribe(key Key) (happened <-chan struct{}, unsubscribe func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.topics == nil {
		w.topics = make(map[Key]*topic)
	}
	t := w.topics[key]
	if t == nil {
		t = &topic{happened: make(chan struct{})}
		w.topics[key] = t
		w.size.Add(1)
	}
	t.watchers++
	return t.happened, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		t.watchers--
		if t.watchers == 0 && w.topics[key] == t {
			delete(w.topics, key)
			w.size.Add(-1)
		}
	}
}

// Notify wakes everybody who has subscribed to the key until now.
func (w *Watch[Key]) Notify(key Key) {
	if w.size.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.topics[key]; t != nil {
		close(t.happened)
		delete(w.topics, key)
		w.size.Add(-1)
	}
}

// NotifyAll wakes everybody who has subscribed to anything until now.
func (w *Watch[Key]) NotifyAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, t := range w.topics {
		close(t.happened)
		delete(w.topics, key)
		w.size.Add(-1)
	}
}
