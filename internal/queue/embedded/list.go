package embedded

import (
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// listSearch is how many jobs are looked at for one page, at most.
const listSearch = 10_000

// listSize is how much a page holds, in bytes of args, results and errors, before it ends.
const listSize = 4 << 20

// ListJobs returns a page of jobs, newest first.
func (s *Store) ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error) {
	if err := s.enter(); err != nil {
		return queue.Page{}, err
	}
	defer s.leave()
	page, err := s.list(ctx, listing)
	return page, s.answer(err)
}

func (s *Store) list(ctx context.Context, listing queue.Listing) (page queue.Page, err error) {
	// Those that failed or were canceled have an index of their own: they may be rare.
	prefix := byte(prefixJob)
	if len(listing.States) > 0 && !slices.ContainsFunc(listing.States, func(state queue.State) bool {
		return state != queue.Failed && state != queue.Canceled
	}) {
		prefix = prefixDead
	}
	upper := []byte{prefix + 1}
	if listing.Before != uuid.Nil {
		upper = idKey(nil, prefix, listing.Before)
	}
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: upper})
	if err != nil {
		return queue.Page{}, readError(err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			err = readError(closeErr)
		}
	}()
	searched, size := 0, 0
	for valid := it.Last(); valid; valid = it.Prev() {
		id, err := uuid.FromBytes(it.Key()[1:])
		if err != nil {
			continue
		}
		if len(page.Jobs) == listing.Limit || searched == listSearch || size > listSize {
			return page, nil
		}
		searched++
		page.Next = id
		listed, wanted, err := s.listed(id, listing.States)
		if err != nil {
			return queue.Page{}, err
		}
		if wanted {
			page.Jobs = append(page.Jobs, listed)
			size += sizeOf(&listed)
		}
	}
	page.Next = uuid.Nil
	return page, nil
}

// listed returns a job if it is in one of the states. One that cannot be read is passed over:
// it must not keep the others from being listed.
func (s *Store) listed(id uuid.UUID, states []queue.State) (listed queue.ListedJob, wanted bool, err error) {
	r, err := s.readRecord(id)
	if err == nil && len(states) > 0 && !slices.Contains(states, r.State) {
		return queue.ListedJob{}, false, nil
	}
	if err == nil {
		listed.Status, err = s.readStatus(id)
	}
	if err == nil {
		var j job
		j, err = s.readJob(id, true)
		listed.Job = j.Job
	}
	if errors.Is(err, queue.ErrNotExist) { // it was deleted
		return queue.ListedJob{}, false, nil
	}
	if isDamage(err) {
		s.log.Error(err, "a job cannot be read; it is left out of a list", "job", id.String())
		return queue.ListedJob{}, false, nil
	}
	// It may have changed in between.
	return listed, err == nil && (len(states) == 0 || slices.Contains(states, listed.Status.State)), err
}

func sizeOf(listed *queue.ListedJob) int {
	size := len(listed.Job.Args) + len(listed.Status.PartialResult) + sizeOfOutcome(listed.Status.Result, listed.Status.Error)
	return size + len(uuid.UUID{})*(len(listed.Status.Dependencies)+len(listed.Status.Dependents))
}
