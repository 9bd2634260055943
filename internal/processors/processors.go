// Package processors says how many threads run this program's code at the same time.
package processors

import "runtime"

// OneMore has one thread more than there are processors run code, in the whole process: for one that spends
// its time in calls which wait for a disk. The runtime counts such a thread as one that runs until it
// has looked twice whether it does, so that of two processors one would do nothing for most of each sync.
// Where GOMAXPROCS says something else than the runtime's own rule, that holds. The number is not
// changed any more when the processors that a container may use are.
func OneMore() {
	before := runtime.GOMAXPROCS(0)
	runtime.SetDefaultGOMAXPROCS()
	after := runtime.GOMAXPROCS(0)
	if before == after {
		after++
	} else {
		after = before
	}
	runtime.GOMAXPROCS(after)
}
