package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/asynq"
	"github.com/longshore-queue/longshore/bench/internal/peer/beanstalkd"
	"github.com/longshore-queue/longshore/bench/internal/peer/disk"
	"github.com/longshore-queue/longshore/bench/internal/peer/faktory"
	"github.com/longshore-queue/longshore/bench/internal/peer/nats"
	"github.com/longshore-queue/longshore/bench/internal/peer/redis"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// running is a peer that was started.
type running struct {
	address string
	open    peer.Opener
	server  *process.Server // nil where it runs in this program
	// processor is load.Observed's; nil where it runs in this program.
	processor func() (time.Duration, error)
	close     func() error
}

// sessions is a peer to which each caller has a session.
type sessions struct {
	*Bench
	// startIn starts it with its files in a directory that is there for it to make.
	startIn func(ctx context.Context, directory string) (running, error)
}

func (s sessions) cycles(ctx context.Context, callers, batch int) (result load.Result, err error) {
	err = s.with(ctx, s.startIn, func(r running) error {
		result, err = peer.Cycle(ctx, r.open, s.cyclesOf(callers, batch, r.processor))
		return err
	})
	return result, err
}

func (s sessions) wakes(ctx context.Context, busy int) (wakes []time.Duration, err error) {
	err = s.with(ctx, s.startIn, func(r running) error {
		wakes, err = peer.Wake(ctx, r.open, s.wakesBeside(busy))
		return err
	})
	return wakes, err
}

// peerDirectory is where a peer has its files, in Work.
const peerDirectory = "peer"

// with starts a peer for as long as do takes, in a directory of its own.
func (b *Bench) with(ctx context.Context, startIn func(context.Context, string) (running, error), do func(running) error) (err error) {
	// One runs at a time.
	directory := filepath.Join(b.Work, peerDirectory)
	defer func() { err = closing(err, func() error { return os.RemoveAll(directory) }) }()
	r, err := startIn(ctx, directory)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, r.close) }()
	return do(r)
}

// startProgram starts a peer's server as a user without rights, in a directory that is made for it.
func (b *Bench) startProgram(ctx context.Context, directory string, p process.Program) (running, error) {
	as, err := process.Unprivileged()
	if err != nil {
		return running{}, err
	}
	if err := process.Directory(directory, as); err != nil {
		return running{}, err
	}
	p.As, p.Log = as, filepath.Join(b.Work, "peer.log")
	s, err := process.Start(ctx, p)
	if err != nil {
		return running{}, err
	}
	r := running{address: s.Address, server: s, processor: s.Family, close: func() error {
		s.Kill() // there is nothing to be kept
		return nil
	}}
	if _, err := s.Family(); err != nil {
		r.processor = nil
	}
	return r, nil
}

func (b *Bench) startBeanstalkd(logged, always bool) func(context.Context, string) (running, error) {
	return func(ctx context.Context, directory string) (running, error) {
		kept := ""
		if logged {
			kept = directory
		}
		r, err := b.startProgram(ctx, directory, beanstalkd.Program(find("beanstalkd"), beanstalkd.Arguments(kept, always)))
		r.open = beanstalkd.Opener(r.address)
		return r, err
	}
}

func (b *Bench) startFaktory(ctx context.Context, directory string) (running, error) {
	r, err := b.startProgram(ctx, directory, faktory.Program(b.Faktory, directory))
	r.open = faktory.Opener(r.address)
	return r, err
}

func (b *Bench) startNATS(always bool) func(context.Context, string) (running, error) {
	return func(ctx context.Context, directory string) (running, error) {
		p := process.Program{Name: "NATS", Path: b.Self, Args: []string{"nats", "--store", directory}, Ready: process.Accepts}
		if always {
			p.Args = append(p.Args, "--always")
		}
		p.Log = filepath.Join(b.Work, "peer.log")
		s, err := process.Start(ctx, p)
		if err != nil {
			return running{}, err
		}
		if err := nats.Prepare(s.Address); err != nil {
			return running{}, closing(err, s.Stop)
		}
		return running{address: s.Address, open: nats.Opener(s.Address), server: s, processor: processorOf(s), close: s.Stop}, nil
	}
}

