package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// kept remembers what was made for each key. To find it takes no lock: there are few keys, and all of
// them come early.
type kept[K comparable, V any] struct {
	make func(K) V

	known atomic.Pointer[map[K]V]
	mu    sync.Mutex // held to replace known
}

func newKept[K comparable, V any](create func(K) V) *kept[K, V] {
	k := &kept[K, V]{make: create}
	k.known.Store(new(map[K]V))
	return k
}

// get returns what belongs to a key, and makes it if that was not asked for before.
func (k *kept[K, V]) get(key K) V {
	if v, found := (*k.known.Load())[key]; found {
		return v
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	known := *k.known.Load()
	if v, found := known[key]; found {
		return v
	}
	more := make(map[K]V, len(known)+1)
	maps.Copy(more, known)
	more[key] = k.make(key)
	k.known.Store(&more)
	return more[key]
}
