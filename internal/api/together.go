package api

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// atOnce is how many calls to the queue one request has under way at most.
const atOnce = 32

// together calls do for 0 to n-1, several at a time, and returns when all have returned: each
// waits for the disk, and those that wait at the same time wait for the same write. If one
// panics, so does together.
func together(n int, do func(i int)) {
	var (
		group    sync.WaitGroup
		next     atomic.Int64
		panicked atomic.Pointer[panicError]
	)
	for range min(n, atOnce) {
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panicked.CompareAndSwap(nil, &panicError{value: p, stack: debug.Stack()})
				}
			}()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
	if p := panicked.Load(); p != nil {
		panic(p)
	}
}
