package queue

import (
	"math"
	"time"
)

// The spans of Rates, in seconds.
const (
	oneMinute      = 60.0
	fiveMinutes    = 5 * oneMinute
	fifteenMinutes = 15 * oneMinute
)

// Meter measures how often something happens. The zero Meter has seen nothing.
type Meter struct {
	rates Rates // as of at
	at    time.Time
}

// Add notes that it happened n times.
func (m *Meter) Add(n int64, now time.Time) {
	if n == 0 {
		return
	}
	m.rates = m.Read(now)
	m.at = now
	m.rates.One += float64(n) / oneMinute
	m.rates.Five += float64(n) / fiveMinutes
	m.rates.Fifteen += float64(n) / fifteenMinutes
}

// Read returns the rates as they are now.
func (m *Meter) Read(now time.Time) Rates {
	passed := now.Sub(m.at).Seconds()
	if m.rates == (Rates{}) || passed <= 0 {
		return m.rates
	}
	return Rates{
		One:     m.rates.One * math.Exp(-passed/oneMinute),
		Five:    m.rates.Five * math.Exp(-passed/fiveMinutes),
		Fifteen: m.rates.Fifteen * math.Exp(-passed/fifteenMinutes),
	}
}

// Happened is how often what is measured has happened to the jobs of a lane.
type Happened struct{ Enqueued, Started, Finished, Failed int64 }

// Note notes that a job has come from one state, 0 if it is new, to another one.
func (h *Happened) Note(from, to State) {
	if from == 0 {
		h.Enqueued++
	}
	switch to {
	case Running:
		h.Started++
	case Finished:
		h.Finished++
	case Failed:
		h.Failed++
	default:
	}
}

// Meters measure how often things happen to the jobs of one lane.
type Meters struct{ enqueued, started, finished, failed Meter }

// Add notes what has happened.
func (m *Meters) Add(h *Happened, now time.Time) {
	m.enqueued.Add(h.Enqueued, now)
	m.started.Add(h.Started, now)
	m.finished.Add(h.Finished, now)
	m.failed.Add(h.Failed, now)
}

// Fill puts the rates as they are now into what is told of the lane.
func (m *Meters) Fill(info *LaneInfo, now time.Time) {
	info.Enqueued, info.Started = m.enqueued.Read(now), m.started.Read(now)
	info.Finished, info.Failed = m.finished.Read(now), m.failed.Read(now)
}
