// Package where says of a profile of the server which parts of it the time, the memory or the waits
// belong to.
package where

import (
	"strings"

	"github.com/google/pprof/profile"
)

// part is a part of the server, and the functions that belong to it.
type part struct {
	name string
	// packages begin the names of its functions.
	packages []string
	// beneath has only those count that are called, directly or not, by functions that begin so.
	beneath []string
}

const (
	module = "github.com/longshore-queue/longshore/internal/"
	// others is what belongs to no part.
	others = "others"
)

// parts are looked for in this order, from the innermost function of a stack outwards: what a library or
// the runtime does for somebody is that one's.
func parts() []part {
	syscalls := []string{"internal/runtime/syscall", "syscall.", "runtime.futex", "golang.org/x/sys/unix."}
	return []part{
		{name: "the disk: writing and syncing", packages: syscalls, beneath: []string{"github.com/cockroachdb/pebble", module + "queue/embedded"}},
		{name: "the connections to PostgreSQL", packages: syscalls, beneath: []string{"github.com/jackc/pgx"}},
		{name: "the connections of clients", packages: syscalls, beneath: []string{"net/http."}},
		{name: "memory: collecting it", packages: []string{"runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcDrain", "runtime.gcStart", "runtime.sweepone"}},
		{name: "memory: allocating it", packages: []string{"runtime.mallocgc", "runtime.growslice", "runtime.makeslice", "runtime.newobject"}},
		{name: "goroutines: waking, switching, idling", packages: []string{
			"runtime.schedule", "runtime.findRunnable", "runtime.mcall", "runtime.park_m", "runtime.goready", "runtime.ready", "runtime.wakep", "runtime.futex",
			"runtime.netpoll", "runtime.sysmon", "runtime.goschedImpl", "runtime.gopark", "runtime.chansend", "runtime.chanrecv", "runtime.selectgo",
			"runtime.newproc", "runtime.systemstack", "runtime.mstart", "sync.runtime_", "internal/sync.runtime_",
		}},
		{name: "Pebble", packages: []string{"github.com/cockroachdb/"}},
		{name: "pgx", packages: []string{"github.com/jackc/"}},
		{name: "JSON", packages: []string{"encoding/json", "github.com/goccy", "github.com/go-json", module + "api/oapi", "unicode/utf8."}, beneath: []string{module + "api"}},
		{name: "the engine", packages: []string{module + "queue"}},
		{name: "the edge: routes, checks, answers, logs", packages: []string{module, "github.com/labstack/", "github.com/oapi-codegen/", "github.com/sirupsen/"}},
		{name: "HTTP", packages: []string{"net/http", "net/textproto", "net.", "internal/poll.", "bufio."}},
	}
}

// partOf returns the part that a stack belongs to, innermost function first.
func partOf(stack []string, in []part) string {
	for at, function := range stack {
		for i := range in {
			if in[i].has(function) && in[i].isBeneath(stack[at+1:]) {
				return in[i].name
			}
		}
	}
	return others
}

func (p *part) has(function string) bool {
	for _, prefix := range p.packages {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}

func (p *part) isBeneath(callers []string) bool {
	if len(p.beneath) == 0 {
		return true
	}
	for _, caller := range callers {
		for _, prefix := range p.beneath {
			if strings.HasPrefix(caller, prefix) {
				return true
			}
		}
	}
	return false
}

// stackOf returns the names of a sample's functions, the innermost first.
func stackOf(s *profile.Sample) []string {
	var stack []string
	for _, location := range s.Location {
		for _, line := range location.Line {
			if line.Function != nil {
				stack = append(stack, line.Function.Name)
			}
		}
	}
	return stack
}
