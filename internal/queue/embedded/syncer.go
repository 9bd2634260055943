package embedded

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// syncer turns the waits of many committers into few syncs of the log.
//
// A committer joins the next group after its commit; the sync of that group begins after the
// join, so it covers the commit. While one sync is under way the next group gathers.
type syncer struct {
	syncLog func() error // makes durable all that was committed before the call
	failed  <-chan struct{}
	onError func(error)
	observe func(took time.Duration, callers int) // nil, or whom to tell of each sync

	mu   sync.Mutex // guards next
	next *syncGroup // joined since the newest sync began; nil if nobody has

	kick chan struct{} // holds one token while next is waiting to be noticed
	stop chan struct{}
	done chan struct{}

	// Commits that have begun, that are complete, and that are known to be on disk. What a
	// commit writes can be seen between its beginning and its completion.
	begun, committed, synced atomic.Uint64
}

// syncGroup is all whose commits are made durable by one sync.
type syncGroup struct {
	callers int           // guarded by syncer.mu, while the group gathers
	done    chan struct{} // closed when the sync has succeeded
	// urgent is closed right after done, which makes those who wait for it run before those
	// who wait for done: whoever is woken last is the next to run. A worker that has waited
	// for a job should not wait until its producer has been answered as well.
	urgent chan struct{}
}

func newSyncer(syncLog func() error, failed <-chan struct{}, onError func(error)) *syncer {
	return &syncer{
		syncLog: syncLog,
		failed:  failed,
		onError: onError,
		kick:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

func (y *syncer) start() { go y.run() }

// close stops the goroutine after the sync of everybody who has joined, and waits for it;
// false if the log has failed.
func (y *syncer) close() bool {
	close(y.stop)
	select {
	case <-y.done:
	case <-y.failed: // the goroutine may hang in Pebble for ever
	}
	select {
	case <-y.failed:
		return false
	default:
		return true
	}
}

func (y *syncer) run() {
	defer close(y.done)
	for {
		select {
		case <-y.kick:
			if !y.syncNext() {
				return
			}
		case <-y.stop:
			y.syncNext()
			return
		}
	}
}

// syncNext syncs for the group that has gathered; false if the log has failed.
func (y *syncer) syncNext() bool {
	// Whoever is about to commit may do so first: under load that makes the groups larger and
	// the syncs fewer, and a caller that is alone waits for nobody.
	runtime.Gosched()
	y.mu.Lock()
	group := y.next
	y.next = nil
	y.mu.Unlock()
	if group == nil {
		return true
	}
	committed := y.committed.Load()
	began := time.Now()
	if err := y.syncLog(); err != nil {
		y.onError(err)
		return false
	}
	took := time.Since(began)
	y.synced.Store(committed)
	close(group.done)
	close(group.urgent)
	if y.observe != nil {
		y.observe(took, group.callers)
	}
	return true
}

// join returns the group whose sync covers everything committed until now. Committers call it
// under the store's mutex, after their commit.
func (y *syncer) join() *syncGroup {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.next == nil {
		y.next = &syncGroup{done: make(chan struct{}), urgent: make(chan struct{})}
		y.kick <- struct{}{} // never blocks: it is empty whenever next is nil
	}
	y.next.callers++
	return y.next
}

// wait blocks until the group's sync is done; false if the log has failed before.
func (y *syncer) wait(group *syncGroup) bool { return y.waitFor(group.done) }

func (y *syncer) waitFor(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-y.failed:
		return false
	}
}

// waitForSeen blocks until everything is on disk that a caller may have read by now; false if
// the log has failed.
func (y *syncer) waitForSeen() bool {
	if y.synced.Load() >= y.begun.Load() {
		return true
	}
	return y.wait(y.join())
}
