package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// batcher holds the calls of one kind that wait for the next round, which answers all of them with
// one statement.
//
// It is ready once its functions and rounds are set.
type batcher[Call, Answer any] struct {
	rounds *rounds
	// prepare makes the statement that answers calls.
	prepare func(calls []Call) (prepared[Answer], error)
	size    func(*Call) int // how much of a round a call is; nil for 1

	mu      sync.Mutex // guards what follows
	waiting []*batched[Call, Answer]
	sum     int // the size of what waits
}

// prepared is a statement, and what it answers.
type prepared[Answer any] interface {
	// queue adds the statement, which is that one of the round. It may be called again, with nothing done.
	queue(batch *pgx.Batch, number int16)
	// answers returns an answer for each call, once the round is committed.
	answers(ctx context.Context) []Answer
}

type batched[Call, Answer any] struct {
	call   Call
	answer Answer
	err    error
	done   chan struct{}
}

// do blocks until the call has been answered, whether ctx ends or not.
func (b *batcher[Call, Answer]) do(call Call) (Answer, error) {
	mine := b.add(call)
	b.rounds.kick()
	<-mine.done
	return mine.answer, mine.err
}

// add has a call be part of the next round, which the caller has made; its done is closed when it
// was answered.
func (b *batcher[Call, Answer]) add(call Call) *batched[Call, Answer] {
	mine := &batched[Call, Answer]{call: call, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, mine)
	b.sum += b.sizeOf(&mine.call)
	b.mu.Unlock()
	return mine
}

// gathered is the size of what waits.
func (b *batcher[Call, Answer]) gathered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sum
}

func (b *batcher[Call, Answer]) sizeOf(call *Call) int {
	if b.size == nil {
		return 1
	}
	return b.size(call)
}

// take removes some calls from those that wait, and makes a part of a round of them; nil if there
// are none.
func (b *batcher[Call, Answer]) take() *batchPart[Call, Answer] {
	some := b.cut()
	if len(some) == 0 {
		return nil
	}
	return b.partOf(some)
}

func (b *batcher[Call, Answer]) cut() []*batched[Call, Answer] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < len(b.waiting) && (n == 0 || size < b.rounds.store.limits.round) {
		size += b.sizeOf(&b.waiting[n].call)
		n++
	}
	b.sum -= size
	some := b.waiting[:n:n]
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	} else {
		b.rounds.kick()
	}
	return some
}

// partOf returns a part that is answered already if no statement can be made for it.
func (b *batcher[Call, Answer]) partOf(some []*batched[Call, Answer]) *batchPart[Call, Answer] {
	calls := make([]Call, len(some))
	for i := range some {
		calls[i] = some[i].call
	}
	work, err := b.prepare(calls)
	p := &batchPart[Call, Answer]{batcher: b, some: some, work: work}
	if err != nil {
		p.work = nil
		for _, one := range some {
			one.err = err
			close(one.done)
		}
	}
	return p
}

// batchPart is what a round does of one kind.
type batchPart[Call, Answer any] struct {
	batcher *batcher[Call, Answer]
	some    []*batched[Call, Answer]
	work    prepared[Answer] // nil if they are answered
}

func (p *batchPart[Call, Answer]) queue(batch *pgx.Batch, number int16) {
	if p.work != nil {
		p.work.queue(batch, number)
	}
}

func (p *batchPart[Call, Answer]) calls() int { return len(p.some) }

// done answers the calls. If the round has failed without having changed anything, and there was
// something else in it, each is tried alone, so that no call suffers from its neighbours.
func (p *batchPart[Call, Answer]) done(ctx context.Context, err error, alone bool) {
	if p.work == nil {
		return
	}
	if err != nil && !isUnknown(err) && (!alone || len(p.some) > 1) {
		for _, one := range p.some {
			p.batcher.rounds.run(ctx, []part{p.batcher.partOf([]*batched[Call, Answer]{one})})
		}
		return
	}
	var answers []Answer
	if err == nil {
		answers = p.work.answers(ctx)
	}
	for i, one := range p.some {
		if one.err = err; err == nil {
			one.answer = answers[i]
		}
		close(one.done)
	}
}
