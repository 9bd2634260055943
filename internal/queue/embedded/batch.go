package embedded

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

// DequeueBatch takes reports on leases, each with an outcome of its own, and leases up to
// request.Max jobs, in one change; fewer, if what they hold would be more than one lease may. If
// no job is ready it waits as Dequeue does, and then leases one; the end of ctx is no error. With
// request.Once a call that is repeated returns the leases of the first one that are still held,
// and with request.ReportOnly no other; reports can be repeated anyway. ErrKeyReused, ErrKeyInUse,
// ErrLeaseLost as for Dequeue; with request.Strict also the error of the first report that is
// refused. After another error nothing that was leased stays so.
func (s *Store) DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
	if err := request.Validate(); err != nil {
		return queue.BatchAnswer{}, err
	}
	if err := s.beginDequeue(); err != nil {
		return queue.BatchAnswer{}, err
	}
	defer s.dequeues.Done()
	if !request.ReportOnly {
		answered := s.roster.Asked(&request.DequeueRequest, s.now())
		defer answered()
	}
	end, err := s.underWay.Begin(request.Once)
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	defer end()
	granted, err := s.leasesOf(request.Once)
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	e := &exchange{store: s, request: &request, lanes: request.Lanes(), only: request.ReportOnly || len(granted) > 0}
	if err = e.make(ctx); err == nil && !e.only {
		granted, err = e.leases(ctx)
	}
	if err != nil {
		e.abandon()
		return queue.BatchAnswer{}, err
	}
	return queue.BatchAnswer{Reported: e.reported, Leases: granted}, nil
}

// exchange is one call to DequeueBatch.
type exchange struct {
	store    *Store
	request  *queue.BatchRequest
	lanes    []queue.Lane
	only     bool // there is nothing to be leased, only reports
	reported []queue.Reported
	grants   []grant
	waiter   *wait.Waiter[claimant, *grant] // nil unless the call is in line
	// passedOver: nothing was claimed, because of errManyPassedOver; the call is to look on.
	passedOver bool
}

// make makes the change. What its reports make ready is handed to it if it waits; if it does
// not, it looks once more.
func (e *exchange) make(ctx context.Context) error {
	if err := e.try(ctx, e.request.Reports); err != nil {
		return err
	}
	if e.only || e.waiter != nil || len(e.grants) > 0 || len(e.request.Reports) == 0 {
		return nil
	}
	return e.try(ctx, nil)
}

func (e *exchange) try(ctx context.Context, reports []queue.Report) error {
	waits := ctx.Err() == nil
	for {
		e.passedOver = false
		if err := e.change(ctx, reports); err != nil || !e.passedOver || waits && ctx.Err() != nil {
			return err
		}
		reports = nil // they are made
	}
}

func (e *exchange) change(ctx context.Context, reports []queue.Report) error {
	s := e.store
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.settle(func(c *change) error {
		c.meetAgain() // one of the jobs may depend on another
		reported, err := c.reportAll(reports, e.request.Strict)
		if err != nil {
			return err
		}
		if len(reports) > 0 {
			e.reported = reported
		}
		if e.only {
			return nil
		}
		e.grants, err = c.claimMany(e.lanes, e.request.Max, claimant{Holder: e.request.Holder()})
		if e.passedOver = errors.Is(err, errManyPassedOver); err != nil && !e.passedOver {
			return err
		}
		switch {
		case e.passedOver:
		case len(e.grants) > 0:
			if e.request.Once.Given() {
				c.setOnce(e.request.Once, &onceEntry{tokens: tokensOf(e.grants)})
			}
		case ctx.Err() == nil:
			e.waiter = s.line.Join(e.lanes, claimant{Holder: e.request.Holder(), once: e.request.Once})
		}
		return nil
	})
}

func tokensOf(grants []grant) []uuid.UUID {
	tokens := make([]uuid.UUID, len(grants))
	for i := range grants {
		tokens[i] = grants[i].token
	}
	return tokens
}

