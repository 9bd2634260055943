package app

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open, if there is a bound. Go has raised it
// to what the system allows.
func openFiles() (files int, known bool) {
	var bound syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &bound) != nil || bound.Cur > math.MaxInt32 {
		return 0, false
	}
	return int(bound.Cur), true
}
