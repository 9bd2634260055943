package embedded

import (
	"math"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// The spans of queue.Rates, in seconds.
const (
	oneMinute      = 60.0
	fiveMinutes    = 5 * oneMinute
	fifteenMinutes = 15 * oneMinute
)

// meter measures how often something happens. The zero meter has seen nothing.
type meter struct {
	rates queue.Rates // as of at
	at    time.Time
}

// add notes that it happened n times.
func (m *meter) add(n int64, now time.Time) {
	if n == 0 {
		return
	}
	m.rates = m.read(now)
	m.at = now
	m.rates.One += float64(n) / oneMinute
	m.rates.Five += float64(n) / fiveMinutes
	m.rates.Fifteen += float64(n) / fifteenMinutes
}

// read returns the rates as they are now.
func (m *meter) read(now time.Time) queue.Rates {
	passed := now.Sub(m.at).Seconds()
	if m.rates == (queue.Rates{}) || passed <= 0 {
		return m.rates
	}
	return queue.Rates{
		One:     m.rates.One * math.Exp(-passed/oneMinute),
		Five:    m.rates.Five * math.Exp(-passed/fiveMinutes),
		Fifteen: m.rates.Fifteen * math.Exp(-passed/fifteenMinutes),
	}
}

// happened is how often what is measured has happened to the jobs of a lane.
type happened struct{ enqueued, started, finished, failed int64 }

// note notes that a job has come from one state, 0 if it is new, to another one.
func (h *happened) note(from, to queue.State) {
	if from == 0 {
		h.enqueued++
	}
	switch to {
	case queue.Running:
		h.started++
	case queue.Finished:
		h.finished++
	case queue.Failed:
		h.failed++
	default:
	}
}

// meters are those of one lane.
type meters struct{ enqueued, started, finished, failed meter }

func (m *meters) add(h *happened, now time.Time) {
	m.enqueued.add(h.enqueued, now)
	m.started.add(h.started, now)
	m.finished.add(h.finished, now)
	m.failed.add(h.failed, now)
}
