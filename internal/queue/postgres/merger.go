package postgres

import "sync"

// batchSize is how much of what has gathered goes together at most.
const batchSize = 500

// merger merges calls into changes: while one is made others gather, and go together with the next
// one. There is one change at a time in the whole database anyway.
//
// The zero merger is ready to use.
type merger[Call, Answer any] struct {
	mu      sync.Mutex // guards what follows
	waiting []*batched[Call, Answer]
	active  bool // somebody answers what waits
}

// do blocks until the call has been answered by run, with others if there are any. If run fails
// without having changed anything each is tried alone.
func (m *merger[Call, Answer]) do(call Call, run func([]Call) ([]Answer, error)) (Answer, error) {
	mine := &batched[Call, Answer]{call: call, done: make(chan struct{})}
	m.mu.Lock()
	m.waiting = append(m.waiting, mine)
	lead := !m.active
	m.active = true
	m.mu.Unlock()
	if lead {
		go m.lead(run)
	}
	<-mine.done
	return mine.answer, mine.err
}

func (m *merger[Call, Answer]) lead(run func([]Call) ([]Answer, error)) {
	for {
		m.mu.Lock()
		n := min(len(m.waiting), batchSize)
		some := m.waiting[:n:n]
		m.waiting = m.waiting[n:]
		m.active = n > 0
		m.mu.Unlock()
		if n == 0 {
			return
		}
		m.answer(some, run)
	}
}

func (m *merger[Call, Answer]) answer(some []*batched[Call, Answer], run func([]Call) ([]Answer, error)) {
	calls := make([]Call, len(some))
	for i := range some {
		calls[i] = some[i].call
	}
	answers, err := run(calls)
	if err != nil && len(some) > 1 && !isUnknown(err) {
		for _, one := range some {
			m.answer([]*batched[Call, Answer]{one}, run)
		}
		return
	}
	for i, one := range some {
		if one.err = err; err == nil {
			one.answer = answers[i]
		}
		close(one.done)
	}
}
