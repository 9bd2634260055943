package embedded

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/longshore-queue/longshore/internal/queue"
)

// backupFS ends a backup that is being made when the store is closed, or has failed. Pebble cannot be told
// to, but it gives up when it cannot write. Where files cannot be linked a backup copies all of them,
// for as long as that takes; and whoever closes the store would wait for it.
type backupFS struct {
	vfs.FS
	store   string // its directory, which may be called as a backup is
	closing <-chan struct{}
}

// Create implements vfs.FS.
func (fs backupFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !fs.isOfBackup(name) {
		return fs.FS.Create(name, category)
	}
	if isClosed(fs.closing) {
		return nil, queue.ErrUnavailable
	}
	f, err := fs.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return backupFile{File: f, closing: fs.closing}, nil
}

// Link implements vfs.FS.
func (fs backupFS) Link(oldname, newname string) error {
	if fs.isOfBackup(newname) && isClosed(fs.closing) {
		return queue.ErrUnavailable
	}
	return fs.FS.Link(oldname, newname)
}

// Unwrap implements vfs.FS.
func (fs backupFS) Unwrap() vfs.FS { return fs.FS }

// isOfBackup tells whether a file is part of a backup that is being made.
func (fs backupFS) isOfBackup(name string) bool {
	directory := filepath.Dir(name)
	return strings.HasSuffix(directory, partialSuffix) && directory != filepath.Clean(fs.store)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// backupFile is a file of a backup, which is written in pieces.
type backupFile struct {
	vfs.File
	closing <-chan struct{}
}

// Write implements vfs.File.
func (f backupFile) Write(p []byte) (int, error) {
	if isClosed(f.closing) {
		return 0, queue.ErrUnavailable
	}
	return f.File.Write(p)
}
