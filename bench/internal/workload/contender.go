package workload

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/redis"
	"github.com/longshore-queue/longshore/bench/internal/peer/river"
)

// contender is a system that is put through the same as others, each time from a start of its own
// on a store of its own. peer.ErrUnsupported says that it has no such thing.
type contender interface {
	// cycles adds jobs, batch at a time, by so many callers, and gets all of them done. The
	// result counts jobs.
	cycles(ctx context.Context, callers, batch int) (load.Result, error)
	// wakes adds single jobs for a worker that waits, while so many others are busy.
	wakes(ctx context.Context, busy int) ([]time.Duration, error)
	// keeps adds so many jobs that nobody works.
	keeps(ctx context.Context, jobs int) (peer.Kept, error)
}

// entrant is a contender, and what is known of it.
type entrant struct {
	name string
	// means is what it means that something was acknowledged.
	means string
	// missing says why it cannot be had; "" if it can.
	missing func(*Bench) string
	// postgres: it needs a Cluster.
	postgres bool
	of       func(*Bench) contender
}

// The names of contenders.
const (
	longshoreNext   = longshore + "-next"
	longshoreOn     = longshore + "-" + Postgres
	longshoreOnNext = longshoreOn + "-next"
	peerCeiling     = "ceiling"
	peerDisk        = "disk"
	peerRiver       = "river"
	peerMemory      = "beanstalkd"
	peerLog         = "beanstalkd-log"
	peerSynced      = "beanstalkd-f0"
	peerAsynq       = "asynq"
	peerAsynqSync   = "asynq-always"
	peerFaktory     = "faktory"
	peerNATS        = "nats"
	peerNATSAlways  = "nats-always"
)

// What an acknowledgement means, where several have it in common.
const (
	onDisk       = "on disk"
	in50ms       = "synced within 50 ms"
	inASecond    = "synced within a second"
	onlyInMemory = "in memory"
)

// entrants lists all contenders: the product, the limits, and its peers.
func entrants() []entrant {
	return []entrant{
		{name: longshore, means: onDisk, of: func(b *Bench) contender { return server{b.on(Embedded)} }},
		{name: longshoreNext, means: onDisk, of: func(b *Bench) contender { return nextServer{server{b.on(Embedded)}} }},
		{name: longshoreOn, means: onDisk, postgres: true, of: func(b *Bench) contender { return server{b.on(Postgres)} }},
		{name: longshoreOnNext, means: onDisk, postgres: true, of: func(b *Bench) contender { return nextServer{server{b.on(Postgres)}} }},
		{name: peerCeiling, means: "nothing is kept", of: func(b *Bench) contender { return ceilingContender{b} }},
		{name: peerDisk, means: onDisk, of: func(b *Bench) contender { return sessions{b, b.startDisk} }},
		{name: peerRiver, means: onDisk, postgres: true, of: func(b *Bench) contender { return riverContender{b} }},
		{name: peerMemory, means: onlyInMemory, missing: lacksBeanstalkd, of: func(b *Bench) contender { return sessions{b, b.startBeanstalkd(false, false)} }},
		{name: peerLog, means: in50ms, missing: lacksBeanstalkd, of: func(b *Bench) contender { return sessions{b, b.startBeanstalkd(true, false)} }},
		{name: peerSynced, means: onDisk, missing: lacksBeanstalkd, of: func(b *Bench) contender { return sessions{b, b.startBeanstalkd(true, true)} }},
		{name: peerAsynq, means: inASecond, missing: lacksRedis, of: func(b *Bench) contender { return asynqContender{b, redis.EverySecond} }},
		{name: peerAsynqSync, means: onDisk, missing: lacksRedis, of: func(b *Bench) contender { return asynqContender{b, redis.Always} }},
		{name: peerFaktory, means: "in memory, snapshots now and then", missing: lacksFaktory, of: func(b *Bench) contender { return sessions{b, b.startFaktory} }},
		{name: peerNATS, means: "synced within two minutes", of: func(b *Bench) contender { return sessions{b, b.startNATS(false)} }},
		{name: peerNATSAlways, means: onDisk, of: func(b *Bench) contender { return sessions{b, b.startNATS(true)} }},
	}
}

// Contenders are the systems that can be compared.
func Contenders() []string {
	var names []string
	for _, e := range entrants() {
		names = append(names, e.name)
	}
	return names
}

