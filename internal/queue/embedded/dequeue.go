package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

// Dequeue implements queue.JobQueue.
//
// Thousands may wait in here, each with its own stack: what is on it meanwhile is small.
func (s *Store) Dequeue(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error) {
	if err := request.Validate(); err != nil {
		return queue.Lease{}, err
	}
	if err := s.beginDequeue(); err != nil {
		return queue.Lease{}, err
	}
	defer s.dequeues.Done()
	answered := s.roster.Asked(&request, s.now())
	defer answered()
	end, err := s.underWay.Begin(request.Once)
	if err != nil {
		return queue.Lease{}, err
	}
	defer end()
	granted, err := s.leasesOf(request.Once)
	if err != nil {
		return queue.Lease{}, err
	}
	if len(granted) > 0 {
		return granted[0], nil
	}
	lanes, by := request.Lanes(), claimant{Holder: request.Holder(), once: request.Once}
	for {
		g, err := s.nextGrant(ctx, lanes, &by)
		if err != nil {
			return queue.Lease{}, err
		}
		l, err := s.deliver(g)
		if err == nil {
			return *l, nil
		}
		if !errors.Is(err, errUndeliverable) {
			return queue.Lease{}, err
		}
		// That job has failed; there may be another one.
		if err := s.forgetGrant(request.Once); err != nil {
			return queue.Lease{}, err
		}
	}
}

// beginDequeue has Close wait for the caller, who must call s.dequeues.Done.
func (s *Store) beginDequeue() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	s.dequeues.Add(1)
	return nil
}

// nextGrant claims the first ready job of the lanes, or waits until it is handed one.
func (s *Store) nextGrant(ctx context.Context, lanes []queue.Lane, by *claimant) (*grant, error) {
	waits := ctx.Err() == nil
	g, waiter, err := s.claimOrJoin(ctx, lanes, by)
	for errors.Is(err, errManyPassedOver) {
		if waits && ctx.Err() != nil {
			return nil, queue.ErrDequeueTimeout
		}
		g, waiter, err = s.claimOrJoin(ctx, lanes, by)
	}
	if err != nil || waiter == nil {
		return g, err
	}
	g, ok := waiter.Wait(ctx, s.closing)
	if ok {
		return g, nil
	}
	if ctx.Err() == nil {
		return nil, queue.ErrUnavailable // the store is closing
	}
	return nil, queue.ErrDequeueTimeout
}

