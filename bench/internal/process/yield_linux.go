package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Yield has a process, and all that it starts from then on, run only while a processor has nothing else
// to do, and stop at once where it has: with a low priority alone it would end its turn first.
func Yield(pid int) error {
	for changed := true; changed; { // a thread may start another one meanwhile
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("have process %d yield: %w", pid, err)
		}
		changed = false
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return fmt.Errorf("have process %d yield: %w", pid, err)
			}
			now, err := unix.SchedGetAttr(id, 0)
			if err == nil && now.Policy != unix.SCHED_IDLE {
				changed = true
				err = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) { // which has ended
				return fmt.Errorf("have process %d yield: thread %d: %w", pid, id, err)
			}
		}
	}
	return nil
}
