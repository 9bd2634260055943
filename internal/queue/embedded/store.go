package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

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
	// sequenceStride is how many places are set aside at once, so that the highest one need
	// not be written with every job. A restart wastes what is left of them.
	sequenceStride = 1 << 16
)

// ErrInUse is returned by Open if another process, or this one, has the directory open.
var ErrInUse = errors.New("the store's directory is in use by another server")

// Options are what a Store may be given. The zero value works.
type Options struct {
	// Logger is told what an operator should know; nil for nobody.
	Logger queue.SimpleLogger
	// Clock tells the time; nil for time.Now. Heartbeats are measured with it, so it should
	// carry monotonic time.
	Clock func() time.Time
	// OnFailure is called once, on a goroutine of its own, if the store fails. The process
	// should end then: the store answers queue.ErrUnavailable from there on, and what was
	// not acknowledged may or may not be found when it is opened again.
	OnFailure func(error)
}

// Store is a queue in one directory, or in memory. It implements queue.JobQueue.
type Store struct {
	db      *pebble.DB
	lock    *pebble.Lock
	log     queue.SimpleLogger
	clock   func() time.Time
	failure *failure
	syncer  *syncer
	closing chan struct{} // closed when Close is called
	leases  leaseTable
	line    wait.Line[claimant, grant]
	over    wait.Watch[uuid.UUID]

	life   sync.RWMutex // held for reading by every call while it uses db
	closed bool         // guarded by life

	// mu makes one change at a time: from reading what the change depends on, to committing
	// it, to updating what is kept in memory of it. The disk is never waited for under it.
	mu       sync.Mutex
	lanes    map[queue.Lane]*lane // guarded by mu; a lane that is absent has no ready job
	records  recordCache          // guarded by mu
	current  change               // guarded by mu; the change that is being made
	sequence uint64               // guarded by mu; the newest place given out
	ceiling  uint64               // guarded by mu; no place above it was promised on disk
}

// claimant is what a waiting worker asks for, besides its lanes.
type claimant struct {
	worker string
}

// Open opens the store in a directory, and makes it if it is not there. Every lease that is
// not over gets a fresh heartbeat. ErrInUse if somebody else has it open.
//
// The time it takes does not depend on how many jobs there are, only on how many leases are
// live and how many lanes have ready jobs.
func Open(directory string, options Options) (*Store, error) {
	return open(vfs.Default, directory, options)
}

// OpenMemory opens an empty store that is gone when the process is.
func OpenMemory(options Options) (*Store, error) {
	return open(vfs.NewMem(), "memory", options)
}

func open(fs vfs.FS, directory string, options Options) (*Store, error) {
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if err := fs.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	lock, err := pebble.LockDirectory(directory, fs)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w (%w)", directory, ErrInUse, err)
	}
	failure := newFailure(options.Logger, options.OnFailure)
	db, err := watch(failure, func() (*pebble.DB, error) {
		return openPebble(fs, directory, lock, &pebbleLogger{failure: failure, log: options.Logger})
	})
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Store{
		db:      db,
		lock:    lock,
		log:     options.Logger,
		clock:   options.Clock,
		failure: failure,
		closing: make(chan struct{}),
		lanes:   make(map[queue.Lane]*lane),
	}
	s.syncer = newSyncer(func() error { return db.LogData(nil, pebble.Sync) }, failure.down, failure.fail)
	s.syncer.start()
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func openPebble(fs vfs.FS, directory string, lock *pebble.Lock, logger *pebbleLogger) (*pebble.DB, error) {
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref() // the DB holds it from here on
	db, err := pebble.Open(directory, &pebble.Options{
		Cache:              cache,
		FS:                 fs,
		FormatMajorVersion: pebble.FormatNewest,
		Lock:               lock,
		Logger:             logger,
		MemTableSize:       memTableSize,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", directory, err)
	}
	return db, nil
}

// load reads what is kept in memory: nothing that grows with the backlog.
func (s *Store) load() error {
	if err := s.loadFormat(); err != nil {
		return err
	}
	if err := s.loadSequence(); err != nil {
		return err
	}
	if err := s.loadLanes(); err != nil {
		return err
	}
	if err := s.loadLeases(); err != nil {
		return err
	}
	return s.resumeSettlements()
}

func (s *Store) loadFormat() error {
	value, found, err := s.get([]byte(keyFormat))
	switch {
	case err != nil:
		return fmt.Errorf("read the store's format: %w", err)
	case !found:
		group, err := s.change(func(c *change) error {
			c.set(append(c.key[:0], keyFormat...), append(c.value[:0], formatVersion))
			return nil
		})
		if err == nil {
			err = s.durable(group)
		}
		if err != nil {
			return fmt.Errorf("write the store's format: %w", err)
		}
		return nil
	case len(value) != 1 || value[0] != formatVersion:
		return fmt.Errorf("the store has format %x; this version of the server reads format %d only", value, formatVersion)
	}
	return nil
}

func (s *Store) loadSequence() error {
	value, found, err := s.get([]byte(keySequence))
	if err != nil {
		return fmt.Errorf("read the highest place: %w", err)
	}
	if found && len(value) != 8 {
		return fmt.Errorf("the highest place: %w", queue.ErrDamaged)
	}
	if found {
		s.sequence = binary.BigEndian.Uint64(value)
		s.ceiling = s.sequence
	}
	return nil
}

// Close waits for the calls that are under way, ends those that wait for a job, and closes
// the store. It may be called again. It returns an error if the store has failed before.
func (s *Store) Close() error {
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	s.life.Unlock()
	err := s.closePebble()
	if lockErr := s.lock.Close(); lockErr != nil {
		err = errors.Join(err, fmt.Errorf("unlock the store: %w", lockErr))
	}
	return err
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

// Ready returns nil if the store is open and working, else queue.ErrUnavailable. It does not
// block.
func (s *Store) Ready(context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	s.leave()
	return nil
}

// enter begins a use of the database; the caller must leave, and must not wait for anything
// but the disk before it does.
func (s *Store) enter() error {
	s.life.RLock()
	if s.closed || s.failure.failed() {
		s.life.RUnlock()
		return queue.ErrUnavailable
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// now returns the time as it is stored: UTC, in whole microseconds.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

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
