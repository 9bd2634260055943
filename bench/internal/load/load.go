// Package load keeps a number of connections busy and counts what they get done. It does not
// know what an operation is, nor which server answers.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// patience is how long a load may go on after it should have ended, before it is given up.
const patience = 2 * time.Minute

// Operation is done over and over on one connection, by one goroutine.
type Operation func(*wire.Conn) error

// Load says what to do.
type Load struct {
	Address     string
	Connections int
	// New makes the operation of one connection, numbered from 0.
	New func(connection int) Operation
	// WarmUp goes before what is measured.
	WarmUp time.Duration
	// Duration is how long to measure. 0: until Count operations are done, without WarmUp.
	Duration time.Duration
	Count    int64
	// Processor tells the time that the server has spent on processors so far; nil if that
	// is of no interest.
	Processor func() (time.Duration, error)
}

// Result is what was measured.
type Result struct {
	Operations int64
	Elapsed    time.Duration
	// Processor is the server's time on processors meanwhile, and Own that of this process.
	Processor, Own time.Duration
}

// Rate returns operations a second.
func (r Result) Rate() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// Each returns how much of a time there is for each operation, in microseconds.
func (r Result) Each(of time.Duration) float64 {
	return float64(of.Nanoseconds()) / 1000 / float64(r.Operations)
}

// counter is one connection's. It fills a cache line, so that connections do not share one.
type counter struct {
	done atomic.Int64
	_    [56]byte
}

// run is one load while it goes on.
type run struct {
	Load
	counters []counter
	started  atomic.Int64 // operations, if they are limited by Count
	stop     atomic.Bool
}

// Run connects, and keeps all connections busy until enough was measured. The first operation
// that fails ends it.
func Run(ctx context.Context, l Load) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.WarmUp+l.Duration+patience, errors.New("the load did not end in time"))
	defer cancel()
	r := &run{Load: l, counters: make([]counter, l.Connections)}
	workers, busy := errgroup.WithContext(ctx)
	// All connections end when busy does: with the load, or because one of them has failed.
	conns := make([]*wire.Conn, l.Connections)
	for i := range conns {
		var err error
		if conns[i], err = wire.Dial(busy, l.Address); err != nil {
			return Result{}, err
		}
	}
	begin := r.look()
	for i, conn := range conns {
		workers.Go(func() error { return r.work(conn, &r.counters[i], l.New(i)) })
	}
	if l.Duration > 0 {
		wait(busy, l.WarmUp)
		begin = r.look()
		wait(busy, l.Duration)
	} else {
		_ = workers.Wait() // again below
	}
	end := r.look()
	r.stop.Store(true)
	if err := workers.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Result{}, err
	}
	return between(begin, end)
}

// work does operations on one connection until there is no more to do.
func (r *run) work(conn *wire.Conn, done *counter, operation Operation) error {
	for !r.stop.Load() {
		if r.Duration == 0 && r.started.Add(1) > r.Count {
			return nil
		}
		if err := operation(conn); err != nil {
			return fmt.Errorf("after %d operations of a connection: %w", done.done.Load(), err)
		}
		done.done.Add(1)
	}
	return nil
}

// moment is what there is to see at one time.
type moment struct {
	at        time.Time
	done      int64
	processor time.Duration
	own       time.Duration
	err       error
}

func (r *run) look() moment {
	var m moment
	for i := range r.counters {
		m.done += r.counters[i].done.Load()
	}
	m.at = time.Now()
	var own syscall.Rusage
	m.err = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	m.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if r.Processor != nil {
		processor, err := r.Processor()
		m.processor, m.err = processor, errors.Join(m.err, err)
	}
	return m
}

func between(begin, end moment) (Result, error) {
	r := Result{
		Operations: end.done - begin.done,
		Elapsed:    end.at.Sub(begin.at),
		Processor:  end.processor - begin.processor,
		Own:        end.own - begin.own,
	}
	if err := errors.Join(begin.err, end.err); err != nil {
		return Result{}, err
	}
	if r.Operations == 0 {
		return Result{}, fmt.Errorf("nothing was answered within %s", r.Elapsed)
	}
	return r, nil
}

// wait lets the load go on for that long, unless it ends by itself.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
