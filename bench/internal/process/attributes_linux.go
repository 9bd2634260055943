package process

import "syscall"

// attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// benchmark, which ends it in order; and ends it when the benchmark dies without a chance to.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
