package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// counted is what adds up to what there is of each lane. Its bytes are not known if any are null.
const counted = `(
  SELECT lane, scheduled, blocked, pending, running, finished, failed, canceled, CASE WHEN folded = xmin THEN bytes END AS bytes
  FROM longshore.counts
  UNION ALL
  SELECT lane, scheduled, blocked, pending, running, finished, failed, canceled, bytes FROM longshore.count_differences
) AS c`

// sumOfBytes adds up bytes; null if any are not known.
const sumOfBytes = `CASE WHEN count(*) = count(c.bytes) THEN sum(c.bytes) END::bigint`

// countLanes adds up what is counted of each lane.
const countLanes = `
WITH counted AS (
  SELECT lane, sum(scheduled) AS scheduled, sum(blocked) AS blocked, sum(pending) AS pending, sum(running) AS running,
    sum(finished) AS finished, sum(failed) AS failed, sum(canceled) AS canceled, ` + sumOfBytes + ` AS bytes
  FROM ` + counted + ` GROUP BY lane
), meant AS (
  SELECT l.number, l.channel, l.type, c.* FROM counted c JOIN longshore.lanes l ON l.number = c.lane
  WHERE (cardinality($1::text[]) = 0 OR l.type = ANY($1)) AND (cardinality($2::text[]) = 0 OR l.channel = ANY($2))
    AND (scheduled <> 0 OR blocked <> 0 OR pending <> 0 OR running <> 0 OR finished <> 0 OR failed <> 0 OR canceled <> 0)
)`

const (
	pageOfLanes = countLanes + `
SELECT number, channel, type, scheduled::bigint, blocked::bigint, pending::bigint, running::bigint, finished::bigint, failed::bigint, canceled::bigint, bytes
FROM meant WHERE (channel, type) > ($3::text, $4::text) ORDER BY channel, type LIMIT $5`
	totalOfLanes = countLanes + `
SELECT longshore.now(), coalesce(sum(scheduled), 0)::bigint, coalesce(sum(blocked), 0)::bigint, coalesce(sum(pending), 0)::bigint,
  coalesce(sum(running), 0)::bigint, coalesce(sum(finished), 0)::bigint, coalesce(sum(failed), 0)::bigint, coalesce(sum(canceled), 0)::bigint
FROM meant`
	oldestReady = `
SELECT g.n, o.since FROM unnest($1::int[]) WITH ORDINALITY AS g(lane, n)
CROSS JOIN LATERAL (
  WITH RECURSIVE front AS (
    (SELECT r.rank, r.place, r.queued, r.run_at FROM longshore.ready r WHERE r.lane = g.lane ORDER BY r.rank, r.place LIMIT 1)
    UNION ALL
    SELECT n.rank, n.place, n.queued, n.run_at FROM front f CROSS JOIN LATERAL (
      SELECT r.rank, r.place, r.queued, r.run_at FROM longshore.ready r WHERE r.lane = g.lane AND r.rank > f.rank
      ORDER BY r.rank, r.place LIMIT 1
    ) n
  )
  SELECT greatest(queued, run_at) AS since FROM front ORDER BY place LIMIT 1
) o`
)

// Queues returns a page of the lanes that have jobs, with exact counts, at a cost that does not grow
// with the jobs.
func (s *Store) Queues(ctx context.Context, listing queue.LaneListing) (page queue.LanePage, err error) {
	if err := listing.Validate(); err != nil {
		return page, err
	}
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.leave()
	var numbers []int32
	types, channels := emptyNotNull(listing.Types), emptyNotNull(listing.Channels)
	err = s.database(ctx, func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(totalOfLanes, types, channels).QueryRow(func(row pgx.Row) error {
			c := &page.Total
			return row.Scan(&page.Now, &c[1], &c[2], &c[3], &c[4], &c[5], &c[6], &c[7])
		})
		batch.Queue(pageOfLanes, types, channels, listing.After.Channel, listing.After.Type, listing.Limit+1).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var number int32
				var info queue.LaneInfo
				var bytes *int64
				c := &info.Counts
				if err := rows.Scan(&number, &info.Lane.Channel, &info.Lane.Type, &c[1], &c[2], &c[3], &c[4], &c[5], &c[6], &c[7], &bytes); err != nil {
					return err
				}
				info.Bytes = bytesOf(bytes)
				numbers = append(numbers, number)
				page.Queues = append(page.Queues, info)
			}
			return rows.Err()
		})
		if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		page.Now = page.Now.UTC()
		if page.More = len(numbers) > listing.Limit; page.More {
			numbers, page.Queues = numbers[:listing.Limit], page.Queues[:listing.Limit]
		}
		return s.addOldest(ctx, numbers, page.Queues)
	})
	for i := range page.Queues {
		s.rates.fill(numbers[i], &page.Queues[i], page.Now)
	}
	return page, err
}

