package disk

import (
	"os"
	"syscall"
)

// datasync writes the file's bytes to the disk, and its size, but not its times.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
