package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// listSearch is how many jobs are looked at for one page, at most.
	listSearch = 10_000
	// listSize is how much a page holds, in bytes of args, results and errors, before it ends.
	listSize = 4 << 20
)

// Where the jobs of a list are looked for, in the order of their ids, which is that of time.
const (
	amongAll     = `SELECT id FROM longshore.jobs`
	amongDead    = `SELECT id FROM longshore.ended WHERE state IN (6, 7)`
	amongWaiting = `SELECT id FROM longshore.waiting`
	amongRunning = `SELECT id FROM longshore.leases`
)

const (
	lookBegin = `
WITH looked AS MATERIALIZED (SELECT s.id FROM (`
	lookNewestFirst = `) s WHERE s.id >= $1 AND s.id < $2 ORDER BY s.id DESC LIMIT $3)`
	lookOldestFirst = `) s WHERE s.id >= $1 AND s.id < $2 ORDER BY s.id LIMIT $3)`
	lookEnd         = `
SELECT l.id,
  NOT r.hidden AND ($4::smallint[] IS NULL OR r.state = ANY($4)) AND ($5::int[] IS NULL OR r.lane = ANY($5))
    AND ($6::jsonb IS NULL OR j.labels @> $6) AND ($7::text[] IS NULL OR jsonb_exists_all(j.labels, $7)),
  CASE WHEN $8::boolean THEN 0 ELSE octet_length(j.args) END
    + CASE WHEN $9::boolean THEN 0 ELSE coalesce(octet_length(d.result), 0) + coalesce(octet_length(d.details), 0) END
    + CASE WHEN $10::boolean THEN 0 ELSE coalesce(octet_length(p.partial), 0) END
FROM looked l
JOIN longshore.jobs j ON j.id = l.id
JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
LEFT JOIN longshore.ended d ON NOT $9::boolean AND d.place = j.place
LEFT JOIN longshore.reported p ON NOT $10::boolean AND p.place = j.place`
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
	l := lister{store: s, listing: &listing}
	if err := l.prepare(ctx); err != nil {
		return queue.Page{}, err
	}
	ids, err := l.walk(ctx)
	if err != nil {
		return queue.Page{}, err
	}
	found, err := s.readJobs(ctx, ids, listing.Omit)
	if err != nil {
		return queue.Page{}, err
	}
	page := queue.Page{Next: l.next}
	for _, id := range ids {
		// One may have been deleted since, or changed so that it is not meant any more.
		if f := found[id]; f != nil && listing.Matches(&f.Job, f.Status.State, f.Status.Queued) {
			page.Jobs = append(page.Jobs, f.ListedJob)
		}
	}
	return page, nil
}

// lister finds the jobs of one page.
type lister struct {
	store     *Store
	listing   *queue.Listing
	statement string
	lower     uuid.UUID // ids from there
	upper     uuid.UUID // up to, not including, there
	states    []int16
	lanes     []int32 // nil for all
	none      bool    // nothing can be found
	labels    *string // that are wanted with their values, as JSON
	named     []string
	next      uuid.UUID // where the next page goes on
}

func (l *lister) prepare(ctx context.Context) error {
	among := amongAll
	only := func(states ...queue.State) bool {
		return len(l.listing.States) > 0 && !slices.ContainsFunc(l.listing.States, func(s queue.State) bool { return !slices.Contains(states, s) })
	}
	switch {
	case only(queue.Failed, queue.Canceled):
		among = amongDead
	case only(queue.Scheduled, queue.Blocked):
		among = amongWaiting
	case only(queue.Running):
		among = amongRunning
	}
	order := lookNewestFirst
	if l.listing.OldestFirst {
		order = lookOldestFirst
	}
	l.statement = lookBegin + among + order + lookEnd
	for _, state := range l.listing.States {
		l.states = append(l.states, int16(state))
	}
	l.bound()
	var err error
	if l.labels, l.named, err = splitLabels(l.listing.Labels); err != nil {
		return err
	}
	if len(l.listing.Types)+len(l.listing.Channels) == 0 {
		return nil
	}
	l.lanes, err = l.store.lanesMatching(ctx, l.listing.Types, l.listing.Channels)
	l.none = len(l.lanes) == 0
	return err
}