// reportAll takes reports one by one. It fails only if the store does, or if strict says so.
func (c *change) reportAll(reports []queue.Report, strict bool) ([]queue.Reported, error) {
	reported := make([]queue.Reported, len(reports))
	for i := range reports {
		state, err := c.reportOne(&reports[i])
		if err != nil && (strict || !isRefusal(err)) {
			return nil, err
		}
		reported[i] = queue.Reported{State: state, Err: err}
	}
	return reported, nil
}

func (c *change) reportOne(report *queue.Report) (queue.State, error) {
	if report.Failure == nil {
		return c.end(report.Token, endingBy(0, queue.Outcome{Result: report.Result}))
	}
	if err := report.Failure.Validate(); err != nil {
		return 0, err
	}
	return c.end(report.Token, c.store.endingByFailure(*report.Failure))
}

// isRefusal reports whether an error is an answer to one report, and not the store's trouble.
func isRefusal(err error) bool {
	var invalid *queue.InvalidError
	return errors.As(err, &invalid) || errors.Is(err, queue.ErrNotExist) || errors.Is(err, queue.ErrLeaseLost) ||
		errors.Is(err, queue.ErrCanceled) || errors.Is(err, queue.ErrAlreadyReported) || errors.Is(err, queue.ErrDamaged)
}

// claimMany claims the first ready jobs of the lanes, up to most. errManyPassedOver.
func (c *change) claimMany(lanes []queue.Lane, most int, by claimant) (grants []grant, err error) {
	for len(grants) < most {
		j, err := c.store.firstPending(c, lanes)
		if errors.Is(err, errManyPassedOver) && len(grants) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		if j == nil {
			break
		}
		g, err := c.claim(j, by)
		if err != nil {
			return nil, err
		}
		// At once, so that the next look finds the next one.
		c.store.removeReady(j.lane, j.at())
		c.taken = append(c.taken, *j)
		grants = append(grants, g)
	}
	return grants, nil
}

// leases returns what was claimed, or waits for one job.
func (e *exchange) leases(ctx context.Context) (leases []queue.Lease, err error) {
	s := e.store
	for {
		if e.waiter != nil {
			g, ok := e.waiter.Wait(ctx, s.closing)
			e.waiter = nil
			if !ok && ctx.Err() == nil {
				return nil, queue.ErrUnavailable // the store is closing
			}
			if ok {
				e.grants = []grant{*g}
			}
		}
		if leases, err = e.deliver(); err != nil {
			return nil, err
		}
		if len(leases) > 0 || len(e.grants) == 0 {
			return leases, nil
		}
		e.grants = nil
		if err := s.forgetGrant(e.request.Once); err != nil {
			return nil, err
		}
		if err := e.try(ctx, nil); err != nil {
			return nil, err
		}
	}
}

// deliver turns the grants into leases. Those that would make the answer larger than the largest
// lease are given back: a server and a worker have to hold it.
func (e *exchange) deliver() (leases []queue.Lease, err error) {
	var size int64
	leases = make([]queue.Lease, 0, len(e.grants))
	for i := range e.grants {
		g := &e.grants[i]
		if size > queue.MaxDependencyBytes {
			if _, err := e.store.release(g.token, 0); err != nil {
				return nil, err
			}
			continue
		}
		l, err := e.store.deliver(g)
		if errors.Is(err, errUndeliverable) {
			continue // that job has failed; there may be another one
		}
		if err != nil {
			return nil, err
		}
		size += heldBy(l)
		leases = append(leases, *l)
	}
	return leases, nil
}

// heldBy is how many bytes a lease holds that are not ours to bound.
func heldBy(l *queue.Lease) int64 {
	size := len(l.Args)
	for i := range l.Dependencies {
		size += sizeOfOutcome(l.Dependencies[i].Result, l.Dependencies[i].Error)
	}
	return int64(size) + l.Withheld
}

// abandon undoes what the call was granted, or might be: nobody will hear of it.
func (e *exchange) abandon() {
	if e.waiter != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if g, ok := e.waiter.Wait(over, e.store.closing); ok {
			e.grants = append(e.grants, *g)
		}
	}
	for _, g := range e.grants {
		// One that was not committed after all does not exist, and the caller has an error
		// already.
		_, _ = e.store.release(g.token, 0)
	}
}
