package api

import (
	"sync"

	"github.com/google/uuid"
)

// remembered is how many channels each half of a memory has at most.
const remembered = 1 << 15

// memory remembers the channels of things, which do not change: those that were looked at last. The
// zero memory is ready to use.
//
// It spares a read of the store for each report on a lease that was granted here.
type memory struct {
	mu    sync.Mutex // guards young, old
	young map[uuid.UUID]string
	old   map[uuid.UUID]string // that were young before young was full once
}

// channel returns the channel of a thing; "" if it is not remembered.
func (m *memory) channel(thing uuid.UUID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if channel, found := m.young[thing]; found {
		return channel
	}
	channel, found := m.old[thing]
	if found {
		m.put(thing, channel)
	}
	return channel
}

// keep remembers the channel of a thing; "" is not remembered.
func (m *memory) keep(thing uuid.UUID, channel string) {
	if channel == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(thing, channel)
}

// put remembers a channel. m.mu is held.
func (m *memory) put(thing uuid.UUID, channel string) {
	if m.young == nil || len(m.young) == remembered {
		m.old, m.young = m.young, make(map[uuid.UUID]string)
	}
	m.young[thing] = channel
}
