package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore-queue/longshore/internal/queue"
)

// MaxLanes is how many lanes have series of their own: those that are met first. The jobs of all others
// are counted together, under a channel and a type named Other. Clients make up the names of lanes, and
// each one costs about 50 series.
const MaxLanes = 200

// Other is the channel and the type of the jobs whose lanes have no series of their own.
const Other = "other"

// Jobs counts what becomes of jobs. It is what engines tell of them.
type Jobs struct {
	enqueued, granted, ended, requeued, retried, deleted *prometheus.CounterVec
	waited, ran                                          *prometheus.HistogramVec
	claim                                                prometheus.Observer

	lanes *kept[queue.Lane, *lane] // MaxLanes and one at most
	left  atomic.Int64             // how many lanes may have series yet
}

// lane has the series of one lane.
type lane struct {
	labels                               queue.Lane
	enqueued, granted, retried, deleted  prometheus.Counter
	finished, failed, canceled           prometheus.Counter
	lost, released, failedOnce, timedOut prometheus.Counter
	waited, ran                          prometheus.Observer
}

func newJobs(f factory) *Jobs {
	j := &Jobs{
		enqueued: f.counterVec("jobs_enqueued_total", "Jobs that this server has added.", "channel", "type"),
		granted:  f.counterVec("leases_granted_total", "Leases that this server has granted.", "channel", "type"),
		ended: f.counterVec("jobs_ended_total",
			"Jobs that came to their end by this server: finished, failed or canceled.", "channel", "type", "outcome"),
		requeued: f.counterVec("jobs_requeued_total",
			"Leases that ended by this server with their jobs not over: lost (the worker went silent), released, retried (the worker reported a failure that may pass), timeout.",
			"channel", "type", "cause"),
		retried: f.counterVec("jobs_restarted_total", "Jobs that were over and began anew by this server, because somebody retried them.", "channel", "type"),
		deleted: f.counterVec("jobs_deleted_total", "Jobs that this server has deleted, on request or because they were old.", "channel", "type"),
		waited: f.histogramVec("job_wait_seconds",
			"How long jobs have waited for the first lease, granted by this server: since they were enqueued, or since their run_at. The time that their dependencies took is part of it.",
			jobBuckets(), "channel", "type"),
		ran: f.histogramVec("job_run_seconds", "How long leases lasted that ended by this server, however they ended.", jobBuckets(), "channel", "type"),
		claim: f.histogram("claim_seconds",
			"How long this server took to lease a job, from choosing it until that was durable. Waiting for one is not part of it.", storeBuckets()),
	}
	j.left.Store(MaxLanes)
	j.lanes = newKept(j.newLane)
	return j
}

// of returns the series of a lane.
func (j *Jobs) of(name queue.Lane) *lane {
	other := queue.Lane{Channel: Other, Type: Other}
	if l, found := (*j.lanes.known.Load())[name]; found {
		return l
	}
	if name == other || j.left.Add(-1) < 0 {
		return j.lanes.get(other)
	}
	return j.lanes.get(name)
}

func (j *Jobs) newLane(name queue.Lane) *lane {
	c, t := name.Channel, name.Type
	return &lane{
		labels:   name,
		enqueued: j.enqueued.WithLabelValues(c, t), granted: j.granted.WithLabelValues(c, t),
		retried: j.retried.WithLabelValues(c, t), deleted: j.deleted.WithLabelValues(c, t),
		finished: j.ended.WithLabelValues(c, t, queue.Finished.String()),
		failed:   j.ended.WithLabelValues(c, t, queue.Failed.String()),
		canceled: j.ended.WithLabelValues(c, t, queue.Canceled.String()),
		lost:     j.requeued.WithLabelValues(c, t, "lost"), released: j.requeued.WithLabelValues(c, t, "released"),
		failedOnce: j.requeued.WithLabelValues(c, t, "retried"), timedOut: j.requeued.WithLabelValues(c, t, "timeout"),
		waited: j.waited.WithLabelValues(c, t), ran: j.ran.WithLabelValues(c, t),
	}
}

// Moved counts what a change has made of jobs.
func (j *Jobs) Moved(moves []queue.Move) {
	var l *lane
	for i := range moves {
		m := &moves[i]
		if l == nil || l.labels != m.Lane {
			l = j.of(m.Lane)
		}
		l.moved(m)
	}
}

func (l *lane) moved(m *queue.Move) {
	if m.From == 0 {
		l.enqueued.Inc()
	}
	switch {
	case m.From == queue.Running:
		if m.Took >= 0 {
			l.ran.Observe(m.Took.Seconds())
		}
		if m.To.Waiting() {
			l.requeued(m.End)
		}
	case m.From.Over() && m.To.Waiting():
		l.retried.Inc()
	}
	switch m.To {
	case 0:
		l.deleted.Inc()
	case queue.Running:
		l.leased(m)
	case queue.Finished:
		l.finished.Inc()
	case queue.Failed:
		l.failed.Inc()
	case queue.Canceled:
		l.canceled.Inc()
	default:
	}
}

func (l *lane) leased(m *queue.Move) {
	l.granted.Inc()
	if m.Took >= 0 {
		l.waited.Observe(m.Took.Seconds())
	}
}

func (l *lane) requeued(end queue.End) {
	switch end {
	case queue.EndLost:
		l.lost.Inc()
	case queue.EndReleased:
		l.released.Inc()
	case queue.EndTimedOut:
		l.timedOut.Inc()
	case queue.EndReported:
		l.failedOnce.Inc()
	default: // that of a job that was canceled does not go on
	}
}

// Claimed is told of each lease how long it took.
func (j *Jobs) Claimed(took time.Duration) { j.claim.Observe(took.Seconds()) }
