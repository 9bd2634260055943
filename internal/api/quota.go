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
	wanted, err := r.reserve(ctx, jobs)
	if err != nil {
		return nil, r.refuse(err)
	}
	defer func() { r.release(wanted, err) }()
	return r.Queue.Enqueue(ctx, jobs)
}

// EnqueueOnce implements Queue. A call that was made before adds nothing, so that there need not be
// room for it.
func (r rationed) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) (added []queue.Enqueued, err error) {
	wanted, full := r.reserve(ctx, jobs)
	if full != nil {
		if added, err = r.EnqueuedOnce(ctx, once); err == nil && added == nil {
			err = r.refuse(full)
		}
		return added, err
	}
	defer func() { r.release(wanted, err) }()
	return r.Queue.EnqueueOnce(ctx, jobs, once)
}

// reserve makes room for jobs, and returns how much is for which channel.
func (r rationed) reserve(ctx context.Context, jobs []queue.NewJob) (map[string]queue.Amount, error) {
	wanted := make(map[string]queue.Amount, 1)
	for i := range jobs {
		channel := jobs[i].Channel
		if channel == "" {
			channel = queue.DefaultChannel
		}
		wanted[channel] = wanted[channel].Plus(queue.Amount{Jobs: 1, Bytes: int64(len(jobs[i].StoredArgs()))})
	}
	return wanted, r.quota.Reserve(ctx, wanted, time.Now())
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
func (r rationed) release(wanted map[string]queue.Amount, err error) {
	r.quota.Release(wanted, err == nil || errors.Is(err, queue.ErrUnavailable))
}
