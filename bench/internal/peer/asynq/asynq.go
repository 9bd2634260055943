// Package asynq puts asynq (github.com/hibiken/asynq) on a Redis through what the server is put through.
// It is a library, so it runs in this program, which adds the jobs and works them, as an
// application of asynq's would. It has no calls for several jobs.
package asynq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/peer"
)

const (
	// mostOutstanding is how many jobs may be added and not yet worked.
	mostOutstanding = 1_000
	// workers is how many jobs are worked at a time by all of them, each of which acknowledges its own.
	workers = 64
	// servers is how many share the work, as processes of an application would: each fetches one job at a time, so that
	// one alone is slower.
	servers = 4
	// connections is how many connections there are to Redis on either side.
	connections = 64
	// checkInterval is how long a server waits when it has found no job. The default is a second.
	checkInterval = time.Millisecond
	// timed is the type of jobs whose worker tells when it began.
	timed = "timed"
)

// Peer is asynq at work.
type Peer struct {
	redis     asynq.RedisClientOpt
	log       io.Writer
	client    *asynq.Client
	servers   []*asynq.Server
	inspector *asynq.Inspector
	room      *semaphore.Weighted
	started   chan time.Time
}

// Open prepares to work what will be added at a Redis. What asynq complains about goes to log.
func Open(address string, log io.Writer) *Peer {
	redis := asynq.RedisClientOpt{Addr: address, PoolSize: connections}
	return &Peer{
		redis: redis, log: log, client: asynq.NewClient(redis), inspector: asynq.NewInspector(redis),
		room: semaphore.NewWeighted(mostOutstanding), started: make(chan time.Time, mostOutstanding),
	}
}

// start has the servers work, if they do not yet. They ask Redis for work so often that it would never rest where
// there is none.
func (p *Peer) start() error {
	if len(p.servers) > 0 {
		return nil
	}
	mux := asynq.NewServeMux()
	mux.HandleFunc(jobs.Type, func(context.Context, *asynq.Task) error {
		p.room.Release(1)
		return nil
	})
	mux.HandleFunc(timed, func(context.Context, *asynq.Task) error {
		p.started <- time.Now()
		return nil
	})
	for range servers {
		server := asynq.NewServer(p.redis, asynq.Config{
			Concurrency: workers / servers, TaskCheckInterval: checkInterval, Logger: logger{p.log}, LogLevel: asynq.WarnLevel,
			Queues: map[string]int{peer.Lane: 1, peer.OtherLane: 1},
		})
		if err := server.Start(mux); err != nil {
			return fmt.Errorf("start asynq: %w", err)
		}
		p.servers = append(p.servers, server)
	}
	return nil
}

// Close ends asynq, once what is being worked is done.
func (p *Peer) Close() error {
	for _, server := range p.servers {
		server.Shutdown()
	}
	return errors.Join(p.client.Close(), p.inspector.Close())
}

// done is how many jobs Redis has been told are done, which is after the worker's function returned.
func (p *Peer) done(lane string) (int64, error) {
	queues, err := p.inspector.Queues()
	if err != nil {
		return 0, err
	}
	if !slices.Contains(queues, lane) {
		return 0, nil // nothing was added yet, of which asynq makes an error that cannot be told from others
	}
	info, err := p.inspector.GetQueueInfo(lane)
	if err != nil {
		return 0, err
	}
	return int64(info.ProcessedTotal), nil
}

// adding is callers that add jobs.
type adding struct {
	group *errgroup.Group
	stop  atomic.Bool
	busy  context.Context // it ends with the first caller that fails
	end   context.CancelFunc
}

// add lets callers add jobs, one at a time.
func (p *Peer) add(ctx context.Context, lane string, callers int) *adding {
	a := new(adding)
	ctx, a.end = context.WithCancel(ctx)
	a.group, a.busy = errgroup.WithContext(ctx)
	for i := range callers {
		payload := jobs.New("asynq " + strconv.Itoa(i)).Args()
		a.group.Go(func() error {
			task := asynq.NewTask(jobs.Type, payload, asynq.Queue(lane))
			for !a.stop.Load() {
				if p.room.Acquire(a.busy, 1) != nil {
					return nil // it is over
				}
				if _, err := p.client.EnqueueContext(a.busy, task); err != nil && !a.stop.Load() {
					return fmt.Errorf("add a job to asynq: %w", err)
				}
			}
			return nil
		})
	}
	return a
}

// Keep adds so many jobs to a queue that nobody works, one at a time.
func (p *Peer) Keep(ctx context.Context, n int) error {
	callers, ctx := errgroup.WithContext(ctx)
	for i := range connections {
		task := asynq.NewTask(jobs.Type, jobs.New("asynq "+strconv.Itoa(i)).Args(), asynq.Queue("kept"))
		callers.Go(func() error {
			for range (n + i) / connections {
				if _, err := p.client.EnqueueContext(ctx, task); err != nil {
					return fmt.Errorf("add a job to asynq: %w", err)
				}
			}
			return nil
		})
	}
	return callers.Wait()
}

// finish ends the callers.
func (a *adding) finish() error {
	a.stop.Store(true)
	a.end()
	return a.group.Wait()
}

// Cycle adds jobs while they are worked, and counts those of which Redis knows that they are done.
func (p *Peer) Cycle(ctx context.Context, c peer.Cycles) (load.Result, error) {
	if c.Batch != 1 {
		return load.Result{}, peer.ErrUnsupported
	}
	if err := p.start(); err != nil {
		return load.Result{}, err
	}
	var (
		mu     sync.Mutex // guards failed
		failed error
	)
	done := func() int64 {
		n, err := p.done(peer.Lane)
		mu.Lock()
		failed = errors.Join(failed, err)
		mu.Unlock()
		return n
	}
	callers := p.add(ctx, peer.Lane, c.Callers)
	result, observed := load.Observe(callers.busy, c.Observed(done))
	err := callers.finish()
	mu.Lock()
	defer mu.Unlock()
	return result, errors.Join(err, observed, failed, ctx.Err())
}

// Wake adds single jobs, and returns how long each took from before it was added until its worker
// began.
func (p *Peer) Wake(ctx context.Context, w peer.Wakes) (wakes []time.Duration, err error) {
	if err := p.start(); err != nil {
		return nil, err
	}
	others := p.add(ctx, peer.OtherLane, w.Busy)
	defer func() { err = errors.Join(err, others.finish()) }()
	task := asynq.NewTask(timed, jobs.New("wake").Args(), asynq.Queue(peer.Lane))
	return peer.Repeat(others.busy, w, func() (time.Duration, error) {
		begin := time.Now()
		if _, err := p.client.EnqueueContext(ctx, task); err != nil {
			return 0, fmt.Errorf("add a job to asynq: %w", err)
		}
		select {
		case at := <-p.started:
			return at.Sub(begin), nil
		case <-time.After(peer.Patience):
			return 0, errors.New("a job was not worked in time")
		}
	})
}

// logger passes on what asynq complains about.
type logger struct{ out io.Writer }

func (logger) Debug(...any) {}
func (logger) Info(...any)  {}

// Warn tells a complaint.
func (l logger) Warn(about ...any) { _, _ = fmt.Fprintln(l.out, about...) }

// Error tells a complaint.
func (l logger) Error(about ...any) { _, _ = fmt.Fprintln(l.out, about...) }

// Fatal tells a complaint. The end of the program is not asynq's to decide.
func (l logger) Fatal(about ...any) { _, _ = fmt.Fprintln(l.out, about...) }
