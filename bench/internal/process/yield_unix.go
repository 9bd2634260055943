//go:build unix && !linux

package process

import (
	"fmt"
	"syscall"
)

// lowest is the lowest priority that there is.
const lowest = 19

// Yield gives a process the lowest priority.
func Yield(pid int) error {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, pid, lowest); err != nil {
		return fmt.Errorf("have process %d yield: %w", pid, err)
	}
	return nil
}