func (b *Bench) startDisk(_ context.Context, directory string) (running, error) {
	d, err := disk.Open(directory)
	if err != nil {
		return running{}, err
	}
	return running{open: d.Session, close: d.Close}, nil
}

// asynqContender is asynq on a Redis.
type asynqContender struct {
	*Bench
	sync redis.Sync
}

func (a asynqContender) cycles(ctx context.Context, callers, batch int) (result load.Result, err error) {
	if batch != 1 {
		return load.Result{}, peer.ErrUnsupported
	}
	err = a.withAsynq(ctx, func(r running, p *asynq.Peer) error {
		result, err = p.Cycle(ctx, a.cyclesOf(callers, batch, r.processor))
		return err
	})
	return result, err
}

func (a asynqContender) wakes(ctx context.Context, busy int) (wakes []time.Duration, err error) {
	err = a.withAsynq(ctx, func(_ running, p *asynq.Peer) error {
		wakes, err = p.Wake(ctx, a.wakesBeside(busy))
		return err
	})
	return wakes, err
}

func (a asynqContender) withAsynq(ctx context.Context, do func(running, *asynq.Peer) error) error {
	startIn := func(ctx context.Context, directory string) (running, error) {
		return a.startProgram(ctx, directory, redis.Program(find("redis-server"), directory, a.sync))
	}
	return a.with(ctx, startIn, func(r running) (err error) {
		p := asynq.Open(r.address, saying{a.Say, peerAsynq})
		defer func() { err = closing(err, p.Close) }()
		return do(r, p)
	})
}

// find finds a program, where Debian's packages put servers too; "" if it is not there.
func find(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func lacksBeanstalkd(*Bench) string { return lacks("beanstalkd") }

func lacksRedis(*Bench) string { return lacks("redis-server") }

func lacksFaktory(b *Bench) string {
	if b.Faktory == "" {
		return "Faktory's server was not built: give it with --faktory"
	}
	return lacksRedis(b)
}

func lacks(program string) string {
	if find(program) == "" {
		return program + " is not installed: scripts/peers installs it"
	}
	return ""
}

// openHTTP opens sessions with the product. A lane is a type.
func openHTTP(address string) peer.Opener {
	return func(ctx context.Context, lane string, caller int) (peer.Session, error) {
		conn, err := wire.Dial(ctx, address)
		if err != nil {
			return nil, err
		}
		args := jobs.New(fmt.Sprint("http ", caller)).Args()
		return &httpSession{
			conn: conn, finish: newFinish(),
			add:     wire.Post("/v1/jobs", fmt.Sprintf(`{"type":%q,"args":%s}`, lane, args)),
			dequeue: wire.Post("/v1/dequeue", fmt.Sprintf(`{"types":[%q],"wait_seconds":30}`, lane)),
		}, nil
	}
}

type httpSession struct {
	conn         *wire.Conn
	add, dequeue []byte
	finish       finish
	lease        wire.Response
	once         sync.Once
}

// errOneByOne is a mistake of this package.
var errOneByOne = errors.New("a session by HTTP is for single jobs")

// Add adds a job.
func (s *httpSession) Add(n int) error {
	if n != 1 {
		return errOneByOne
	}
	_, err := s.conn.Expect(http.StatusCreated, s.add)
	return err
}

// Fetch leases a job.
func (s *httpSession) Fetch(n int) (err error) {
	if n != 1 {
		return errOneByOne
	}
	s.lease, err = s.conn.Expect(http.StatusCreated, s.dequeue)
	return err
}

// Acknowledge finishes the job.
func (s *httpSession) Acknowledge() error { return s.finish.of(s.conn, s.lease) }

// Close closes the connection.
func (s *httpSession) Close() { s.once.Do(s.conn.Close) }