func (s *Store) addOldest(ctx context.Context, numbers []int32, lanes []queue.LaneInfo) error {
	if len(numbers) == 0 {
		return nil
	}
	rows, err := s.pool.Query(ctx, oldestReady, numbers)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var since *time.Time
		if err := rows.Scan(&n, &since); err != nil {
			return err
		}
		lanes[n-1].OldestReady = timeOf(since)
	}
	return rows.Err()
}

// bytesOf returns how many bytes a column has.
func bytesOf(bytes *int64) int64 {
	if bytes == nil {
		return queue.UnknownBytes
	}
	return *bytes
}

const countOpen = `
SELECT l.channel, sum(c.scheduled + c.blocked + c.pending + c.running)::bigint, ` + sumOfBytes + `
FROM longshore.lanes l JOIN ` + counted + ` ON c.lane = l.number
WHERE l.channel = ANY($1) GROUP BY l.channel`

// OpenJobs returns how much each of the channels has of jobs that are not over.
func (s *Store) OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	open := make(map[string]queue.Amount, len(channels))
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, countOpen, channels)
		if err != nil {
			return err
		}
		var (
			channel string
			jobs    int64
			bytes   *int64
		)
		_, err = pgx.ForEachRow(rows, []any{&channel, &jobs, &bytes}, func() error {
			open[channel] = queue.Amount{Jobs: jobs, Bytes: bytesOf(bytes)}
			return nil
		})
		return err
	})
	return open, err
}

const (
	countPending = `
SELECT coalesce(sum(pending), 0)::bigint FROM (
  SELECT lane, pending FROM longshore.counts UNION ALL SELECT lane, pending FROM longshore.count_differences
) AS c WHERE lane = ANY($1)`
	countLabeled = `
SELECT count(*) FILTER (WHERE ($2::jsonb IS NULL OR j.labels @> $2) AND ($3::text[] IS NULL OR jsonb_exists_all(j.labels, $3))), count(*)
FROM (SELECT place FROM longshore.ready WHERE lane = ANY($1) LIMIT $4) r JOIN longshore.jobs j ON j.place = r.place`
)

// Demand returns how many ready jobs a worker could take now.
func (s *Store) Demand(ctx context.Context, demand queue.Demand) (answer queue.DemandAnswer, err error) {
	if err := demand.Validate(); err != nil {
		return answer, err
	}
	if err := s.enter(); err != nil {
		return answer, err
	}
	defer s.leave()
	numbers, err := s.numbersOf(ctx, queue.DequeueRequest{Types: demand.Types, Channels: demand.Channels}.Lanes())
	if err != nil {
		return answer, err
	}
	answer.Exact = true
	if len(demand.Labels) == 0 {
		err = s.database(ctx, func(ctx context.Context) error {
			return s.pool.QueryRow(ctx, countPending, numbers).Scan(&answer.Ready)
		})
		return answer, err
	}
	labels, named, err := splitLabels(demand.Labels)
	if err != nil {
		return answer, err
	}
	err = s.database(ctx, func(ctx context.Context) error {
		var looked int
		err := s.pool.QueryRow(ctx, countLabeled, numbers, labels, named, queue.MaxDemand+1).Scan(&answer.Ready, &looked)
		answer.Exact = looked <= queue.MaxDemand
		return err
	})
	return answer, err
}

// splitLabels returns the labels that are wanted with their values, as JSON, and the names of the
// others.
func splitLabels(filters []queue.LabelFilter) (labels *string, named []string, err error) {
	values := make(map[string]string)
	for _, label := range filters {
		if label.Value == nil {
			named = append(named, label.Name)
		} else {
			values[label.Name] = *label.Value
		}
	}
	if len(values) == 0 {
		return nil, named, nil
	}
	text, err := json.Marshal(values)
	return new(string(text)), named, err
}
