package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

// Postgres counts what this server does on PostgreSQL. It is a postgres.Observer.
type Postgres struct {
	*Jobs
	rounds, callers prometheus.Observer
	failed          prometheus.Counter
}

// Postgres returns what the engine on PostgreSQL tells. It is called once.
func (r *Registry) Postgres() *Postgres {
	return &Postgres{
		Jobs:    r.Jobs,
		rounds:  r.factory.histogram("postgres_round_seconds", "How long rounds took: one transaction for all callers of this server that gathered meanwhile.", storeBuckets()),
		callers: r.factory.histogram("postgres_round_callers", "How many callers of this server shared a round.", sizeBuckets()),
		failed:  r.factory.counterVec("postgres_rounds_failed_total", "Rounds of this server that have failed.").WithLabelValues(),
	}
}

// Round is told of each round.
func (p *Postgres) Round(took time.Duration, callers int, failed bool) {
	p.rounds.Observe(took.Seconds())
	p.callers.Observe(float64(callers))
	if failed {
		p.failed.Inc()
	}
}

// AddPostgres has figures of a store be told.
func (r *Registry) AddPostgres(read func() postgres.Stats) {
	type stats = postgres.Stats
	addFigures(r, func() (stats, error) { return read(), nil }, []figure[stats]{
		{"postgres_connections", "Connections of this server to the database, besides the one that listens.", false, func(s stats) float64 { return float64(s.Connections) }},
		{"postgres_connections_busy", "Connections of this server that are in use.", false, func(s stats) float64 { return float64(s.Busy) }},
		{"postgres_connections_limit", "How many connections this server may have.", false, func(s stats) float64 { return float64(s.Most) }},
		{"postgres_acquires_total", "How often a connection was taken.", true, func(s stats) float64 { return float64(s.Acquired) }},
		{"postgres_acquires_waited_total", "How often one had to wait for a connection.", true, func(s stats) float64 { return float64(s.Waited) }},
		{"postgres_acquire_wait_seconds_total", "How long all have waited for connections.", true, func(s stats) float64 { return s.WaitTime.Seconds() }},
		{"postgres_listener_down", "1 while the connection is missing that hears of other servers, and only polls find what they did; 0 also where none is wanted.", false,
			func(s stats) float64 {
				if s.Deaf {
					return 1
				}
				return 0
			}},
	})
}
