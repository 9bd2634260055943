package embedded

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// failure is the one way down: the first error of the log ends the store.
type failure struct {
	once sync.Once
	down chan struct{} // closed when the store has failed
	err  error         // why; to be read after down was closed
	log  queue.SimpleLogger
	tell func(error) // nil, or whom to tell
}

func newFailure(log queue.SimpleLogger, tell func(error)) *failure {
	return &failure{down: make(chan struct{}), log: log, tell: tell}
}

// fail marks the store as failed. Only the first call has an effect. It does not block: it is
// called from within Pebble, which may hold any of its locks.
func (f *failure) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.down)
		f.log.Error(err, "the store has failed and accepts nothing any more")
		if f.tell != nil {
			go f.tell(err)
		}
	})
}

// watch calls f, which calls Pebble, on a goroutine of its own, and returns what it returns;
// or, if the store fails by it or meanwhile, why it did. Pebble panics where it cannot go on.
func watch[T any](failure *failure, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				failure.fail(fmt.Errorf("pebble: %v", r))
			}
		}()
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-failure.down:
		var none T
		return none, failure.err
	}
}

func (f *failure) failed() bool {
	select {
	case <-f.down:
		return true
	default:
		return false
	}
}

// complaintInterval is the least time between two of Pebble's complaints in the log. It tries
// again at once what failed, and on a full disk it complains thousands of times a second.
const complaintInterval = 5 * time.Second

// pebbleLogger is how Pebble speaks to us.
type pebbleLogger struct {
	failure *failure
	log     queue.SimpleLogger
	last    atomic.Int64 // when it complained last, in nanoseconds since the epoch
}

// Infof drops what Pebble tells of its housekeeping.
func (*pebbleLogger) Infof(string, ...any) {}

// Errorf passes on what Pebble could not do but will try again, such as a compaction.
func (l *pebbleLogger) Errorf(format string, args ...any) {
	now, last := time.Now().UnixNano(), l.last.Load()
	if now-last < int64(complaintInterval) || !l.last.CompareAndSwap(last, now) {
		return
	}
	l.log.Error(nil, "pebble: "+fmt.Sprintf(format, args...))
}

// Fatalf fails the store. Pebble relies on its not returning, so its goroutine waits here for
// the end of the process. Callers do not hang with it: whatever of Pebble's may call Fatalf is
// called on another goroutine than theirs, and they watch for the failure as well.
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	l.failure.fail(fmt.Errorf("pebble: "+format, args...))
	select {}
}
