package embedded

import (
	"fmt"
	"sync"

	"github.com/longshore-queue/longshore/internal/queue"
)

// failure is the one way down: the first error of the log ends the store.
type failure struct {
	once sync.Once
	down chan struct{} // closed when the store has failed
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
		close(f.down)
		f.log.Error(err, "The store has failed and accepts nothing any more")
		if f.tell != nil {
			go f.tell(err)
		}
	})
}

func (f *failure) failed() bool {
	select {
	case <-f.down:
		return true
	default:
		return false
	}
}

// pebbleLogger is how Pebble speaks to us.
type pebbleLogger struct {
	failure *failure
	log     queue.SimpleLogger
}

// Infof drops what Pebble tells of its housekeeping.
func (pebbleLogger) Infof(string, ...any) {}

// Errorf passes on what Pebble could not do but will try again, such as a compaction.
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error(nil, "Pebble: "+fmt.Sprintf(format, args...))
}

// Fatalf fails the store. Pebble relies on its not returning, so the goroutine ends here: it
// is the syncer's, or one of Pebble's own. Callers do not hang with it, because all they wait
// for is the syncer, and they watch for the failure as well.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.failure.fail(fmt.Errorf("pebble: "+format, args...))
	select {}
}
