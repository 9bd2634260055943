// Package load keeps a number of connections busy and counts what they get done. It does not
// know what an operation is, nor which server answers.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// patience is how long a load may go on after it should have ended, before it is given up. One that is
// limited by Count should have ended when every operation, on whatever connection, has taken a millisecond.
const patience = 2 * time.Minute

// Operation is done over and over on one connection, by one goroutine.
type Operation func(*wire.Conn) error

// Load says what to do.
type Load struct {
	// Addresses are those of the servers. Connections are spread over them in turn.
	Addresses   []string
	Connections int
	// New makes the operation of one connection, numbered from 0.
	New func(connection int) Operation
	// Credential is what all requests carry; "" for nothing.
	Credential string
	// WarmUp goes before what is measured.
	WarmUp time.Duration
	// Duration is how long to measure. 0: until Count operations are done, without WarmUp.
	Duration time.Duration
	Count    int64
	// Processor and Database are Observed's.
	Processor, Database func() (time.Duration, error)
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
	ctx, cancel := context.WithTimeoutCause(ctx, l.WarmUp+l.Duration+time.Duration(l.Count)*time.Millisecond+patience, errors.New("the load did not end in time"))
	defer cancel()
	r := &run{Load: l, counters: make([]counter, l.Connections)}
	workers, busy := errgroup.WithContext(ctx)
	// They are made before the connections, which a server closes that nothing comes over for long.
	operations := make([]Operation, l.Connections)
	for i := range operations {
		operations[i] = l.New(i)
	}
	// All connections end when busy does: with the load, or because one of them has failed.
	conns := make([]*wire.Conn, l.Connections)
	for i := range conns {
		var err error
		if conns[i], err = wire.Dial(busy, l.Addresses[i%len(l.Addresses)]); err != nil {
			return Result{}, err
		}
		conns[i].Bear(l.Credential)
	}
	o := Observed{WarmUp: l.WarmUp, Duration: l.Duration, Least: int64(l.Connections), Done: r.done, Processor: l.Processor, Database: l.Database}
	begin := o.look()
	for i, conn := range conns {
		workers.Go(func() error { return r.work(conn, &r.counters[i], operations[i]) })
	}
	var (
		result   Result
		observed error
	)
	if l.Duration > 0 {
		result, observed = Observe(busy, o)
	} else {
		_ = workers.Wait() // again below
		result, observed = between(begin, o.look())
	}
	r.stop.Store(true)
	if err := workers.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Result{}, err
	}
	return result, observed
}

// done is how many operations are done.
func (r *run) done() int64 {
	var n int64
	for i := range r.counters {
		n += r.counters[i].done.Load()
	}
	return n
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
