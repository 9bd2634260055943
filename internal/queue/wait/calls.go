package wait

import (
	"sync"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CallsUnderWay holds the idempotency keys of calls that have not been answered.
// The zero CallsUnderWay is ready to use.
type CallsUnderWay struct {
	mu   sync.Mutex // guards keys
	keys map[string]struct{}
}

// Begin is called before a call looks for what was answered to its key: queue.ErrKeyInUse if
// another one is at it. The caller must call end.
func (u *CallsUnderWay) Begin(once queue.Once) (end func(), err error) {
	if !once.Given() {
		return func() {}, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, found := u.keys[once.Key]; found {
		return nil, queue.ErrKeyInUse
	}
	if u.keys == nil {
		u.keys = make(map[string]struct{})
	}
	u.keys[once.Key] = struct{}{}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.keys, once.Key)
	}, nil
}