// claimOrJoin claims the first ready job of the lanes. If there is none it joins the line, in
// the same breath, so that no job can become ready unnoticed in between: then the waiter is
// not nil.
func (s *Store) claimOrJoin(ctx context.Context, lanes []queue.Lane, by *claimant) (g *grant, waiter *wait.Waiter[claimant, *grant], err error) {
	if err := s.enter(); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	var refused error // after the change: who was held back stays so
	group, err := s.commit(func(c *change) error {
		j, err := s.firstPending(c, lanes)
		switch {
		case errors.Is(err, errManyPassedOver):
			refused = err
		case err != nil:
			return err
		case j != nil:
			g = new(grant)
			*g, err = c.claim(j, *by)
			return err
		case ctx.Err() != nil:
			refused = queue.ErrDequeueTimeout
		default:
			waiter = s.line.Join(lanes, *by)
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if g != nil {
		g.group = group
	}
	return g, waiter, err
}

// errManyPassedOver: so many of the first ready jobs have expired, or cannot be leased, that somebody else should
// have the mutex before one looks on. The change is to be made before: some of them may have been held back by it.
var errManyPassedOver = errors.New("many ready jobs cannot be leased")

// firstPending returns the first ready job of the lanes. One whose record cannot be read, one
// that has expired, which the timekeeper is about to notice, and one that is held back are passed over,
// and no other is held up by them. nil if there is none. errManyPassedOver.
func (s *Store) firstPending(c *change, lanes []queue.Lane) (*waitingJob, error) {
	for passed := 0; ; {
		l, ready, err := s.firstReady(lanes)
		if err != nil || l == nil {
			return nil, err
		}
		j, err := s.pending(c, l, ready)
		if err != nil {
			return nil, err
		}
		if j != nil {
			held, err := c.holdBack(j)
			if err != nil {
				return nil, err
			}
			if !held {
				return j, nil
			}
			c.taken = append(c.taken, *j)
		}
		s.removeReady(l.name, ready.at)
		passed++
		if passed > s.limits.settleStep {
			return nil, errManyPassedOver
		}
	}
}

// pending returns a ready job that can be leased; nil if it is to be passed over.
func (s *Store) pending(c *change, l *lane, ready readyJob) (*waitingJob, error) {
	r, err := c.readRecord(ready.id)
	switch {
	case err == nil && r.Expired(c.now):
		s.due.noticeEarlier()
		return nil, nil //nolint:nilnil // it is passed over
	case err == nil && r.State == queue.Pending:
		return &waitingJob{id: ready.id, lane: l.name, place: ready.at.place, record: r}, nil
	case err == nil:
		err = fmt.Errorf("it is %s: %w", r.State, queue.ErrDamaged)
	}
	if !errors.Is(err, queue.ErrDamaged) && !errors.Is(err, queue.ErrNotExist) {
		return nil, err
	}
	s.log.Error(err, "a ready job cannot be leased; it is passed over until the next start", "job", ready.id.String())
	return nil, nil //nolint:nilnil // it is passed over
}

// errUndeliverable: the job was leased, and failed at once, because no worker could ever be
// handed it.
var errUndeliverable = errors.New("the job cannot be handed out")

// deliver turns a grant into a lease that its caller may see: one that is on disk.
// errUndeliverable if there can be none.
func (s *Store) deliver(g *grant) (*queue.Lease, error) {
	if err := s.enterToDeliver(); err != nil {
		return nil, err
	}
	defer s.leave()
	l, err := s.buildLease(g, queue.MaxLeaseResults)
	var reason string
	switch {
	case err == nil:
		if g.lease != nil {
			g.lease.size.Store(int64(len(l.Args)))
		}
		if g.group != nil && !s.syncer.waitFor(g.group.urgent) {
			return nil, queue.ErrUnavailable
		}
		if s.observer != nil && !g.chosen.IsZero() {
			s.observer.Claimed(s.clock().Sub(g.chosen))
		}
		return &l, nil
	case errors.Is(err, errDependenciesTooLarge):
		reason = queue.ReasonDependenciesTooLarge
		s.log.Info("a job has failed: its dependencies made more than a lease may hold", "job", g.jobID.String())
	case errors.Is(err, queue.ErrDamaged):
		reason = queue.ReasonDamaged
		s.log.Error(err, "a job has failed: it cannot be read", "job", g.jobID.String())
	default: // it may be read another time
		_, releaseErr := s.release(g.token, 0)
		return nil, errors.Join(err, releaseErr)
	}
	_, err = s.requeueOrFinish(g.token, 0, queue.Outcome{Error: &queue.JobError{Reason: reason}})
	if err != nil && !errors.Is(err, queue.ErrCanceled) && !errors.Is(err, queue.ErrLeaseLost) {
		return nil, err
	}
	return nil, errUndeliverable
}

// DequeueByID implements queue.JobQueue.
func (s *Store) DequeueByID(_ context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error) {
	if err := queue.ValidateWorker(to.Worker); err != nil {
		return queue.Lease{}, err
	}
	if err := s.beginDequeue(); err != nil {
		return queue.Lease{}, err
	}
	defer s.dequeues.Done()
	end, err := s.underWay.Begin(once)
	if err != nil {
		return queue.Lease{}, err
	}
	defer end()
	granted, err := s.leasesOf(once)
	if err != nil {
		return queue.Lease{}, err
	}
	if len(granted) > 0 {
		return granted[0], nil
	}
	g, err := s.claimByID(id, claimant{Holder: to, once: once})
	if err != nil {
		return queue.Lease{}, err
	}
	l, err := s.deliver(&g)
	switch {
	case err == nil:
		return *l, nil
	case !errors.Is(err, errUndeliverable):
		return queue.Lease{}, err
	}
	if err := s.forgetGrant(once); err != nil {
		return queue.Lease{}, err
	}
	return queue.Lease{}, queue.ErrNotPending // any more
}

func (s *Store) claimByID(id uuid.UUID, by claimant) (g grant, err error) {
	if err := s.enter(); err != nil {
		return grant{}, err
	}
	defer s.leave()
	held := false
	group, err := s.commit(func(c *change) error {
		r, err := c.readRecord(id)
		if err != nil {
			return err
		}
		j, err := s.readJob(id, false)
		if err != nil {
			return err
		}
		waiting := waitingJob{id: id, lane: j.Lane(), place: j.place, record: r}
		if r.State == queue.Pending {
			if held, err = c.holdBack(&waiting); err != nil || held {
				return err
			}
		}
		g, err = c.claim(&waiting, by)
		return err
	})
	if err == nil && held {
		err = queue.ErrNotPending
	}
	if err != nil {
		return grant{}, s.answer(err)
	}
	g.group = group
	return g, nil
}
