package postgres

import (
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// laneRates measures how often things happen in each lane, on whatever server, since this one was
// opened.
type laneRates struct {
	mu     sync.Mutex // guards meters
	meters map[int32]*queue.Meters
}

func (r *laneRates) add(happened map[int32]*queue.Happened, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lane, h := range happened {
		m := r.meters[lane]
		if m == nil {
			if r.meters == nil {
				r.meters = make(map[int32]*queue.Meters)
			}
			m = new(queue.Meters)
			r.meters[lane] = m
		}
		m.Add(h, at)
	}
}

func (r *laneRates) fill(lane int32, info *queue.LaneInfo, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.meters[lane]; m != nil {
		m.Fill(info, now)
	}
}
