//go:build unix

package client

import (
	"os"
	"syscall"
)

// lockFile takes the file for this process, or fails at once. The lock ends with the process,
// however that ends.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
