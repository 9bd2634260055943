package limit

import (
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// memoryHigh and memoryLow are the parts of the limit, in percent, at which memory begins to be
	// short, and ceases to be: between them it is what it was, or callers would be let in and sent away
	// by turns.
	memoryHigh, memoryLow = 85, 75
	// memoryEvery is how long an answer is good for: reading takes microseconds, but calls are many.
	memoryEvery = 50 * time.Millisecond
	// collectEvery is how long after a collection memory that is short is collected again, at least, and collectPart
	// how many times as long as that took, so that it takes no more than that part of the processors.
	collectEvery, collectPart = time.Second, 20
)

// Memory tells when memory is short. The zero limit is none: then it never is.
type Memory struct {
	limit   uint64        // bytes
	used    func() uint64 // bytes
	collect func()

	mu         sync.Mutex // guards all below
	asked      time.Time
	short      bool
	collecting bool
	collectAt  time.Time // when to collect again, at the earliest
}

// NewMemory returns a Memory of so many bytes. used returns how many are used, such as Used. collect frees what can be
// freed, such as runtime.GC, on a goroutine of its own.
func NewMemory(limit int64, used func() uint64, collect func()) *Memory {
	return &Memory{limit: uint64(max(0, limit)), used: used, collect: collect}
}

// Short reports whether so much is used that nobody should be let in who wants more. Then it has memory collected: what is
// used is known of the last collection, and where everybody is sent away nothing makes another one come.
func (m *Memory) Short(now time.Time) bool {
	if m.limit == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked.IsZero() && now.Sub(m.asked) < memoryEvery {
		return m.short
	}
	m.asked = now
	bound := m.limit / 100 * memoryHigh
	if m.short {
		bound = m.limit / 100 * memoryLow
	}
	m.short = m.used() >= bound
	if m.short && !m.collecting && !now.Before(m.collectAt) {
		m.collecting = true
		go m.collectOnce()
	}
	return m.short
}

func (m *Memory) collectOnce() {
	began := time.Now()
	m.collect()
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collecting, m.collectAt = false, now.Add(max(collectEvery, collectPart*now.Sub(began)))
}

// Used returns how many bytes this process uses that a garbage collection would not free: what was
// live at the last one, the stacks, and what the runtime needs. With a memory limit the runtime
// lets garbage grow up to it, so that memory in use would tell nothing; it collects the more often
// the closer it gets, so that what was live at the last collection does.
func Used() uint64 {
	samples := [...]metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/metadata/mcache/inuse:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/profiling/buckets:bytes"},
		{Name: "/memory/classes/other:bytes"},
	}
	metrics.Read(samples[:])
	var used uint64
	for i := range samples {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			used += samples[i].Value.Uint64()
		}
	}
	return used
}
