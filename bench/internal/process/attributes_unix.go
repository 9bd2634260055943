//go:build unix && !linux

package process

import "syscall"

// Attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// benchmark, which ends it in order. It cannot be told here that the benchmark has died.
func Attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
