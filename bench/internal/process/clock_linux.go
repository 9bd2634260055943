package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clock returns the time that a process has spent on processors, threads that have ended included, exactly: /proc tells it
// to 10 ms, which is too much where short turns are compared, or the time of many processes is added up.
func clock(pid int) (time.Duration, error) {
	// What clock_getcpuclockid makes of a pid: CPUCLOCK_SCHED of a process.
	const sched = 2
	id := int32(^uint32(pid)<<3 | sched) //nolint:gosec // it is the kernel's way to write it
	var spent unix.Timespec
	if err := unix.ClockGettime(id, &spent); err != nil {
		return 0, fmt.Errorf("the processor time of process %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}
