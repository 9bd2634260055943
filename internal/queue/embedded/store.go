package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

const (
	// cacheSize bounds what Pebble keeps in memory, in bytes: blocks of its files, and the
	// changes that are not in a file yet.
	cacheSize = 128 << 20
	// memTableSize bounds the changes that are not in a file yet, in bytes. Replaying them
	// is what opening waits for.
	memTableSize = 32 << 20
	// enoughMemory is how much memory a process should have, in bytes, for a store to keep as much in it as is of use:
	// about a third of that.
	enoughMemory = 512 << 20
	// sequenceStride is how many places are set aside at once, so that the highest one need
	// not be written with every job. A restart wastes what is left of them.
	sequenceStride = 1 << 16
)

// formatOfPebble is named, so that a new Pebble does not change stores in passing.
const formatOfPebble = pebble.FormatValueSeparation

// limits are the sizes that a test, or a process with little memory, may want to be small.
type limits struct {
	// settleStep is how many dependents one change tells, so that a big graph does not keep
	// every other caller waiting for the mutex.
	settleStep int
	// unlinkStep is how many dependents a job may have to be purged at once with others. One that
	// has more is hidden, and purged by itself later.
	unlinkStep int
	// windowRefill is how many ready jobs of a lane are read from disk at once, at most.
	// Twice as many are kept in memory, at most.
	windowRefill int
	// logAhead is how far log files are filled ahead; 0 for not at all.
	logAhead int
	// eventsKept is how many events are kept for those who read slowly, or come back.
	eventsKept int
	// recordsKept is how many records are cached at least; twice as many at most.
	recordsKept int
	// cacheSize and memTableSize are Pebble's, in bytes.
	cacheSize, memTableSize int64
}

func defaultLimits() limits {
	return limits{
		settleStep: 256, unlinkStep: 16, windowRefill: 256, logAhead: logAhead, eventsKept: 1 << 16, recordsKept: 1 << 15,
		cacheSize: cacheSize, memTableSize: memTableSize,
	}
}

// within makes what is kept in memory as much smaller as a process has less than enough, 0 is no bound.
func (l limits) within(memory int64) limits {
	if memory > 0 && memory < enoughMemory {
		part := func(size int64) int64 { return max(size*(memory>>10)/(enoughMemory>>10), 1) }
		l.eventsKept, l.recordsKept = int(part(int64(l.eventsKept))), int(part(int64(l.recordsKept)))
		l.cacheSize, l.memTableSize = part(l.cacheSize), part(l.memTableSize)
	}
	return l
}

// DefaultIdempotencyTTL is how long calls with an idempotency key are remembered.
const DefaultIdempotencyTTL = 24 * time.Hour

// ErrInUse is returned by Open if another process, or this one, has the directory open.
var ErrInUse = errors.New("the store's directory is in use by another server")

// Options are what a Store may be given. The zero value works.
type Options struct {
	// Logger is told what an operator should know; nil for nobody.
	Logger queue.SimpleLogger
	// Clock tells the time; nil for time.Now. Heartbeats are measured with it, so it should
	// carry monotonic time.
	Clock func() time.Time
	// IdempotencyTTL is how long calls with an idempotency key are remembered; 0 for
	// DefaultIdempotencyTTL.
	IdempotencyTTL time.Duration
	// MemoryLimit is how much memory the process should use, in bytes: a store keeps less in memory where that is below
	// 512 MiB. 0 is no bound.
	MemoryLimit int64
	// OnFailure is called once, on a goroutine of its own, if the store fails. The process
	// should end then: the store answers queue.ErrUnavailable from there on, and what was
	// not acknowledged may or may not be found when it is opened again.
	OnFailure func(error)
	// Observer is told what the store does; nil for nobody.
	Observer Observer
}

// Store is a queue in one directory, or in memory. It implements queue.JobQueue.
type Store struct {
	reader   // of db
	db       *pebble.DB
	fs       vfs.FS
	lock     *pebble.Lock
	log      queue.SimpleLogger
	clock    func() time.Time
	failure  *failure
	observer Observer // nil if there is none
	syncer   *syncer
	closing  <-chan struct{} // closed when nobody should wait any more
	endWaits func()          // closes closing
	leases   leaseTable
	roster   wait.Roster
	events   *wait.Events
	line     wait.Line[claimant, *grant]
	changed  wait.Watch[uuid.UUID] // jobs
	due      dueIndex
	pruning  pruning
	backing  sync.Mutex // held while a backup is made
	underWay wait.CallsUnderWay
	onceTTL  time.Duration

	timekeeperDone chan struct{} // closed when the timekeeper has ended

	life     sync.RWMutex   // held for reading by every call while it uses db
	stopping bool           // guarded by life; no call may begin
	closed   bool           // guarded by life; db is not to be used
	dequeues sync.WaitGroup // calls that may be handed a lease, or have it and not delivered it

	// mu makes one change at a time: from reading what the change depends on, to committing
	// it, to updating what is kept in memory of it. The disk is never waited for under it.
	mu      sync.Mutex
	limits  limits
	lanes   map[queue.Lane]*lane // guarded by mu; a lane that is absent has no ready job
	tallies tallies              // guarded by mu
	records recordCache          // guarded by mu
	current change               // guarded by mu; the change that is being made
	// unsettled is guarded by mu: settlements that a failed step left undone.
	unsettled []settlement
	// reviving is guarded by mu: the retries that are under way, by their root.
	reviving map[uuid.UUID]*retry
	sequence uint64 // guarded by mu; the newest place given out
	ceiling  uint64 // guarded by mu; no place above it was promised on disk
}