// contenders are those that are to be compared: all of them, or on PostgreSQL the server and River,
// unless others were named.
func (b *Bench) contenders() []entrant {
	chosen := b.Contenders
	if len(chosen) == 0 && b.Store == Postgres {
		chosen = []string{longshoreOn, longshoreOnNext, peerRiver}
	}
	return slices.DeleteFunc(entrants(), func(e entrant) bool {
		return len(chosen) > 0 && !slices.Contains(chosen, e.name)
	})
}

// server is the product.
type server struct{ *Bench }

func (s server) cycles(ctx context.Context, callers, batch int) (load.Result, error) {
	if batch == 1 {
		return s.cycleOnce(ctx, callers, s.cycling)
	}
	return s.batchesOnce(ctx, callers, batch)
}

func (s server) wakes(ctx context.Context, busy int) (wakes []time.Duration, err error) {
	store, err := s.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, s.remover(ctx, store)) }()
	running, err := s.start(ctx, store, s.LogLevel, "peers-wake")
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, running.Stop) }()
	return peer.Wake(ctx, openHTTP(running.Address), s.wakesBeside(busy))
}

// nextServer is the product where the next dequeue brings the report on the job before.
type nextServer struct{ server }

func (s nextServer) cycles(ctx context.Context, callers, batch int) (load.Result, error) {
	if batch != 1 {
		return load.Result{}, peer.ErrUnsupported // batches are reported so anyway
	}
	return s.cycleOnce(ctx, callers, s.cyclingNext)
}

func (nextServer) wakes(context.Context, int) ([]time.Duration, error) {
	return nil, peer.ErrUnsupported // they are the same
}

func (nextServer) keeps(context.Context, int) (peer.Kept, error) {
	return peer.Kept{}, peer.ErrUnsupported // so are these
}

// ceilingContender answers three requests for a cycle, each as a job that was added is answered.
type ceilingContender struct{ *Bench }

// cycleRequests is how many requests are a cycle.
const cycleRequests = 3

func (c ceilingContender) cycles(ctx context.Context, callers, batch int) (r load.Result, err error) {
	if batch != 1 {
		return load.Result{}, peer.ErrUnsupported
	}
	s, err := c.startCeiling(ctx, ceiling.Edge, c.LogLevel)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	l := c.timed(s, callers, func(connection int) load.Operation { return threeTimes(adding(connection)) })
	l.Database = nil
	return load.Run(ctx, l)
}

func (ceilingContender) wakes(context.Context, int) ([]time.Duration, error) {
	return nil, peer.ErrUnsupported
}

func (ceilingContender) keeps(context.Context, int) (peer.Kept, error) {
	return peer.Kept{}, peer.ErrUnsupported
}

// riverContender is River.
type riverContender struct{ *Bench }

// riverLeast is how long River has to be looked at: it completes jobs every 50 to 250 ms.
const riverLeast = 2 * time.Second

func (r riverContender) cycles(ctx context.Context, callers, batch int) (result load.Result, err error) {
	err = r.with(ctx, func(_ string, p *river.Peer) error {
		c := r.cyclesOf(callers, batch, nil)
		c.Duration, c.Database = max(c.Duration, riverLeast), r.on(Postgres).database()
		result, err = p.Cycle(ctx, c)
		return err
	})
	return result, err
}

func (r riverContender) wakes(ctx context.Context, busy int) (wakes []time.Duration, err error) {
	err = r.with(ctx, func(_ string, p *river.Peer) error {
		wakes, err = p.Wake(ctx, r.wakesBeside(busy))
		return err
	})
	return wakes, err
}

// with starts River on a database of its own for as long as do takes.
func (r riverContender) with(ctx context.Context, do func(store string, p *river.Peer) error) (err error) {
	b := r.on(Postgres)
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	p, err := river.Open(ctx, store, saying{b.Say, peerRiver})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, p.Close) }()
	return do(store, p)
}

// cyclesOf says how a peer goes through cycles.
func (b *Bench) cyclesOf(callers, batch int, processor func() (time.Duration, error)) peer.Cycles {
	return peer.Cycles{Callers: callers, Batch: batch, WarmUp: b.WarmUp, Duration: b.Duration, Processor: processor}
}

// wakesBeside says how a worker is woken while others are busy.
func (b *Bench) wakesBeside(busy int) peer.Wakes {
	return peer.Wakes{Busy: busy, WarmUp: b.WarmUp, Duration: b.Duration}
}

// saying tells a person what a peer complains about.
type saying struct {
	say  func(format string, arguments ...any)
	peer string
}

// Write tells one complaint.
func (s saying) Write(complaint []byte) (int, error) {
	s.say("%s: %s", s.peer, bytes.TrimSpace(complaint))
	return len(complaint), nil
}
