package pgtest

import "syscall"

// attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// tests; and ends it when they die without a chance to. SIGQUIT is PostgreSQL's immediate
// shutdown, which leaves no shared memory behind as SIGKILL does.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: owner}
}
