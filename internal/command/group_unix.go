//go:build unix

package command

import (
	"errors"
	"syscall"
)

// signal sends a signal to every process of the group. That none is left is no error, and
// neither is one that may not be signaled: it changed its user, and nothing can be done.
func (p *process) signal(signal syscall.Signal) { _ = syscall.Kill(-p.group, signal) }

// alive reports whether the group has a process, be it one that nobody has waited for yet.
func (p *process) alive() bool { return !errors.Is(syscall.Kill(-p.group, 0), syscall.ESRCH) }
