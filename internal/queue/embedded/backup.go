package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// backupMark is a file that a backup has and a store has not: whoever opens the backup first
	// ends all leases, and removes it. Pebble takes no notice of it.
	backupMark = "LONGSHORE-BACKUP"
	// partialSuffix is what a backup is called while it is made.
	partialSuffix = ".partial"
)

// Backup copies the store, as it is at one moment of the call, into a directory that is not there
// yet, while others use it. What was acknowledged before the call is in it. When it returns nil the
// copy is on disk; else there is none. Files that do not change any more are linked where the file
// system allows it. queue.ErrBackupExists; queue.ErrBackupUnderWay; queue.ErrUnavailable if the store is
// closed meanwhile.
//
// The copy is a store. Its leases end, at no cost to their jobs, when it is opened first: their
// holders work for the original.
func (s *Store) Backup(_ context.Context, directory string) (bytes int64, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if !s.backing.TryLock() {
		return 0, queue.ErrBackupUnderWay
	}
	defer s.backing.Unlock()
	if _, err := s.fs.Stat(directory); err == nil {
		return 0, queue.ErrBackupExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look for a backup: %w", err)
	}
	partial := directory + partialSuffix
	if err := s.fs.RemoveAll(partial); err != nil { // of one that a crash cut short
		return 0, fmt.Errorf("remove what is left of another backup: %w", err)
	}
	if bytes, err = s.backup(partial, directory); err != nil {
		return 0, errors.Join(err, s.fs.RemoveAll(partial))
	}
	return bytes, nil
}

func (s *Store) backup(partial, directory string) (bytes int64, err error) {
	if err := s.db.Checkpoint(partial, pebble.WithFlushedWAL()); err != nil {
		return 0, fmt.Errorf("copy the store: %w", err)
	}
	mark, err := s.fs.Create(s.fs.PathJoin(partial, backupMark), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = io.WriteString(mark, "Its leases end when it is opened first.\n")
		err = errors.Join(err, mark.Sync(), mark.Close())
	}
	if err == nil {
		err = syncDirectory(s.fs, partial)
	}
	if err != nil {
		return 0, fmt.Errorf("mark the backup: %w", err)
	}
	names, err := s.fs.List(partial)
	if err != nil {
		return 0, fmt.Errorf("look at the backup: %w", err)
	}
	for _, name := range names {
		info, err := s.fs.Stat(s.fs.PathJoin(partial, name))
		if err != nil {
			return 0, fmt.Errorf("look at the backup: %w", err)
		}
		bytes += info.Size()
	}
	if err := s.fs.Rename(partial, directory); err != nil {
		return 0, fmt.Errorf("name the backup: %w", err)
	}
	return bytes, syncDirectory(s.fs, s.fs.PathDir(directory))
}

func syncDirectory(files vfs.FS, directory string) error {
	d, err := files.OpenDir(directory)
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	return nil
}

// endLeasesOfBackup ends all leases if the store is a backup that nobody has opened yet. Should it
// be interrupted, the next start goes on.
func (s *Store) endLeasesOfBackup(directory string) error {
	mark := s.fs.PathJoin(directory, backupMark)
	if _, err := s.fs.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look whether the store is a backup: %w", err)
	}
	var tokens []uuid.UUID
	for token := range s.leases.byToken {
		tokens = append(tokens, token)
	}
	for some := range slices.Chunk(tokens, s.limits.settleStep) {
		err := s.settle(func(c *change) error {
			for _, token := range some {
				if _, err := c.end(token, endingByRelease(0)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("end the leases of a backup: %w", err)
		}
	}
	s.log.Info("the store is a backup; its leases have ended", "leases", fmt.Sprint(len(tokens)))
	if err := s.fs.Remove(mark); err != nil {
		return fmt.Errorf("remove the mark of a backup: %w", err)
	}
	return syncDirectory(s.fs, directory)
}
