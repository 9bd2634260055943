// Package collect says how often the runtime collects memory.
package collect

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// slack is how many bytes are allocated between two collections at least. The runtime's own rule, as
	// much as is in use, has a server that keeps little in memory collect many times a second.
	slack = 64 << 20
	// usualPercent is the runtime's own rule.
	usualPercent = 100
)

// Less has memory be collected less often while little is in use, in the whole process: not before 64 MiB
// were allocated. A memory limit holds all the same. Where GOGC says something else than the runtime's own
// rule, that holds.
func Less() {
	if before := debug.SetGCPercent(usualPercent); before != usualPercent {
		debug.SetGCPercent(before)
		return
	}
	var adjust func()
	adjust = func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(percentFor(live[0].Value.Uint64()))
		// What nobody refers to is cleaned up after the next collection.
		runtime.AddCleanup(new([64]byte), func(again func()) { again() }, adjust)
	}
	adjust()
}

// percentFor is how much may be allocated until the next collection, in percent of what is in use.
func percentFor(live uint64) int {
	return max(usualPercent, int(slack*100/max(live, 1<<20))) //nolint:gosec // at most 6400
}
