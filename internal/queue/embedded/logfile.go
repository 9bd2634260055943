package embedded

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logAhead is how far, in bytes, a log file is filled with zeros ahead of what is written to it.
const logAhead = 512 << 10

// logFS fills new log files with zeros a little ahead of what Pebble writes to them. Then a
// sync has neither the file's size nor its extents to write, which would take the file system's
// journal, and a third of the time. Pebble gets there by itself once it has log files to
// recycle, but a store that was just opened has none, and a quiet one has none for days.
//
// To Pebble the zeros are the end of the log, as what is left in a recycled file is.
type logFS struct {
	vfs.FS
	ahead int
}

// Create implements vfs.FS.
func (fs logFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &logFile{File: f, zeros: make([]byte, fs.ahead)}, nil
}

// Unwrap implements vfs.FS.
func (fs logFS) Unwrap() vfs.FS { return fs.FS }

// logFile is a new log file, which is written from its beginning on, by one goroutine.
type logFile struct {
	vfs.File
	zeros  []byte
	offset int64 // everything before it is written
	filled int64 // everything before it is written or zero; not less than offset
}

// Write implements vfs.File.
func (f *logFile) Write(p []byte) (int, error) {
	for f.filled < f.offset+int64(len(p)) {
		n, err := f.WriteAt(f.zeros, f.filled)
		f.filled += int64(n)
		if err != nil {
			// It would only have been faster. Whether p can be written is about to be seen.
			f.filled = max(f.filled, f.offset+int64(len(p)))
		}
	}
	n, err := f.File.Write(p)
	f.offset += int64(n)
	return n, err
}
