package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/longshore-queue/longshore/internal/queue"
)

// AuditDirectory audits a store that nobody has open, without changing anything in it. ErrInUse.
func AuditDirectory(ctx context.Context, directory string) (queue.Audit, error) {
	return auditDirectory(ctx, vfs.Default, directory)
}

func auditDirectory(ctx context.Context, files vfs.FS, directory string) (a queue.Audit, err error) {
	s, err := openStill(files, directory)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return auditAll(ctx, s.reader)
}

// still is a store that nobody has open, and of which nothing is changed.
type still struct {
	reader
	db   *pebble.DB
	lock *pebble.Lock
}

// openStill opens a store to be read. ErrInUse.
func openStill(files vfs.FS, directory string) (*still, error) {
	desc, err := pebble.Peek(directory, files)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !desc.Exists:
		return nil, fmt.Errorf("there is no store in %s", directory)
	case err != nil:
		return nil, fmt.Errorf("look for a store in %s: %w", directory, err)
	}
	lock, err := lockDirectory(files, directory)
	if err != nil {
		return nil, err
	}
	if err := refuseUnfinishedCopy(files, directory); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	cache := pebble.NewCache(cacheSize) // much is looked up by keys that are random
	defer cache.Unref()
	db, err := pebble.Open(directory, &pebble.Options{
		Cache: cache, FS: files, ReadOnly: true, Lock: lock, FormatMajorVersion: formatOfPebble, Logger: silent{},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", directory, err), lock.Close())
	}
	s := &still{reader: reader{db}, db: db, lock: lock}
	if _, err := s.format(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close lets others open the store.
func (s *still) Close() error { return errors.Join(s.db.Close(), s.lock.Close()) }

// silent is told what Pebble tells of its housekeeping. What it cannot do it returns as well.
type silent struct{}

// Infof implements pebble.Logger, as do the others.
func (silent) Infof(string, ...any) {}

// Errorf drops what it is told.
func (silent) Errorf(string, ...any) {}

// Fatalf ends the process: Pebble relies on it.
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
