//go:build unix && !linux

package pgcluster

import "syscall"

// attributes puts a server into a process group of its own, so that a Ctrl-C reaches only the
// process. When that is killed the server ends as its directory is removed.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: owner}
}
