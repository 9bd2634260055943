package embedded

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Workers returns a page of those who asked for jobs within the last hour, or hold leases.
func (s *Store) Workers(_ context.Context, listing queue.WorkerListing) (queue.WorkerPage, error) {
	if err := s.enter(); err != nil {
		return queue.WorkerPage{}, err
	}
	defer s.leave()
	workers := s.roster.List(listing.Channels, s.now())
	s.leases.held(workers, listing.Channels)
	names := slices.Sorted(maps.Keys(workers))
	if listing.After != nil {
		from, found := slices.BinarySearch(names, *listing.After)
		if found {
			from++
		}
		names = names[from:]
	}
	var page queue.WorkerPage
	if len(names) > listing.Limit {
		names, page.More = names[:listing.Limit], true
	}
	for _, name := range names {
		w := workers[name]
		slices.SortFunc(w.Held, func(a, b queue.HeldLease) int {
			return cmp.Or(a.Started.Compare(b.Started), bytes.Compare(a.JobID[:], b.JobID[:]))
		})
		w.Held = w.Held[:min(len(w.Held), queue.MaxHeld)]
		page.Workers = append(page.Workers, w)
	}
	return page, s.answer(nil)
}
