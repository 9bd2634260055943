package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// rationed is a queue whose channels have no more, of jobs or of bytes, than their quota. It is behind the guard,
// which says which channels jobs are put into, and whether they may be.
type rationed struct {
	Queue
	quota    *limit.Quota
	observer Observer
}

// Enqueue implements Queue.
func (r rationed) Enqueue(ctx context.Context, jobs []queue.NewJob) (added []queue.Enqueued, err error) {
	wanted := amountsOf(jobs, nil)
	if err := r.quota.Reserve(ctx, wanted, time.Now()); err != nil {
		return nil, r.refuse(err)
	}
	defer func() { r.release(wanted, jobs, added, err) }()
	return r.Queue.Enqueue(ctx, jobs)
}

// EnqueueOnce implements Queue. A call that was made before adds nothing, so that there need not be
// room for it.
func (r rationed) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) (added []queue.Enqueued, err error) {
	wanted := amountsOf(jobs, nil)
	if full := r.quota.Reserve(ctx, wanted, time.Now()); full != nil {
		if added, err = r.EnqueuedOnce(ctx, once); err == nil && added == nil {
			err = r.refuse(full)
		}
		return added, err
	}
	defer func() { r.release(wanted, jobs, added, err) }()
	return r.Queue.EnqueueOnce(ctx, jobs, once)
}

// amountsOf returns how much jobs are of which channel: those that were added and are not over, as the
// answer tells, or all of them if there is none.
func amountsOf(jobs []queue.NewJob, answer []queue.Enqueued) map[string]queue.Amount {
	amounts := make(map[string]queue.Amount, 1)
	for i := range jobs {
		if i < len(answer) && (answer[i].Existing || answer[i].Repeated || answer[i].State.Over()) {
			continue
		}
		channel := jobs[i].Channel
		if channel == "" {
			channel = queue.DefaultChannel
		}
		amounts[channel] = amounts[channel].Plus(queue.Amount{Jobs: 1, Bytes: int64(len(jobs[i].StoredArgs()))})
	}
	return amounts
}

// refuse tells of a call that there is no room for.
func (r rationed) refuse(err error) error {
	full := (*limit.QuotaError)(nil)
	if !errors.As(err, &full) {
		return err
	}
	r.observer.Limited(limitQuota)
	of := " jobs that are not over"
	if full.Bytes {
		of = " bytes of args in jobs that are not over"
	}
	return &requestError{
		code:   codeQuotaExceeded,
		detail: "the channel " + full.Channel + " may have " + strconv.FormatInt(full.Limit, 10) + of + "; nothing was created",
		after:  fullFor,
	}
}

// release notes what became of jobs that there was room for. Where nobody knows, they may be there.
func (r rationed) release(wanted map[string]queue.Amount, jobs []queue.NewJob, answer []queue.Enqueued, err error) {
	var added map[string]queue.Amount
	switch {
	case err == nil:
		added = amountsOf(jobs, answer)
	case errors.Is(err, queue.ErrUnavailable):
		added = wanted
	}
	r.quota.Release(wanted, added)
}
