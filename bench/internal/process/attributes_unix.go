//go:build unix && !linux

package process

import "syscall"

// attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// benchmark, which ends it in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
