package command

import "syscall"

// groupAttributes puts a command into a process group of its own, and ends its shell when the
// worker dies without a chance to.
func groupAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
