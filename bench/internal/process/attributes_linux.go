package process

import "syscall"

// Attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// benchmark, which ends it in order; and sends it a signal when the benchmark dies without a
// chance to end it.
func Attributes(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
