package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// rounds does the common things for all callers of this server: what gathered while one round was
// under way - jobs to be added, to be finished, to be claimed, heartbeats - goes together with the
// next one, a statement for each kind, in one transaction with one sync. A caller that is alone
// waits for nobody.
//
// One round is under way at a time, and a second one where that much has gathered that it is a full
// one. Now and then one has to be alone, for those who may have missed something in each. Rejected: more of them, or one for each kind. The database works for each statement about as long
// as for a dozen jobs in it, so that more rounds of fewer callers are slower for everybody.
type rounds struct {
	store *Store
	wake  chan struct{} // holds a token if there is something to do
}

// roundsAtOnce is how many rounds are under way at most. One keeps one process of the database busy,
// which nothing is added to while the answers of the round are on their way to the callers.
const roundsAtOnce = 2

// round is one transaction.
type round struct {
	parts []part
	// overlaps tells that another one was under way while it was: what it did not see or get may be
	// that one's.
	overlaps atomic.Bool
}

// part is what a round does of one kind.
type part interface {
	// queue adds its statements, the first of which is that one of the round. It is called again when the
	// round is made again, with nothing done.
	queue(batch *pgx.Batch, number int16)
	// done is called when the round is committed, or has failed; alone tells that there was nothing
	// else in it.
	done(ctx context.Context, err error, alone bool)
	// calls is how many callers it is for.
	calls() int
}

func (r *rounds) init(s *Store) {
	r.store = s
	r.wake = make(chan struct{}, 1)
}

// kick has a round be made soon.
func (r *rounds) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// runUntil makes rounds until ctx ends.
func (r *rounds) runUntil(ctx context.Context) {
	ended := make(chan *round, roundsAtOnce)
	underWay := make(map[*round]struct{}, roundsAtOnce)
	defer func() {
		for range underWay {
			<-ended
		}
	}()
	shuts := false // the round that is under way lets no other one overlap with it
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case one := <-ended:
			delete(underWay, one)
		}
		for len(underWay) == 0 || len(underWay) < roundsAtOnce && r.isFull() && !shuts && !r.store.claims.wantsApart() {
			if len(underWay) == 0 {
				shuts = r.store.claims.takeApart()
			}
			next := r.gather()
			if len(next.parts) == 0 {
				break
			}
			for other := range underWay {
				other.overlaps.Store(true)
				next.overlaps.Store(true)
			}
			underWay[next] = struct{}{}
			go func() {
				r.run(ctx, next.parts)
				ended <- next
			}()
		}
	}
}

// isFull reports whether what has gathered is as much as one round takes.
func (r *rounds) isFull() bool {
	size := r.store.limits.round
	return r.store.enqueues.gathered() >= size || r.store.finishes.gathered() >= size
}

// gather returns what there is to do. Claims come last, so that they find what the others make
// ready.
func (r *rounds) gather() *round {
	s, next := r.store, new(round)
	var parts []part
	if p := s.finishes.take(); p != nil {
		parts = append(parts, p)
	}
	if p := s.beats.take(); p != nil {
		parts = append(parts, p)
	}
	var added *addJobsPart
	if p := s.enqueues.take(); p != nil {
		parts = append(parts, p)
		added, _ = p.work.(*addJobsPart)
	}
	if p := s.claims.take(added, next); p != nil {
		parts = append(parts, p)
	}
	next.parts = parts
	return next
}

func (r *rounds) run(ctx context.Context, parts []part) {
	statements := 0
	began := time.Now()
	err := tryAgain(func() error {
		var batch pgx.Batch
		for _, p := range parts {
			p.queue(&batch, int16(batch.Len())) //nolint:gosec // few
		}
		if statements = batch.Len(); statements == 0 {
			return nil
		}
		return r.store.database(ctx, func(ctx context.Context) error { return r.store.pool.SendBatch(ctx, &batch).Close() })
	})
	if err != nil {
		// Before anybody is answered: who asks again must not be told from what this server has known until now. Should
		// everything have been looked at anew before done undoes a claim, nothing is lost: to undo only adds to what there
		// may be in a line, and a group stays marked while the round claims for its callers.
		r.store.tail.doubt(err)
	}
	if r.store.observer != nil && statements > 0 {
		r.store.observeRound(parts, time.Since(began), err)
	}
	for _, p := range parts {
		p.done(ctx, err, len(parts) == 1)
	}
}