// claimant is what a waiting worker asks for, besides its lanes.
type claimant struct {
	queue.Holder
	once queue.Once
}

// Open opens the store in a directory, and makes it if it is not there. Every lease that is
// not over gets a fresh heartbeat. ErrInUse if somebody else has it open.
//
// The time it takes does not depend on how many jobs there are, only on how many leases are
// live and how many lanes have ready jobs; but for the first time that a store is opened by a version
// that has another format: see takeFormat.
func Open(directory string, options Options) (*Store, error) {
	return open(vfs.Default, directory, options, defaultLimits().within(options.MemoryLimit))
}

// OpenMemory opens an empty store that is gone when the process is.
func OpenMemory(options Options) (*Store, error) {
	limits := defaultLimits().within(options.MemoryLimit)
	limits.logAhead = 0 // there is no disk to be faster for
	return open(vfs.NewMem(), "memory", options, limits)
}

func open(fs vfs.FS, directory string, options Options, limits limits) (*Store, error) {
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.IdempotencyTTL == 0 {
		options.IdempotencyTTL = DefaultIdempotencyTTL
	}
	if err := fs.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	lock, err := lockDirectory(fs, directory)
	if err != nil {
		return nil, err
	}
	if err := refuseUnfinishedCopy(fs, directory); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if limits.logAhead > 0 {
		fs = logFS{FS: fs, ahead: limits.logAhead}
	}
	closing := make(chan struct{})
	endWaits := sync.OnceFunc(func() { close(closing) })
	fs = backupFS{FS: fs, store: directory, closing: closing}
	failure := newFailure(options.Logger, func(err error) {
		endWaits()
		if options.OnFailure != nil {
			options.OnFailure(err)
		}
	})
	db, err := watch(failure, func() (*pebble.DB, error) {
		return openPebble(fs, directory, limits, lock, &pebbleLogger{failure: failure, log: options.Logger})
	})
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Store{
		reader:  reader{db},
		db:      db,
		fs:      fs,
		events:  wait.NewEvents(limits.eventsKept, options.Clock()),
		lock:    lock,
		log:     options.Logger,
		clock:   options.Clock,
		failure: failure,

		observer: options.Observer,
		endWaits: endWaits,
		closing:  closing,
		limits:   limits,
		onceTTL:  options.IdempotencyTTL,
		lanes:    make(map[queue.Lane]*lane),
		records:  recordCache{most: limits.recordsKept},
		reviving: make(map[uuid.UUID]*retry),

		timekeeperDone: make(chan struct{}),
	}
	s.due.earlier = make(chan struct{}, 1)
	s.due.dueBounds = dueBounds{from: []byte{prefixDue}, next: never} // loadDue finds them
	s.syncer = newSyncer(func() error { return db.LogData(nil, pebble.Sync) }, failure.down, failure.fail)
	if s.observer != nil {
		s.syncer.observe = s.observer.Synced
	}
	s.syncer.start()
	err = s.load()
	if err == nil {
		err = s.endLeasesOfBackup(directory)
	}
	if err != nil {
		close(s.timekeeperDone) // a store of another format must not be written to
		return nil, errors.Join(err, s.Close())
	}
	go s.runTimekeeper()
	return s, nil
}

// lockDirectory keeps others from opening a store. ErrInUse.
func lockDirectory(fs vfs.FS, directory string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(directory, fs)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, unix.EAGAIN), strings.Contains(err.Error(), "lock held by current process"):
		return nil, fmt.Errorf("lock %s: %w", directory, ErrInUse)
	default:
		return nil, fmt.Errorf("lock the store's directory %s: %w", directory, err)
	}
}

