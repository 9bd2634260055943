package embedded

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// listSearch is how many jobs are looked at for one page, at most, and listSearchSize how
	// much is read of them, in bytes.
	listSearch     = 10_000
	listSearchSize = 64 << 20
	// listSize is how much a page holds, in bytes of args, results and errors, before it ends.
	listSize = 4 << 20
)

// ListJobs returns a page of jobs.
func (s *Store) ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error) {
	if err := listing.Validate(); err != nil {
		return queue.Page{}, err
	}
	if err := s.enter(); err != nil {
		return queue.Page{}, err
	}
	defer s.leave()
	l := newLister(s, &listing)
	err := l.walk(ctx)
	return l.page, s.answer(err)
}

// lister makes one page. It goes through an index in the order of ids, which is that of time, and
// looks at as little of each job as tells that it is not wanted. A job may change while it is
// looked at, so one that is wanted is read again, as a whole.
type lister struct {
	store   *Store
	listing *queue.Listing
	lanes   map[laneNumber]struct{} // those that are meant; nil for all
	prefix  byte                    // of the index
	it      *pebble.Iterator        // over the index
	records cursor                  // over s keys, unless the index is that
	page    queue.Page
	read    int // bytes, of jobs that were not wanted
	size    int // bytes, of the page
}

func newLister(s *Store, listing *queue.Listing) *lister {
	l := &lister{store: s, listing: listing, prefix: prefixJob}
	switch {
	case len(listing.States) == 0:
	case !slices.ContainsFunc(listing.States, func(state queue.State) bool { return state != queue.Failed && state != queue.Canceled }):
		l.prefix = prefixDead // they may be rare
	case !slices.Contains(listing.States, queue.Pending):
		l.prefix = prefixRecord // most of those that are pending have none
	}
	if len(listing.Types)+len(listing.Channels) > 0 {
		l.lanes = make(map[laneNumber]struct{})
		s.mu.Lock()
		for lane, t := range s.tallies.byLane {
			if listing.MatchesLane(lane) {
				l.lanes[t.number] = struct{}{}
			}
		}
		s.mu.Unlock()
	}
	return l
}

// walk fills the page.
func (l *lister) walk(ctx context.Context) (err error) {
	if l.lanes != nil && len(l.lanes) == 0 {
		return nil // there is no such job
	}
	lower, upper := l.bounds()
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	if l.it, err = l.store.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper}); err != nil {
		return readError(err)
	}
	defer func() {
		if closeErr := l.it.Close(); err == nil && closeErr != nil {
			err = readError(closeErr)
		}
	}()
	if l.prefix == prefixJob || l.prefix == prefixDead {
		if l.records, err = l.store.openCursor([]byte{prefixRecord}, []byte{prefixRecord + 1}); err != nil {
			return err
		}
		defer func() { err = l.records.close(err) }()
	}
	first, next := l.it.Last, l.it.Prev
	if l.listing.OldestFirst {
		first, next = l.it.First, l.it.Next
	}
	searched := 0
	for valid := first(); valid; valid = next() {
		id, err := uuid.FromBytes(l.it.Key()[1:])
		if err != nil {
			continue // the audit tells
		}
		if len(l.page.Jobs) == l.listing.Limit || searched == listSearch || l.read > listSearchSize || l.size > listSize {
			return nil
		}
		searched++
		l.page.Next = id
		if err := l.look(id); err != nil {
			return err
		}
	}
	l.page.Next = uuid.Nil
	return nil
}

// bounds returns the keys between which the page is.
func (l *lister) bounds() (lower, upper []byte) {
	lower, upper = []byte{l.prefix}, []byte{l.prefix + 1}
	if from := l.listing.QueuedFrom; !from.IsZero() {
		lower = idKey(nil, l.prefix, queue.FirstID(wholeMicros(from)))
	}
	if before := l.listing.QueuedBefore; !before.IsZero() {
		upper = idKey(nil, l.prefix, queue.FirstID(wholeMicros(before)))
	}
	if l.listing.After == uuid.Nil {
		return lower, upper
	}
	after := idKey(nil, l.prefix, l.listing.After)
	if l.listing.OldestFirst {
		if after = append(after, 0); bytes.Compare(after, lower) > 0 {
			lower = after
		}
	} else if bytes.Compare(after, upper) < 0 {
		upper = after
	}
	return lower, upper
}

// wholeMicros is the first time that a job can be queued at which is not before t.
func wholeMicros(t time.Time) time.Time {
	if stored := storedTime(t); stored.Before(t) {
		return stored.Add(time.Microsecond)
	}
	return t
}

// look adds a job to the page if it is wanted. One that cannot be read is passed over: it must not
// keep the others from being listed.
func (l *lister) look(id uuid.UUID) error {
	wanted, err := l.isWanted(id)
	if err == nil && wanted {
		var listed queue.ListedJob
		if listed, err = l.store.listed(id, l.listing.Omit); err == nil && l.listing.Matches(&listed.Job, listed.Status.State, listed.Status.Queued) {
			l.page.Jobs = append(l.page.Jobs, listed)
			l.size += sizeOf(&listed)
		}
	}
	if errors.Is(err, queue.ErrNotExist) {
		return nil // it was deleted
	}
	if isDamage(err) {
		l.store.log.Error(err, "a job cannot be read; it is left out of a list", "job", id.String())
		return nil
	}
	return err
}

// isWanted tells whether a job looks like one that is wanted.
func (l *lister) isWanted(id uuid.UUID) (bool, error) {
	var (
		r     record
		found bool
		err   error
	)
	if l.prefix == prefixRecord {
		value, valueErr := l.it.ValueAndErr()
		if valueErr != nil {
			return false, readError(valueErr)
		}
		r, err = decodeRecord(id, value)
		found = true
	} else {
		r, found, err = l.records.record(id)
	}
	if err != nil {
		return false, err
	}
	if found {
		if wanted := !r.deleted && l.listing.MatchesState(r.State) && l.isOfLane(r.lane); !wanted || len(l.listing.Labels) == 0 {
			return wanted, nil
		}
		j, err := l.store.readJob(id, false)
		return err == nil && l.listing.MatchesLabels(j.Labels), err
	}
	// Nothing has happened to it since it was enqueued.
	if !l.listing.MatchesState(queue.Pending) || l.prefix != prefixJob {
		return false, nil
	}
	if l.lanes == nil && len(l.listing.Labels) == 0 {
		return true, nil
	}
	value, err := l.it.ValueAndErr()
	if err != nil {
		return false, readError(err)
	}
	l.read += len(value)
	j, err := decodeJob(id, value, false)
	return err == nil && l.isOfLane(j.number) && l.listing.MatchesLabels(j.Labels), err
}

func (l *lister) isOfLane(number laneNumber) bool {
	if l.lanes == nil {
		return true
	}
	_, found := l.lanes[number]
	return found
}

// listed reads a job as a list shows it.
func (s *Store) listed(id uuid.UUID, omit queue.Parts) (listed queue.ListedJob, err error) {
	if listed.Status, err = s.readParts(id, omit); err != nil {
		return queue.ListedJob{}, err
	}
	j, err := s.readJob(id, !omit.Args)
	listed.Job = j.Job
	return listed, err
}

func sizeOf(listed *queue.ListedJob) int {
	size := len(listed.Job.Args) + len(listed.Status.PartialResult) + sizeOfOutcome(listed.Status.Result, listed.Status.Error)
	return size + len(uuid.UUID{})*(len(listed.Status.Dependencies)+len(listed.Status.Dependents))
}
