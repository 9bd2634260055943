package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	readWorkers = `
SELECT name, first, last, waiting, types, channels, labels::text FROM longshore.workers
WHERE server <> $1 AND last >= longshore.now() - $2::bigint * interval '1 microsecond'
  AND (cardinality($3::text[]) = 0 OR channels <@ $3)`
	readHeld = `
SELECT worker, n, held, id, lane, attempt, principal, started FROM (
  SELECT worker, row_number() OVER (PARTITION BY worker ORDER BY started, id) AS n, count(*) OVER (PARTITION BY worker) AS held,
    id, lane, attempt, principal, started
  FROM longshore.leases WHERE $2::int[] IS NULL OR lane = ANY($2)
) AS l WHERE n <= $1 ORDER BY worker, n`
	keepWorker = `
INSERT INTO longshore.workers (name, server, first, last, waiting, types, channels, labels)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
ON CONFLICT (name, server) DO UPDATE SET first = excluded.first, last = excluded.last, waiting = excluded.waiting,
  types = excluded.types, channels = excluded.channels, labels = excluded.labels`
)

// Workers returns a page of those who asked for jobs within the last hour, or hold leases.
func (s *Store) Workers(ctx context.Context, listing queue.WorkerListing) (page queue.WorkerPage, err error) {
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.leave()
	workers, err := s.workers(ctx, listing.Channels)
	if err != nil {
		return page, err
	}
	var lanes []int32
	if len(listing.Channels) > 0 {
		if lanes, err = s.lanesMatching(ctx, nil, listing.Channels); err != nil {
			return page, err
		}
		lanes = append(lanes, 0) // no lane has it, and none at all would mean all
	}
	if err := s.addHeld(ctx, workers, lanes); err != nil {
		return page, err
	}
	names := slices.Sorted(maps.Keys(workers))
	if listing.After != nil {
		from, found := slices.BinarySearch(names, *listing.After)
		if found {
			from++
		}
		names = names[from:]
	}
	if len(names) > listing.Limit {
		names, page.More = names[:listing.Limit], true
	}
	for _, name := range names {
		page.Workers = append(page.Workers, workers[name])
	}
	return page, nil
}

// workers returns who asked here, and at other servers as they told a few seconds ago, in no channel
// but some; none is all.
func (s *Store) workers(ctx context.Context, channels []string) (map[string]queue.Worker, error) {
	workers := s.roster.List(channels, s.keeper.now())
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readWorkers, s.id, queue.WorkerMemory.Microseconds(), emptyNotNull(channels))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w queue.Worker
			var labels *string
			if err := rows.Scan(&w.Name, &w.First, &w.Last, &w.Waiting, &w.Types, &w.Channels, &labels); err != nil {
				return err
			}
			w.First, w.Last = w.First.UTC(), w.Last.UTC()
			if w.Labels, err = decodeLabels(labels); err != nil {
				return err
			}
			if here, found := workers[w.Name]; found {
				w = merge(here, w)
			}
			workers[w.Name] = w
		}
		return rows.Err()
	})
	return workers, err
}

// merge makes one worker of what two servers know of it.
func merge(a, b queue.Worker) queue.Worker {
	if a.Last.Before(b.Last) {
		a, b = b, a
	}
	if b.First.Before(a.First) {
		a.First = b.First
	}
	a.Waiting += b.Waiting
	return a
}

// addHeld adds what workers hold of some lanes, nil of which is all, and those who only hold something.
func (s *Store) addHeld(ctx context.Context, workers map[string]queue.Worker, lanes []int32) error {
	return s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readHeld, queue.MaxHeld, lanes)
		if err != nil {
			return err
		}
		type held struct {
			worker string
			all    int
			lane   int32
			lease  queue.HeldLease
		}
		leases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h held, err error) {
			var n int64
			err = row.Scan(&h.worker, &n, &h.all, &h.lease.JobID, &h.lane, &h.lease.Attempt, &h.lease.Principal, &h.lease.Started)
			h.lease.Started = h.lease.Started.UTC()
			return h, err
		})
		if err != nil {
			return err
		}
		for _, h := range leases {
			if h.lease.Lane, err = s.laneOf(ctx, h.lane); err != nil {
				return err
			}
			w := workers[h.worker]
			w.Name, w.HeldAll = h.worker, h.all
			w.Held = append(w.Held, h.lease)
			workers[h.worker] = w
		}
		return nil
	})
}

const readAsking = `
SELECT name, waiting, last FROM longshore.workers
WHERE server <> $1 AND last >= longshore.now() - $2::bigint * interval '1 microsecond' AND $3 = ANY(types) AND $4 = ANY(channels)`

// asking tells of those whose last request was for a lane.
func (s *Store) asking(ctx context.Context, lane queue.Lane) (queue.Askers, error) {
	askers := s.roster.Asking(lane, s.keeper.now())
	here := s.roster.List(nil, s.keeper.now())
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, readAsking, s.id, queue.WorkerMemory.Microseconds(), lane.Type, lane.Channel)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var waiting int
			var last time.Time
			if err := rows.Scan(&name, &waiting, &last); err != nil {
				return err
			}
			if _, both := here[name]; !both {
				askers.Workers++
			}
			askers.Waiting += waiting
			if last = last.UTC(); last.After(askers.Last) {
				askers.Last = last
			}
		}
		return rows.Err()
	})
	return askers, err
}

// tellWorkers has other servers know who asked here since a time, or of whom another number of calls wait
// than they were told, each as it asked last: of one that asks now in these channels and now in those they
// are not told as of one, because somebody may see only some. It returns what they are told by then.
func (s *Store) tellWorkers(ctx context.Context, since time.Time, told map[string]int) (map[string]int, error) {
	news, waiting := s.roster.News(since, told, s.keeper.now())
	if len(news) == 0 {
		return waiting, nil
	}
	slices.SortFunc(news, func(a, b queue.Worker) int { return cmp.Compare(a.Name, b.Name) })
	err := s.database(ctx, func(ctx context.Context) error {
		var batch pgx.Batch
		for i := range news {
			w := &news[i]
			labels, err := encodeLabels(w.Labels)
			if err != nil {
				return err
			}
			batch.Queue(keepWorker, w.Name, s.id, w.First, w.Last, w.Waiting, w.Types, w.Channels, labels)
		}
		return s.pool.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return told, err
	}
	return waiting, nil
}
