//go:build unix && !linux

package process

import "time"

// clock would return the time that a process has spent on processors.
func clock(int) (time.Duration, error) { return 0, ErrUnknown }
