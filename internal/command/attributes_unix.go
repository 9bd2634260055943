//go:build unix && !linux

package command

import "syscall"

// groupAttributes puts a command into a process group of its own.
func groupAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
