//go:build unix && !linux

package disk

import "os"

// datasync writes the file to the disk.
func datasync(f *os.File) error { return f.Sync() }
