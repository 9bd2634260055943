package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	readLanesOfJobs   = `SELECT g.n, j.lane FROM unnest($1::uuid[]) WITH ORDINALITY AS g(id, n) JOIN longshore.jobs j ON j.id = g.id`
	readLanesOfPlaces = `SELECT g.n, j.lane FROM unnest($1::bigint[]) WITH ORDINALITY AS g(place, n) JOIN longshore.jobs j ON j.place = g.place`
)

// ChannelsOf returns the channel of each job, "" of one that does not exist. One that was deleted
// a moment ago may have its channel yet.
func (s *Store) ChannelsOf(ctx context.Context, ids []uuid.UUID) ([]string, error) {
	return s.channels(ctx, len(ids), readLanesOfJobs, rawIDs(ids))
}

// LeaseChannels returns the channel of each lease's job, live or over. A token that no lease ever had may
// have one too: that of the job that it would be of.
func (s *Store) LeaseChannels(ctx context.Context, tokens []uuid.UUID) ([]string, error) {
	places := make([]int64, len(tokens))
	for i, token := range tokens {
		places[i], _ = cutToken(token)
	}
	return s.channels(ctx, len(tokens), readLanesOfPlaces, places)
}

// channels returns the channels of n jobs, by a statement that finds their lanes.
func (s *Store) channels(ctx context.Context, n int, statement string, args ...any) ([]string, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	lanes := make([]int32, n)
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		var at int64
		var lane int32
		_, err = pgx.ForEachRow(rows, []any{&at, &lane}, func() error {
			lanes[at-1] = lane
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	channels := make([]string, n)
	for i, number := range lanes {
		if number == 0 {
			continue
		}
		lane, err := s.laneOf(ctx, number)
		if err != nil {
			return nil, err
		}
		channels[i] = lane.Channel
	}
	return channels, nil
}
