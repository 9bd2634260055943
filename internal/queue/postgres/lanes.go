package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/longshore-queue/longshore/internal/queue"
)

// laneNumbers knows the numbers that stand for lanes in the database. They never change, so what
// was read once need not be read again, but for what had to make room, or a database may have lost.
type laneNumbers struct {
	most int // how many it remembers

	mu     sync.RWMutex // guards what follows
	byLane map[queue.Lane]int32
	byID   map[int32]queue.Lane
	losses int // how often they were forgotten
}

// errLanesForgotten tells that numbers of lanes are to be read again.
var errLanesForgotten = errors.New("the numbers of lanes were forgotten meanwhile")

func (n *laneNumbers) number(lane queue.Lane) (int32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	number, found := n.byLane[lane]
	return number, found
}

func (n *laneNumbers) lane(number int32) (queue.Lane, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	lane, found := n.byID[number]
	return lane, found
}

func (n *laneNumbers) remember(lane queue.Lane, number int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byLane == nil {
		n.byLane = make(map[queue.Lane]int32)
		n.byID = make(map[int32]queue.Lane)
	}
	if _, known := n.byID[number]; !known && len(n.byID) >= n.most {
		for other, its := range n.byID { // any one
			delete(n.byID, other)
			delete(n.byLane, its)
			break
		}
	}
	n.byLane[lane] = number
	n.byID[number] = lane
}

// forget forgets them all.
func (n *laneNumbers) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byLane, n.byID = nil, nil
	n.losses++
}

// lost is how often they were forgotten: numbers that were read before the last time may be wrong.
func (n *laneNumbers) lost() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.losses
}

const findLanes = `
SELECT l.number, l.channel, l.type FROM unnest($1::text[], $2::text[]) AS g(channel, type)
JOIN longshore.lanes l ON l.channel = g.channel COLLATE "C" AND l.type = g.type COLLATE "C"`

const addLanes = `
INSERT INTO longshore.lanes (channel, type)
SELECT DISTINCT g.channel, g.type FROM unnest($1::text[], $2::text[]) AS g(channel, type) ORDER BY 1, 2
ON CONFLICT DO NOTHING`

// numbersOf returns the numbers of lanes, in their order; 0 for one that no job ever had.
func (s *Store) numbersOf(ctx context.Context, lanes []queue.Lane) ([]int32, error) {
	numbers := make([]int32, len(lanes))
	for i := range lanes {
		numbers[i], _ = s.lanes.number(lanes[i])
	}
	if !slices.Contains(numbers, 0) {
		return numbers, nil
	}
	found, err := s.readLanes(ctx, lanes, numbers)
	if err != nil {
		return nil, err
	}
	for i := range lanes {
		numbers[i] = cmp.Or(numbers[i], found[lanes[i]])
	}
	return numbers, nil
}

// readLanes returns the numbers of those whose numbers are not known.
func (s *Store) readLanes(ctx context.Context, lanes []queue.Lane, numbers []int32) (map[queue.Lane]int32, error) {
	channels, types := unknown(lanes, numbers)
	found := make(map[queue.Lane]int32)
	err := s.database(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, findLanes, channels, types)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				number int32
				lane   queue.Lane
			)
			if err := rows.Scan(&number, &lane.Channel, &lane.Type); err != nil {
				return err
			}
			found[lane] = number
			s.lanes.remember(lane, number)
		}
		return rows.Err()
	})
	return found, err
}

func unknown(lanes []queue.Lane, numbers []int32) (channels, types []string) {
	for i := range lanes {
		if numbers[i] == 0 {
			channels = append(channels, lanes[i].Channel)
			types = append(types, lanes[i].Type)
		}
	}
	return channels, types
}

// numberLanes is numbersOf for jobs that are about to be added: a lane that is new gets a number.
// That is a transaction of its own, because a number that nobody uses harms nobody, and one that
// others wait for would keep them from enqueueing.
func (s *Store) numberLanes(ctx context.Context, lanes []queue.Lane) ([]int32, error) {
	numbers, err := s.numbersOf(ctx, lanes)
	if err != nil || !slices.Contains(numbers, 0) {
		return numbers, err
	}
	channels, types := unknown(lanes, numbers)
	err = s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, addLanes, channels, types)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("number the lanes: %w", err)
	}
	return s.numbersOf(ctx, lanes)
}

// laneOf returns the lane that has a number. There always is one, because a job has it.
func (s *Store) laneOf(ctx context.Context, number int32) (lane queue.Lane, err error) {
	if lane, found := s.lanes.lane(number); found {
		return lane, nil
	}
	err = s.database(ctx, func(ctx context.Context) (err error) {
		lane, err = s.lanes.find(ctx, s.pool, number)
		return err
	})
	return lane, err
}

// find is laneOf, and asks from if it has to.
func (n *laneNumbers) find(ctx context.Context, from reader, number int32) (lane queue.Lane, err error) {
	if lane, found := n.lane(number); found {
		return lane, nil
	}
	err = from.QueryRow(ctx, `SELECT channel, type FROM longshore.lanes WHERE number = $1`, number).Scan(&lane.Channel, &lane.Type)
	if err != nil {
		return queue.Lane{}, fmt.Errorf("read lane %d: %w", number, err)
	}
	n.remember(lane, number)
	return lane, nil
}
