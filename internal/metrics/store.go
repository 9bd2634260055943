package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// countTimeout bounds how long the store may take to count its jobs.
	countTimeout = 5 * time.Second
	// mostPages is how many pages of lanes are read of it. What is on none of them is counted under
	// Other.
	mostPages = 5
)

// Queue is the store, as far as its jobs are counted.
type Queue interface {
	Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error)
}

// storeJobs tells what jobs there are in the store, whenever it is asked.
type storeJobs struct {
	queue                                 Queue
	jobs                                  *Jobs
	counts, bytes, oldest, lanes, up, ask *prometheus.Desc
}

// AddQueue has the jobs of a store be told.
func (r *Registry) AddQueue(q Queue) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	r.registry.MustRegister(&storeJobs{
		queue: q, jobs: r.Jobs,
		counts: desc("jobs", "Jobs in the store, whichever server added them: the same on each server of one database. Those that are running have a lease each.",
			"channel", "type", "state"),
		bytes: desc("jobs_args_bytes", "How large the args of the jobs in the store are together that are not over. Absent while it is not known, as after an update.",
			"channel", "type"),
		oldest: desc("oldest_ready_seconds", "For how long the job has been ready that was enqueued first of those that are pending, in the store; 0 if none is.",
			"channel", "type"),
		lanes: desc("lanes", "Lanes in the store, which are pairs of a channel and a type that have jobs."),
		up:    desc("store_up", "Whether the store could count its jobs, for this very scrape."),
		ask:   desc("store_count_seconds", "How long it took the store to count its jobs, for this very scrape."),
	})
}

// Describe implements prometheus.Collector.
func (s *storeJobs) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.counts, s.bytes, s.oldest, s.lanes, s.up, s.ask} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *storeJobs) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	began := time.Now()
	found, lanes, err := s.count(ctx)
	gauge(s.ask, time.Since(began).Seconds())
	if err != nil {
		gauge(s.up, 0)
		return
	}
	gauge(s.up, 1)
	gauge(s.lanes, float64(lanes))
	for lane, c := range found {
		for _, state := range queue.States() {
			gauge(s.counts, float64(c.counts[state]), lane.Channel, lane.Type, state.String())
		}
		if !c.unsized {
			gauge(s.bytes, float64(c.bytes), lane.Channel, lane.Type)
		}
		gauge(s.oldest, c.oldest.Seconds(), lane.Channel, lane.Type)
	}
}

// counted is what there is of the lanes with the same labels.
type counted struct {
	counts  queue.Counts
	bytes   int64
	unsized bool // the bytes are not all
	oldest  time.Duration
}

// count counts the jobs of the store, by labels, and how many lanes were seen.
func (s *storeJobs) count(ctx context.Context) (found map[queue.Lane]*counted, lanes int, err error) {
	found = make(map[queue.Lane]*counted)
	of := func(labels queue.Lane) *counted {
		if found[labels] == nil {
			found[labels] = new(counted)
		}
		return found[labels]
	}
	for _, lane := range *s.jobs.lanes.known.Load() {
		of(lane.labels) // it may have no job any more, which is a 0 and not a gap
	}
	var seen, total queue.Counts
	listing := queue.LaneListing{Limit: queue.MaxPage}
	for range mostPages {
		page, err := s.queue.Queues(ctx, listing)
		if err != nil {
			return nil, 0, err
		}
		total = page.Total
		for i := range page.Queues {
			info := &page.Queues[i]
			c := of(s.jobs.of(info.Lane).labels)
			c.counts.Add(&info.Counts)
			seen.Add(&info.Counts)
			c.bytes += info.Bytes
			c.unsized = c.unsized || info.Bytes == queue.UnknownBytes
			if !info.OldestReady.IsZero() {
				c.oldest = max(c.oldest, page.Now.Sub(info.OldestReady))
			}
			listing.After = info.Lane
		}
		lanes += len(page.Queues)
		if !page.More {
			return found, lanes, nil
		}
	}
	rest := of(queue.Lane{Channel: Other, Type: Other})
	rest.unsized = true
	for state := range total {
		rest.counts[state] += max(0, total[state]-seen[state])
	}
	return found, lanes, nil
}
