package postgres

import (
	"maps"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// ratesKept is how long a lane is measured in which nothing happens any more: then a rate is a three-thousandth
// of what it was at most.
const ratesKept = 2 * time.Hour

// laneRates measures how often things happen in each lane, on whatever server, since this one was
// opened or last forgot the lane.
type laneRates struct {
	most int // how many lanes are measured

	mu     sync.Mutex // guards meters
	meters map[int32]*laneMeters
}

type laneMeters struct {
	queue.Meters
	last time.Time // when something has happened
}

func (r *laneRates) add(happened map[int32]*queue.Happened, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, h := range happened {
		m := r.meters[lane]
		if m == nil {
			if r.meters == nil {
				r.meters = make(map[int32]*laneMeters)
			}
			r.makeRoom()
			m = new(laneMeters)
			r.meters[lane] = m
		}
		m.Add(h, at)
		m.last = at
	}
}

// makeRoom forgets a lane, any one, if there is no room for another. mu is held.
func (r *laneRates) makeRoom() {
	for lane := range r.meters {
		if len(r.meters) < r.most {
			return
		}
		delete(r.meters, lane)
	}
}

// forget forgets lanes in which nothing has happened for long.
func (r *laneRates) forget(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.meters, func(_ int32, m *laneMeters) bool { return now.Sub(m.last) > ratesKept })
}

func (r *laneRates) fill(lane int32, info *queue.LaneInfo, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.meters[lane]; m != nil {
		m.Fill(info, now)
	}
}
