package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// batchSize is how much one statement takes of what has gathered, at most.
	batchSize = 500
	// batchesAtOnce is how many statements of one kind may be under way. With a second one, the
	// database works on it while the first one waits for its disk.
	batchesAtOnce = 2
)

// batcher merges the calls of concurrent callers: while a statement is under way others gather,
// and go together with the next one. A caller that is alone waits for nobody.
//
// The zero batcher is ready once run is set.
type batcher[Call, Answer any] struct {
	// run answers all calls of a list. If it fails without having changed anything, and there
	// were several calls, each is tried alone, so that no call suffers from its neighbours.
	run  func(ctx context.Context, calls []Call) ([]Answer, error)
	size func(*Call) int // how much of batchSize a call is; nil for 1

	mu      sync.Mutex // guards what follows
	waiting []*batched[Call, Answer]
	active  int // statements under way
}

type batched[Call, Answer any] struct {
	call   Call
	answer Answer
	err    error
	done   chan struct{}
}

// do blocks until the call has been answered, whether ctx ends or not.
func (b *batcher[Call, Answer]) do(ctx context.Context, call Call) (Answer, error) {
	mine := &batched[Call, Answer]{call: call, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, mine)
	lead := b.active < batchesAtOnce
	if lead {
		b.active++
	}
	b.mu.Unlock()
	if lead {
		// For itself and for those who come meanwhile; when it has its own answer, another
		// goroutine goes on for the rest.
		b.lead(ctx, mine)
	}
	<-mine.done
	return mine.answer, mine.err
}

// lead runs statements until nobody waits any more, or it has the answer that it wants.
func (b *batcher[Call, Answer]) lead(ctx context.Context, mine *batched[Call, Answer]) {
	for {
		some := b.take()
		if len(some) == 0 {
			return
		}
		b.answer(ctx, some)
		select {
		case <-mine.done:
			go b.lead(context.WithoutCancel(ctx), &batched[Call, Answer]{})
			return
		default:
		}
	}
}

// take removes some calls from those that wait; if there are none, one statement less is active.
func (b *batcher[Call, Answer]) take() []*batched[Call, Answer] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.waiting) && (n == 0 || size < batchSize) {
		if b.size == nil {
			size++
		} else {
			size += b.size(&b.waiting[n].call)
		}
		n++
	}
	some := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	if n == 0 {
		b.active--
	}
	return some
}

func (b *batcher[Call, Answer]) answer(ctx context.Context, some []*batched[Call, Answer]) {
	calls := make([]Call, len(some))
	for i := range some {
		calls[i] = some[i].call
	}
	answers, err := b.run(ctx, calls)
	if err != nil && len(some) > 1 && !errors.Is(err, queue.ErrUnavailable) {
		for _, one := range some {
			b.answer(ctx, []*batched[Call, Answer]{one})
		}
		return
	}
	for i := range some {
		if some[i].err = err; err == nil {
			some[i].answer = answers[i]
		}
		close(some[i].done)
	}
}
