package metrics

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/reaper"
)

// Reaped returns the queue as a reaper is to see it, which counts what that does. It is called once.
func (r *Registry) Reaped(q reaper.Queue) reaper.Queue {
	looks := r.factory.counterVec("reaper_looks_total", "How often this server has looked for silent leases.", "result")
	return &reaped{
		Queue: q, looks: looks.WithLabelValues("ok"), failed: looks.WithLabelValues("failed"),
		taken: r.factory.counterVec("reaper_leases_total", "Silent leases that this server has taken back, whether their jobs went back in line or failed.").WithLabelValues(),
	}
}

type reaped struct {
	reaper.Queue
	looks, failed, taken prometheus.Counter
}

// Heartbeats is a look.
func (q *reaped) Heartbeats(ctx context.Context, olderThan time.Duration) ([]uuid.UUID, error) {
	tokens, err := q.Queue.Heartbeats(ctx, olderThan)
	count(err, q.looks, q.failed)
	return tokens, err
}

// RequeueOrFinishJob takes a lease back.
func (q *reaped) RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error) {
	state, err := q.Queue.RequeueOrFinishJob(ctx, token, maxRetries, outcome)
	if err == nil {
		q.taken.Inc()
	}
	return state, err
}

// Pruned returns the store as a pruner is to see it, which counts what that does. It is called once.
func (r *Registry) Pruned(s reaper.Store) reaper.Store {
	steps := r.factory.counterVec("pruner_steps_total", "Steps in which this server has deleted jobs that are old, or has found none.", "result")
	return &pruned{Store: s, steps: steps.WithLabelValues("ok"), failed: steps.WithLabelValues("failed")}
}

type pruned struct {
	reaper.Store
	steps, failed prometheus.Counter
}

// Prune is a step.
func (s *pruned) Prune(ctx context.Context, before time.Time) (bool, error) {
	done, err := s.Store.Prune(ctx, before)
	count(err, s.steps, s.failed)
	return done, err
}

func count(err error, ok, failed prometheus.Counter) {
	if err != nil {
		failed.Inc()
	} else {
		ok.Inc()
	}
}
