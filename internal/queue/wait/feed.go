package wait

import (
	"context"
	"sync"
	"sync/atomic"
)

// Feed keeps the newest of a stream of items, and wakes those who wait for one. Its memory is
// bounded, and so is what a reader that is slow costs the others: it is told how many items it has
// missed. An item has a number, from 1 on, and Keys; a reader that waits names the keys that it
// waits for, so that an item which nobody wants wakes nobody.
//
// Rejected: a buffer for each reader, which the one who appends fills. A thousand readers would
// make each item a thousand times as dear to those who are in a hurry.
//
// All methods are safe for concurrent use.
type Feed[Item any, Key comparable] struct {
	mu      sync.Mutex // guards what follows
	items   []Item     // that with number n is at n modulo their number
	last    uint64     // the number of the newest item; 0 if there is none
	waiting map[Key]map[*feedWaiter]struct{}
	all     map[*feedWaiter]struct{}
	size    atomic.Int64 // of those that wait, so that Append costs next to nothing without them
}

// feedWaiter is a reader that waits.
type feedWaiter struct {
	first chan uint64 // holds the number of the item that woke it
}

// NewFeed returns a Feed that keeps so many items.
func NewFeed[Item any, Key comparable](keep int) *Feed[Item, Key] {
	return &Feed[Item, Key]{
		items: make([]Item, keep), waiting: make(map[Key]map[*feedWaiter]struct{}), all: make(map[*feedWaiter]struct{}),
	}
}

// Append adds an item, and wakes who waits for one of its keys, or for any item.
func (f *Feed[Item, Key]) Append(item Item, keys ...Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.items[f.last%uint64(len(f.items))] = item
	if f.size.Load() == 0 {
		return
	}
	f.wake(f.all)
	for _, key := range keys {
		f.wake(f.waiting[key])
	}
}

// wake wakes waiters, once each. f.mu is held.
func (f *Feed[Item, Key]) wake(waiters map[*feedWaiter]struct{}) {
	for w := range waiters {
		select {
		case w.first <- f.last:
		default: // it was woken by another key
		}
		delete(waiters, w)
	}
}

// Last returns the number of the newest item.
func (f *Feed[Item, Key]) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// Read calls use with the items after a number, in their order, at most so many of them, until it
// returns false, and returns the number of the last one that was looked at, and how many were not
// there any more. use must not call the feed, and should be quick.
func (f *Feed[Item, Key]) Read(after uint64, most int, use func(number uint64, item *Item) bool) (upTo, missed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kept := uint64(len(f.items)); f.last > kept && after < f.last-kept {
		missed = f.last - kept - after
		after = f.last - kept
	}
	for ; after < f.last && most > 0; most-- {
		after++
		if !use(after, &f.items[after%uint64(len(f.items))]) {
			break
		}
	}
	return after, missed
}

// Wait blocks until there is an item after a number that is wanted, and returns the number before
// it. Every item that is wanted has one of the keys; none means that any may be wanted. false if ctx
// or closing ends.
func (f *Feed[Item, Key]) Wait(ctx context.Context, closing <-chan struct{}, after uint64, keys []Key, wanted func(*Item) bool) (uint64, bool) {
	w := &feedWaiter{first: make(chan uint64, 1)}
	if found, is := f.findOrJoin(w, after, keys, wanted); is {
		return found - 1, true
	}
	defer f.leave(w, keys)
	select {
	case first := <-w.first:
		return first - 1, true
	case <-ctx.Done():
	case <-closing:
	}
	return after, false
}

// findOrJoin returns the first item after a number that is wanted, or, in the same breath, has the
// reader wait for one.
func (f *Feed[Item, Key]) findOrJoin(w *feedWaiter, after uint64, keys []Key, wanted func(*Item) bool) (found uint64, is bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := uint64(len(f.items))
	for n := after + 1; n <= f.last; n++ {
		if f.last-n >= kept || wanted(&f.items[n%kept]) { // one that is not kept any more may have been
			return n, true
		}
	}
	f.size.Add(1)
	if len(keys) == 0 {
		f.all[w] = struct{}{}
	}
	for _, key := range keys {
		if f.waiting[key] == nil {
			f.waiting[key] = make(map[*feedWaiter]struct{})
		}
		f.waiting[key][w] = struct{}{}
	}
	return 0, false
}

func (f *Feed[Item, Key]) leave(w *feedWaiter, keys []Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size.Add(-1)
	delete(f.all, w)
	for _, key := range keys {
		waiters := f.waiting[key]
		delete(waiters, w)
		if len(waiters) == 0 {
			delete(f.waiting, key)
		}
	}
}
