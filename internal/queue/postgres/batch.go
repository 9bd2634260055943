package postgres

import (
	"context"
	"errors"

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
	if len(request.Reports) > 0 && !request.Strict {
		over, cancel := context.WithCancel(ctx)
		cancel()
		if answer.Leases, err = s.dequeue(over, &request.DequeueRequest, request.Max); err != nil {
			return queue.BatchAnswer{}, err
		}
	}
	answer.Reported, err = s.reportBatch(ctx, request.Reports, request.Strict)
	if err == nil && len(answer.Leases) == 0 {
		answer.Leases, err = s.dequeue(ctx, &request.DequeueRequest, request.Max)
	}
	if err != nil {
		s.giveBack(ctx, answer.Leases)
		return queue.BatchAnswer{}, err
	}
	return answer, nil
}

// giveBack gives leases back that nobody will hear of.
func (s *Store) giveBack(ctx context.Context, leases []queue.Lease) {
	for i := range leases {
		if _, err := s.report(ctx, leases[i].Token, release(0)); err != nil && !isRule(err) {
			_, secret := cutToken(leases[i].Token)
			s.keeper.releaseOrphans([]uuid.UUID{secret})
		}
	}
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
	reported, err := s.reportBatch(ctx, request.Reports, request.Strict)
	return queue.BatchAnswer{Reported: reported, Leases: leases}, err
}

// reportBatch takes reports: those in the cheap way that can be, and the others in one change. It
// fails only if the database does, or if strict says so; then nothing is changed.
func (s *Store) reportBatch(ctx context.Context, reports []queue.Report, strict bool) ([]queue.Reported, error) {
	if len(reports) == 0 {
		return nil, nil
	}
	reported := make([]queue.Reported, len(reports))
	calls := make([]reportCall, 0, len(reports))
	indexes := make([]int, 0, len(reports))
	for i := range reports {
		report := &reports[i]
		e := requeueOrFinish(0, queue.Outcome{Result: report.Result})
		if report.Failure != nil {
			if err := report.Failure.Validate(); err != nil {
				if strict {
					return nil, err
				}
				reported[i].Err = err
				continue
			}
			e = fail(*report.Failure)
		}
		calls, indexes = append(calls, reportCall{token: report.Token, ending: e}), append(indexes, i)
	}
	if strict {
		return reported, s.reportStrictly(ctx, calls, indexes, reported)
	}
	calls, indexes, err := s.finishPlain(ctx, calls, indexes, reported)
	if err != nil || len(calls) == 0 {
		return reported, err
	}
	answers, err := s.reportMany(ctx, calls)
	if err != nil {
		return nil, err
	}
	for k, i := range indexes {
		reported[i] = queue.Reported{State: answers[k].state, Err: answers[k].err}
	}
	return reported, nil
}

// finishPlain finishes what can be finished in the cheap way, and returns what is left.
func (s *Store) finishPlain(ctx context.Context, calls []reportCall, indexes []int, reported []queue.Reported) ([]reportCall, []int, error) {
	var plain []finishCall
	var places []int
	for k := range calls {
		if calls[k].ending.plain {
			plain, places = append(plain, finishCall(calls[k])), append(places, k)
		}
	}
	if len(plain) == 0 {
		return calls, indexes, nil
	}
	done, err := s.finishMany(ctx, plain)
	if errors.Is(err, queue.ErrUnavailable) {
		return calls, indexes, nil // to report them again tells
	}
	if err != nil {
		return nil, nil, err
	}
	finished := make(map[int]bool)
	for n, k := range places {
		if done[n] {
			finished[k] = true
			reported[indexes[k]] = queue.Reported{State: queue.Finished}
		}
	}
	leftCalls, leftIndexes := calls[:0], indexes[:0]
	for k := range calls {
		if !finished[k] {
			leftCalls, leftIndexes = append(leftCalls, calls[k]), append(leftIndexes, indexes[k])
		}
	}
	return leftCalls, leftIndexes, nil
}

// reportStrictly takes all reports or none.
func (s *Store) reportStrictly(ctx context.Context, calls []reportCall, indexes []int, reported []queue.Reported) error {
	if len(calls) == 1 && calls[0].ending.plain {
		state, err := s.finishOrReport(ctx, calls[0].token, calls[0].ending)
		reported[indexes[0]].State = state
		return err
	}
	return s.change(ctx, func(c *change) error {
		answers, err := c.reportAll(calls)
		if err != nil {
			return err
		}
		for k := range answers {
			if answers[k].err != nil {
				return answers[k].err
			}
			reported[indexes[k]].State = answers[k].state
		}
		return nil
	})
}
