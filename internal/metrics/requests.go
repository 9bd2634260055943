package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts requests, and those who wait. It is what internal/api tells of them.
type Requests struct {
	inFlight prometheus.Gauge
	waiting  prometheus.Gauge
	answered *prometheus.CounterVec
	took     *prometheus.HistogramVec
	kinds    *kept[answer, answers]
	asked    *kept[string, prometheus.Counter]
	limited  *kept[string, prometheus.Counter]
}

// answer is a kind of answers. There are not many: of operations as many as the contract has.
type answer struct {
	operation string
	status    int
}

type answers struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func newRequests(f factory) *Requests {
	r := &Requests{
		inFlight: f.gauge("http_requests_in_flight", "Requests that this server is answering, those that wait included."),
		waiting:  f.gauge("long_polls", "Requests that this server holds back until something happens: calls for work, for the end of a job, for events."),
		answered: f.counterVec("http_requests_total",
			"Requests that this server has answered, by the contract's name of the operation, \"none\" for what is not in it; the status is \"aborted\" where the client had gone.",
			"operation", "status"),
		took: f.histogramVec("http_request_seconds", "How long requests took, waiting included.", answerBuckets(), "operation"),
	}
	r.kinds = newKept(func(a answer) answers {
		status := "aborted"
		if a.status != 0 {
			status = strconv.Itoa(a.status)
		}
		return answers{r.answered.WithLabelValues(a.operation, status), r.took.WithLabelValues(a.operation)}
	})
	credentials := f.counterVec("authentications_total",
		"Requests that this server has asked who they come from: accepted, missing (there was no credential), refused (also if it is of no kind that is asked for), or unknown (nobody could tell at the moment).", "outcome")
	r.asked = newKept(func(outcome string) prometheus.Counter { return credentials.WithLabelValues(outcome) })
	for _, outcome := range []string{"accepted", "missing", "refused", "unknown"} {
		r.asked.get(outcome) // so that it is 0 and not absent
	}
	limits := f.counterVec("limited_total",
		"Calls that this server has refused, or not let wait, because of a limit: rate or waiting of their credential, quota of a channel, waiting_in_all or memory of the server; and connections that it has closed for being too many.", "limit")
	r.limited = newKept(func(limit string) prometheus.Counter { return limits.WithLabelValues(limit) })
	for _, limit := range []string{"rate", "waiting", "quota", "waiting_in_all", "memory", "connections"} {
		r.limited.get(limit)
	}
	return r
}

// Authenticated is told what became of asking a request who it comes from: one of a few words.
func (r *Requests) Authenticated(outcome string) { r.asked.get(outcome).Inc() }

// Limited is told of each call, or connection, that a limit was against: one of a few words.
func (r *Requests) Limited(limit string) { r.limited.get(limit).Inc() }

// Began is told of each request.
func (r *Requests) Began() { r.inFlight.Inc() }

// Ended is told of each request that Began was told of: which operation of the contract it was, "" if
// none, and the status of the answer, 0 if the client did not get one.
func (r *Requests) Ended(operation string, status int, took time.Duration) {
	r.inFlight.Dec()
	if operation == "" {
		operation = "none"
	}
	a := r.kinds.get(answer{operation, status})
	a.count.Inc()
	a.took.Observe(took.Seconds())
}

// Waits is told that a request begins to wait, and WaitsNoMore that it does not any more.
func (r *Requests) Waits() { r.waiting.Inc() }

// WaitsNoMore is told after Waits, once.
func (r *Requests) WaitsNoMore() { r.waiting.Dec() }
