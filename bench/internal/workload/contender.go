package workload

import (
	"bytes"
	"context"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/peer/river"
)

// peerRiver is what River is called.
const peerRiver = "river"

// Contenders are the systems that can be compared: the server on either store, and its peers.
func Contenders() []string { return []string{longshore, longshore + "-" + Postgres, peerRiver} }

// contender is a system that is put through the same as others, each time from a start of its own
// on a store of its own.
type contender interface {
	// cycles adds jobs, batch at a time, by so many callers, and gets all of them done. The
	// result counts jobs.
	cycles(ctx context.Context, callers, batch int) (load.Result, error)
	// wakes adds single jobs for a worker that waits.
	wakes(ctx context.Context) ([]time.Duration, error)
}

// contender returns the one of a name.
func (b *Bench) contender(name string) contender {
	switch name {
	case peerRiver:
		return riverContender{b}
	case longshore:
		return server{b.on(Embedded)}
	default:
		return server{b.on(Postgres)}
	}
}

// contenders are those that are to be compared: the server on the store that was chosen, and River,
// unless others were named.
func (b *Bench) contenders() []string {
	if len(b.Contenders) > 0 {
		return b.Contenders
	}
	return []string{b.name(), peerRiver}
}

// server is the product.
type server struct{ *Bench }

func (s server) cycles(ctx context.Context, callers, batch int) (load.Result, error) {
	if batch == 1 {
		return s.cycleOnce(ctx, callers, s.cycling)
	}
	return s.batchesOnce(ctx, callers)
}

func (s server) wakes(ctx context.Context) ([]time.Duration, error) {
	wakes, _, err := s.wakeOnce(ctx)
	return wakes, err
}

// riverContender is River.
type riverContender struct{ *Bench }

func (r riverContender) cycles(ctx context.Context, callers, batch int) (result load.Result, err error) {
	err = r.with(ctx, func(p *river.Peer) error {
		result, err = p.Cycle(ctx, river.Cycles{
			Callers: callers, Batch: batch, WarmUp: r.WarmUp, Duration: r.Duration, Database: r.on(Postgres).database(),
		})
		return err
	})
	return result, err
}

func (r riverContender) wakes(ctx context.Context) (wakes []time.Duration, err error) {
	err = r.with(ctx, func(p *river.Peer) error {
		wakes, err = p.Wake(ctx, r.WarmUp, r.Duration)
		return err
	})
	return wakes, err
}

// with starts River on a database of its own for as long as do takes.
func (r riverContender) with(ctx context.Context, do func(*river.Peer) error) (err error) {
	b := r.on(Postgres)
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	p, err := river.Open(ctx, store, saying{b.Say})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, p.Close) }()
	return do(p)
}

// saying tells a person what a peer complains about.
type saying struct {
	say func(format string, arguments ...any)
}

// Write tells one complaint.
func (s saying) Write(complaint []byte) (int, error) {
	s.say("%s: %s", peerRiver, bytes.TrimSpace(complaint))
	return len(complaint), nil
}