func openPebble(fs vfs.FS, directory string, limits limits, lock *pebble.Lock, logger *pebbleLogger) (*pebble.DB, error) {
	cache := pebble.NewCache(limits.cacheSize)
	defer cache.Unref() // the DB holds it from here on
	db, err := pebble.Open(directory, &pebble.Options{
		Cache:              cache,
		FS:                 fs,
		FormatMajorVersion: formatOfPebble,
		EventListener: &pebble.EventListener{
			// Pebble's own way would be to end the process; but damage concerns the reads
			// that meet it, which return it.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				logger.Errorf("damage in %s: %v", info.Path, info.Details)
			},
			BackgroundError: func(err error) { logger.Errorf("%v", err) },
		},
		Lock:         lock,
		Logger:       logger,
		MemTableSize: uint64(limits.memTableSize), //nolint:gosec // it is positive
	})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", directory, err)
	}
	return db, nil
}

// load reads what is kept in memory: nothing that grows with the backlog.
func (s *Store) load() error {
	if err := s.takeFormat(); err != nil {
		return err
	}
	if err := s.loadSequence(); err != nil {
		return err
	}
	if err := s.loadTallies(); err != nil {
		return err
	}
	if err := s.loadDue(); err != nil {
		return err
	}
	if err := s.loadLanes(); err != nil {
		return err
	}
	if err := s.loadLeases(); err != nil {
		return err
	}
	if err := s.resumeRevivals(); err != nil {
		return err
	}
	return s.resumeSettlements()
}

func (s *Store) loadSequence() (err error) {
	s.sequence, err = s.highestPlace()
	s.ceiling = s.sequence
	return err
}

// highestPlace returns a place above which none was given out.
func (v reader) highestPlace() (uint64, error) {
	value, found, err := v.get([]byte(keySequence))
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the highest place: %w", err)
	case !found:
		return 0, nil
	case len(value) != 8:
		return 0, fmt.Errorf("the highest place: %w", queue.ErrDamaged)
	default:
		return binary.BigEndian.Uint64(value), nil
	}
}

// Close waits for the calls that are under way, ends those that wait for a job or make a backup, and closes
// the store. It may be called again. It returns an error if the store has failed before.
func (s *Store) Close() error {
	drained := make(chan bool, 1)
	go func() { drained <- s.drain() }()
	select {
	case first := <-drained:
		if !first {
			return nil
		}
	case <-s.failure.down: // callers may hang in Pebble for ever
	}
	err := s.closePebble()
	if lockErr := s.lock.Close(); lockErr != nil {
		err = errors.Join(err, fmt.Errorf("unlock the store: %w", lockErr))
	}
	return err
}

// drain refuses new calls, ends the waits of those under way, and waits for them; false if
// that was done before.
func (s *Store) drain() bool {
	s.endWaits() // first: a backup that is being made would hold up all that follows, and every call
	s.life.Lock()
	first := !s.stopping
	s.stopping = true
	s.life.Unlock()
	// Whoever has been handed a lease delivers it: a lease that nobody holds costs its job the
	// heartbeat timeout and a retry.
	s.dequeues.Wait()
	<-s.timekeeperDone
	s.life.Lock()
	s.closed = true
	s.life.Unlock()
	return first
}

// closePebble closes the database, unless the store has failed, before or by it: then Pebble
// may hold any of its locks for ever, and all that is left to do is to let others open the
// directory, which the end of the process does as well.
func (s *Store) closePebble() error {
	if s.failure.failed() || !s.syncer.close() {
		return queue.ErrUnavailable
	}
	if _, err := watch(s.failure, func() (struct{}, error) { return struct{}{}, s.db.Close() }); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

// Ready returns nil if the store is open and working, else queue.ErrUnavailable.
func (s *Store) Ready(context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	s.leave()
	return nil
}

// enter begins a use of the database; the caller must leave, and must not wait for anything
// but the disk before it does.
func (s *Store) enter() error { return s.enterUnless(&s.stopping) }

// enterToDeliver is enter for a call that was under way before Close, which waits for it.
func (s *Store) enterToDeliver() error { return s.enterUnless(&s.closed) }

func (s *Store) enterUnless(refused *bool) error {
	s.life.RLock()
	if *refused || s.failure.failed() {
		s.life.RUnlock()
		return queue.ErrUnavailable
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// now returns the time as it is stored: UTC, in whole microseconds.
func (s *Store) now() time.Time { return storedTime(s.clock()) }

func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// durable waits until the group is on disk.
func (s *Store) durable(group *syncGroup) error {
	if group != nil && !s.syncer.wait(group) {
		return queue.ErrUnavailable
	}
	return nil
}

// answer waits until all is on disk that the caller may have read, so that its answer holds
// after a crash, and returns err. It is for answers that change nothing, refusals included.
func (s *Store) answer(err error) error {
	if !s.syncer.waitForSeen() {
		return queue.ErrUnavailable
	}
	return err
}
