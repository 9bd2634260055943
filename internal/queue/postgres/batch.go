package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// DequeueBatch takes reports on leases, each with an outcome of its own, and leases up to
// request.Max jobs; fewer, if what they hold would be more than one lease may. If no job is ready it
// waits as Dequeue does; the end of ctx is no error. With request.Once a call that is repeated
// returns the leases of the first one that are still held, and with request.ReportOnly no other;
// reports can be repeated anyway. ErrKeyReused, ErrKeyInUse, ErrLeaseLost as for Dequeue; with
// request.Strict also the error of the first report that is refused.
func (s *Store) DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error) {
	if err := request.Validate(); err != nil {
		return queue.BatchAnswer{}, err
	}
	if err := s.enter(); err != nil {
		return queue.BatchAnswer{}, err
	}
	defer s.leave()
	if request.ReportOnly {
		return s.reportOnly(ctx, &request)
	}
	return s.exchange(ctx, &request)
}

// exchange takes reports and leases jobs. What was ready before the reports goes first, as on every
// engine; if that was nothing, what they make ready.
func (s *Store) exchange(ctx context.Context, request *queue.BatchRequest) (answer queue.BatchAnswer, err error) {
	t, err := newTaking(s, request)
	if err != nil {
		return answer, err
	}
	if len(request.Reports) > 0 && (t.allPlain() || !request.Strict) {
		// To finish jobs makes nothing else ready, so that may go in the same round as the claim.
		finishing := t.beginPlain()
		over, cancel := context.WithCancel(ctx)
		cancel()
		answer.Leases, err = s.dequeue(over, &request.DequeueRequest, request.Max)
		s.rounds.kick()
		if waitErr := t.endPlain(finishing); err == nil {
			err = waitErr
		}
	}
	if err == nil {
		answer.Reported, err = t.reported, t.takeRest(ctx)
	}
	if err == nil && len(answer.Leases) == 0 {
		answer.Leases, err = s.dequeue(ctx, &request.DequeueRequest, request.Max)
	}
	if err != nil {
		tokens := make([]uuid.UUID, len(answer.Leases))
		for i := range answer.Leases {
			tokens[i] = answer.Leases[i].Token
		}
		once := request.Once
		if isRule(err) {
			once = queue.Once{} // who comes again is refused as well
		}
		s.giveBack(ctx, tokens, once) // nobody will hear of them
		return queue.BatchAnswer{}, err
	}
	return answer, nil
}

func (s *Store) reportOnly(ctx context.Context, request *queue.BatchRequest) (queue.BatchAnswer, error) {
	end, err := s.underWay.Begin(request.Once)
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	defer end()
	leases, err := s.leasesOf(ctx, request.Once)
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	t, err := newTaking(s, request)
	if err == nil && !request.Strict {
		err = t.endPlain(t.beginPlain())
	}
	if err == nil {
		err = t.takeRest(ctx)
	}
	if err != nil {
		return queue.BatchAnswer{}, err
	}
	return queue.BatchAnswer{Reported: t.reported, Leases: leases}, nil
}

// taking are the reports of one call, on their way.
type taking struct {
	store    *Store
	strict   bool
	reported []queue.Reported
	calls    []reportCall // that are not answered yet
	indexes  []int        // where their answers belong
}

// newTaking fails if a report is not valid and the call is strict.
func newTaking(s *Store, request *queue.BatchRequest) (*taking, error) {
	t := &taking{store: s, strict: request.Strict}
	if n := len(request.Reports); n > 0 {
		t.reported = make([]queue.Reported, n)
	}
	for i := range request.Reports {
		report := &request.Reports[i]
		e := requeueOrFinish(0, queue.Outcome{Result: report.Result})
		if report.Failure != nil {
			if err := report.Failure.Validate(); err != nil {
				if t.strict {
					return nil, err
				}
				t.reported[i].Err = err
				continue
			}
			e = fail(*report.Failure)
		}
		t.calls, t.indexes = append(t.calls, reportCall{token: report.Token, ending: e}), append(t.indexes, i)
	}
	return t, nil
}

// allPlain reports whether all reports say that a job is finished.
func (t *taking) allPlain() bool {
	return !slices.ContainsFunc(t.calls, func(c reportCall) bool { return !c.ending.plain })
}

// finishing are those reports that the next round takes, and where they are among the calls.
type finishing struct {
	waits  *batched[finishCall, finishAnswer] // nil if there are none
	places []int
}

// beginPlain has the next round take what can be taken in the cheap way; the caller has one made.
func (t *taking) beginPlain() (f finishing) {
	var plain finishCall
	for k := range t.calls {
		if t.calls[k].ending.plain {
			plain, f.places = append(plain, t.calls[k]), append(f.places, k)
		}
	}
	if len(plain) > 0 && (!t.strict || len(t.calls) == 1) {
		f.waits = t.store.finishes.add(plain)
	}
	return f
}

// endPlain waits for that. Those that were not finished are left to be reported again, which tells
// what is wrong with them.
func (t *taking) endPlain(f finishing) error {
	if f.waits == nil {
		return nil
	}
	t.store.rounds.kick()
	<-f.waits.done
	if err := f.waits.err; err != nil {
		if errors.Is(err, queue.ErrUnavailable) {
			return nil // to report them again tells
		}
		return err
	}
	finished := make(map[int]bool)
	for n, k := range f.places {
		if f.waits.answer[n] {
			finished[k] = true
			t.reported[t.indexes[k]] = queue.Reported{State: queue.Finished}
		}
	}
	calls, indexes := t.calls[:0], t.indexes[:0]
	for k := range t.calls {
		if !finished[k] {
			calls, indexes = append(calls, t.calls[k]), append(indexes, t.indexes[k])
		}
	}
	t.calls, t.indexes = calls, indexes
	return nil
}

// takeRest takes the other reports, in one change: if the call is strict all of them or none.
func (t *taking) takeRest(ctx context.Context) error {
	if len(t.calls) == 0 {
		return nil
	}
	return t.store.change(ctx, func(c *change) error {
		answers, err := c.reportAll(t.calls)
		if err != nil {
			return err
		}
		for k, answer := range answers {
			if t.strict && answer.err != nil {
				return answer.err
			}
			t.reported[t.indexes[k]] = queue.Reported{State: answer.state, Err: answer.err}
		}
		return nil
	})
}