// bound finds between which ids the page is.
func (l *lister) bound() {
	l.upper = uuid.Max // above every id of a job
	if from := l.listing.QueuedFrom; !from.IsZero() {
		l.lower = queue.FirstID(wholeMicros(from))
	}
	if before := l.listing.QueuedBefore; !before.IsZero() {
		l.upper = queue.FirstID(wholeMicros(before))
	}
	if l.listing.After != uuid.Nil {
		l.goOn(l.listing.After)
	}
}

// goOn has the search go on after an id.
func (l *lister) goOn(after uuid.UUID) {
	if !l.listing.OldestFirst {
		if slices.Compare(after[:], l.upper[:]) < 0 {
			l.upper = after
		}
		return
	}
	for i := len(after) - 1; i >= 0; i-- { // the next one that there can be
		after[i]++
		if after[i] != 0 {
			break
		}
	}
	if slices.Compare(after[:], l.lower[:]) > 0 {
		l.lower = after
	}
}

// wholeMicros is the first time that a job can be queued at which is not before t.
func wholeMicros(t time.Time) time.Time {
	whole := t.UTC().Truncate(time.Microsecond)
	if whole.Before(t) {
		return whole.Add(time.Microsecond)
	}
	return whole
}

// walk finds the ids of the page. It looks at few jobs at first, and at more each time.
func (l *lister) walk(ctx context.Context) (ids []uuid.UUID, err error) {
	size, searched := 0, 0
	for most := l.listing.Limit; !l.none; most *= 4 {
		most = min(most, listSearch-searched)
		looked, err := l.look(ctx, most)
		if err != nil {
			return nil, err
		}
		for i := range looked {
			if len(ids) == l.listing.Limit || size > listSize {
				return ids, nil
			}
			l.next = looked[i].id
			if looked[i].wanted {
				ids = append(ids, l.next)
				size += looked[i].size
			}
		}
		if len(looked) < most {
			break
		}
		if searched += len(looked); searched >= listSearch {
			return ids, nil
		}
		l.goOn(l.next)
	}
	l.next = uuid.Nil
	return ids, nil
}

type looked struct {
	id     uuid.UUID
	wanted bool
	size   int
}

func (l *lister) look(ctx context.Context, most int) (found []looked, err error) {
	omit := &l.listing.Omit
	err = l.store.database(ctx, func(ctx context.Context) error {
		rows, err := l.store.pool.Query(ctx, l.statement, l.lower, l.upper, most, l.states, l.lanes, l.labels, l.named,
			omit.Args, omit.Outcome, omit.Reported)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f looked, err error) {
			var wanted *bool
			err = row.Scan(&f.id, &wanted, &f.size)
			f.wanted = wanted != nil && *wanted
			return f, err
		})
		return err
	})
	slices.SortFunc(found, func(a, b looked) int {
		if l.listing.OldestFirst {
			return slices.Compare(a.id[:], b.id[:])
		}
		return slices.Compare(b.id[:], a.id[:])
	})
	return found, err
}

const findMatching = `
SELECT number FROM longshore.lanes
WHERE (cardinality($1::text[]) = 0 OR type = ANY($1)) AND (cardinality($2::text[]) = 0 OR channel = ANY($2))`

// lanesMatching returns the numbers of the lanes with any of the types and any of the channels; none
// means all.
func (s *Store) lanesMatching(ctx context.Context, types, channels []string) (numbers []int32, err error) {
	err = s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, findMatching, emptyNotNull(types), emptyNotNull(channels))
		if err != nil {
			return err
		}
		numbers, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		return err
	})
	return numbers, err
}

// emptyNotNull makes an array of nothing, which in SQL is not no array.
func emptyNotNull(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
