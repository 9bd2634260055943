package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// copyMark is a file in a store that is being filled with a copy. Whoever opens it is refused.
	copyMark = "LONGSHORE-COPY"
	// lockFile is how Pebble calls the file that it locks a directory by.
	lockFile = "LOCK"
)

// refuseUnfinishedCopy returns an error if the store is one that a copy was to fill.
func refuseUnfinishedCopy(files vfs.FS, directory string) error {
	_, err := files.Stat(files.PathJoin(directory, copyMark))
	switch {
	case err == nil:
		return fmt.Errorf("%s holds a part of a copy that was not finished; remove it, and copy again", directory)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("look whether the store is a copy: %w", err)
	}
}

// CopyTarget is a store that is filled with what is in another one. It implements
// queue.CopyTarget. It grows in a directory beside its own, of which it takes the name at the end.
type CopyTarget struct {
	fs        vfs.FS
	directory string
	partial   string
	lock      *pebble.Lock
	failure   *failure
	db        *pebble.DB // nil once it is closed
	batch     *pebble.Batch
	key       []byte
	value     []byte
	lanes     map[queue.Lane]*tally
	kept      bool
}

// CreateCopyTarget begins a store in a directory that is not there yet, or empty. The caller must
// close it. queue.ErrNotEmpty; ErrInUse.
func CreateCopyTarget(directory string) (*CopyTarget, error) {
	directory, err := filepath.Abs(directory) // which has no slash at its end
	if err != nil {
		return nil, fmt.Errorf("the directory of the store: %w", err)
	}
	return createCopyTarget(vfs.Default, directory)
}

func createCopyTarget(files vfs.FS, directory string) (*CopyTarget, error) {
	if err := requireVacant(files, directory); err != nil {
		return nil, err
	}
	t := &CopyTarget{
		fs: files, directory: directory, partial: directory + partialSuffix,
		failure: newFailure(queue.NopLogger{}, nil), lanes: make(map[queue.Lane]*tally),
	}
	if err := t.requireOurs(); err != nil {
		return nil, err
	}
	if err := files.MkdirAll(t.partial, 0o700); err != nil {
		return nil, fmt.Errorf("make the store's directory: %w", err)
	}
	var err error
	if t.lock, err = lockDirectory(files, t.partial); err != nil {
		return nil, err
	}
	if err := t.begin(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// requireVacant returns an error if there is anything in a directory.
func requireVacant(files vfs.FS, directory string) error {
	names, err := files.List(directory)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(names) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("look into the store's directory: %w", err)
	}
	if desc, err := pebble.Peek(directory, files); err == nil && desc.Exists {
		lock, err := lockDirectory(files, directory)
		if err == nil {
			err = lock.Close()
		}
		if err != nil {
			return err
		}
	}
	return queue.ErrNotEmpty
}

// begin removes what another copy has left that was cut short, and opens the store.
func (t *CopyTarget) begin() error {
	if err := t.clear(); err != nil {
		return err
	}
	mark, err := t.fs.Create(t.fs.PathJoin(t.partial, copyMark), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = io.WriteString(mark, "A store is being copied here.\n")
		err = errors.Join(err, mark.Sync(), mark.Close())
	}
	if err == nil {
		err = syncDirectory(t.fs, t.partial)
	}
	if err != nil {
		return fmt.Errorf("mark the copy: %w", err)
	}
	t.db, err = watch(t.failure, func() (*pebble.DB, error) {
		return openPebble(t.fs, t.partial, defaultLimits(), t.lock, &pebbleLogger{failure: t.failure, log: queue.NopLogger{}})
	})
	if err != nil {
		return err
	}
	t.batch = t.db.NewBatch()
	return nil
}

// requireOurs returns an error if the directory in which the copy is to grow has anything in it but
// what another copy has left.
func (t *CopyTarget) requireOurs() error {
	names, err := t.fs.List(t.partial)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at what is left of another copy: %w", err)
	case len(names) == 0, slices.Contains(names, copyMark), slices.Equal(names, []string{lockFile}):
		return nil
	default:
		return fmt.Errorf("%s, in which the copy is to grow, has something else in it", t.partial)
	}
}

// clear removes everything but the lock, and the mark for as long as there is anything else.
func (t *CopyTarget) clear() error {
	names, err := t.fs.List(t.partial)
	if err != nil {
		return fmt.Errorf("look at what is left of another copy: %w", err)
	}
	for _, name := range names {
		if name != lockFile && name != copyMark {
			if err := t.fs.RemoveAll(t.fs.PathJoin(t.partial, name)); err != nil {
				return fmt.Errorf("remove what is left of another copy: %w", err)
			}
		}
	}
	return nil
}

// Audit implements queue.CopyTarget.
func (t *CopyTarget) Audit(ctx context.Context) (queue.Audit, error) {
	return watch(t.failure, func() (queue.Audit, error) { return auditAll(ctx, reader{t.db}) })
}

// Keep implements queue.CopyTarget.
func (t *CopyTarget) Keep(context.Context) error {
	// Whoever opens the store replays what is in no other file than the log, as after any end.
	if _, err := watch(t.failure, func() (struct{}, error) { return struct{}{}, t.db.LogData(nil, pebble.Sync) }); err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	if err := t.closeDB(); err != nil {
		return err
	}
	// The directory was empty. If it is not any more it stays as it is, and the copy is not kept.
	if err := t.fs.Remove(t.directory); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make room for the store: %w", err)
	}
	if err := t.fs.Remove(t.fs.PathJoin(t.partial, copyMark)); err != nil {
		return fmt.Errorf("remove the mark of the copy: %w", err)
	}
	if err := syncDirectory(t.fs, t.partial); err != nil {
		return err
	}
	if err := t.fs.Rename(t.partial, t.directory); err != nil {
		return fmt.Errorf("name the store: %w", err)
	}
	t.kept = true
	return syncDirectory(t.fs, t.fs.PathDir(t.directory))
}

// Close ends the use of the store, and removes it unless it was kept.
func (t *CopyTarget) Close() error {
	err := t.closeDB()
	if !t.kept {
		err = errors.Join(err, t.fs.RemoveAll(t.partial))
	}
	return errors.Join(err, t.lock.Close())
}

func (t *CopyTarget) closeDB() error {
	if t.db == nil || t.failure.failed() { // then Pebble may hold any of its locks for ever
		return nil
	}
	db := t.db
	t.db = nil
	if err := closeBatch(t.batch, nil); err != nil {
		return err
	}
	if _, err := watch(t.failure, func() (struct{}, error) { return struct{}{}, db.Close() }); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}
