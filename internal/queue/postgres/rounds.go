package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// rounds does the common things for all callers of this server: what gathered while one round was
// under way - jobs to be added, to be finished, to be claimed, heartbeats - goes together with the
// next one, a statement for each kind, in one transaction with one sync. A caller that is alone
// waits for nobody.
//
// One round is under way at a time. Rejected: several, or one for each kind. The database works for
// each statement about as long as for a dozen jobs in it, so that more rounds of fewer callers are
// slower for everybody.
type rounds struct {
	store *Store
	wake  chan struct{} // holds a token if there is something to do
}

// part is what a round does of one kind.
type part interface {
	// queue adds its statements, the first of which is that one of the round.
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
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		if parts := r.gather(); len(parts) > 0 {
			r.run(ctx, parts)
		}
	}
}

// gather returns what there is to do. Claims come last, so that they find what the others make
// ready.
func (r *rounds) gather() (parts []part) {
	s := r.store
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
	if p := s.claims.take(added); p != nil {
		parts = append(parts, p)
	}
	return parts
}

func (r *rounds) run(ctx context.Context, parts []part) {
	var batch pgx.Batch
	for _, p := range parts {
		p.queue(&batch, int16(batch.Len())) //nolint:gosec // few
	}
	var err error
	began := time.Now()
	if batch.Len() > 0 {
		err = r.store.database(ctx, func(ctx context.Context) error { return r.store.pool.SendBatch(ctx, &batch).Close() })
	}
	if err != nil {
		r.store.tail.doubt(err)
	}
	if r.store.observer != nil && batch.Len() > 0 {
		r.store.observeRound(parts, time.Since(began), err)
	}
	for _, p := range parts {
		p.done(ctx, err, len(parts) == 1)
	}
}
