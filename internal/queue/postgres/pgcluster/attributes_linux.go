package pgcluster

import "syscall"

// attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// process; and ends it when that dies without a chance to. SIGQUIT is PostgreSQL's immediate
// shutdown, which leaves no shared memory behind as SIGKILL does.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: owner}
}
