package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/stat"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// wakeGoal is how many empty round trips a wake may take, by the medians.
	wakeGoal = 3.0
	// settling is how many empty round trips go between a waiter's request and the job that
	// it waits for. By then it stands in line: its request went first.
	settling = 4
	// databaseSettling is how much longer it takes where the server asks a database before the
	// waiter stands in line. River is left alone for as long.
	databaseSettling = 5 * time.Millisecond
	// wakePatience bounds one round, beyond the time that it measures.
	wakePatience = time.Minute
)

// wake measures how soon a worker that waits has a job, and beside it an empty round trip.
func wake(ctx context.Context, b *Bench) error {
	for round := range b.Repeat {
		wakes, trips, err := b.wakeOnce(ctx)
		if err != nil {
			return err
		}
		b.Say("wake %d/%d: %s us, empty round trip %s us", round+1, b.Repeat,
			report.Number(microseconds(wakes, 50)), report.Number(microseconds(trips, 50)))
		for _, p := range told(len(wakes)) {
			b.Figures.Add(b.wakeName("enqueue sent to dequeue answered, "+p.name, "us"), microseconds(wakes, p.p))
			b.Figures.Add(b.wakeName("empty round trip, "+p.name, "us"), microseconds(trips, p.p))
		}
	}
	name := b.wakeName("wake by empty round trips, p50", "")
	b.Figures.Ratio(name, b.wakeName("enqueue sent to dequeue answered, p50", "us"), b.wakeName("empty round trip, p50", "us"))
	b.aim(name, report.Goal{Limit: wakeGoal, AtMost: true})
	return nil
}

func (b *Bench) wakeName(measure, unit string) report.Name {
	return report.Name{Workload: "wake", System: b.name(), Measure: measure, Unit: unit}
}

// percentile is one of those that are told of times.
type percentile struct {
	name string
	p    float64
}

func percentiles() []percentile { return []percentile{{"p50", 50}, {"p99", 99}, {"p99.9", 99.9}} }

// told are those that so many times can tell: of fewer than a hundred the 99th is no more than the slowest.
func told(times int) []percentile {
	return slices.DeleteFunc(percentiles(), func(p percentile) bool {
		return p.p > 50 && math.Round(float64(times)*(100-p.p)*1000) < 100_000
	})
}

func microseconds(times []time.Duration, p float64) float64 { return stat.Percentile(times, p) / 1000 }

// wakeOnce measures from a start of its own.
func (b *Bench) wakeOnce(ctx context.Context) (wakes, trips []time.Duration, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "wake")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = closing(err, s.Stop) }()
	return b.wakes(ctx, s, s)
}

// wakes measures how soon a worker that waits at one server has a job that is added at another
// one, or the same, and beside it empty round trips to that.
func (b *Bench) wakes(ctx context.Context, producing, working *process.Server) (wakes, trips []time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.WarmUp+b.Duration+wakePatience, errors.New("a round of wakes did not end in time"))
	defer cancel()
	producer, err := wire.Dial(ctx, producing.Address)
	if err != nil {
		return nil, nil, err
	}
	defer producer.Close()
	conn, err := wire.Dial(ctx, working.Address)
	if err != nil {
		return nil, nil, err
	}
	w := startWaiter(conn)
	defer w.stop()
	pair := &pair{producer: producer, waiter: w, job: newJobs(0), finish: newFinish()}
	if b.Store == Postgres {
		pair.settling = databaseSettling
	}
	if err := pair.repeat(b.WarmUp); err != nil {
		return nil, nil, err
	}
	pair.wakes, pair.trips = nil, nil
	err = pair.repeat(b.Duration)
	return pair.wakes, pair.trips, err
}

// pair is a producer and a worker, and what they have measured.
type pair struct {
	producer *wire.Conn
	waiter   *waiter
	job      func() []byte
	finish   finish
	settling time.Duration // after the empty round trips
	wakes    []time.Duration
	trips    []time.Duration
}

// repeat wakes the worker over and over for that long, and at least once.
func (p *pair) repeat(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		if err := p.once(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return nil
		}
	}
}

func (p *pair) once() error {
	if err := p.waiter.ask(); err != nil {
		return err
	}
	health := wire.Get("/healthz")
	for range settling {
		begin := time.Now()
		if _, err := p.producer.Expect(http.StatusOK, health); err != nil {
			return fmt.Errorf("empty round trip: %w", err)
		}
		p.trips = append(p.trips, time.Since(begin))
	}
	time.Sleep(p.settling)
	job := p.job()
	begin := time.Now()
	if _, err := p.producer.Expect(http.StatusCreated, job); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	answer := <-p.waiter.answers
	if answer.err != nil {
		return fmt.Errorf("dequeue: %w", answer.err)
	}
	p.wakes = append(p.wakes, answer.at.Sub(begin))
	return p.finish.of(p.producer, answer.lease)
}

// waiter is a worker that waits for jobs, on a goroutine of its own, so that what it is
// answered is noticed when it comes and not when the producer has been answered.
type waiter struct {
	conn    *wire.Conn
	request []byte
	asked   chan struct{}
	answers chan waiterAnswer
	done    chan struct{}
}

type waiterAnswer struct {
	lease wire.Response // good until the next ask
	at    time.Time
	err   error
}

func startWaiter(conn *wire.Conn) *waiter {
	w := &waiter{
		conn:    conn,
		request: wire.Post("/v1/dequeue", dequeueWait),
		asked:   make(chan struct{}, 1),
		answers: make(chan waiterAnswer, 1),
		done:    make(chan struct{}),
	}
	go w.run()
	return w
}

// ask sends the request. When it returns, the server's machine has it.
func (w *waiter) ask() error {
	if err := w.conn.Send(w.request); err != nil {
		return fmt.Errorf("dequeue: %w", err)
	}
	w.asked <- struct{}{}
	return nil
}

func (w *waiter) run() {
	defer close(w.done)
	for range w.asked {
		r, err := w.conn.Receive()
		at := time.Now()
		if err == nil && r.Status != http.StatusCreated {
			err = r.Unexpected()
		}
		w.answers <- waiterAnswer{lease: r, at: at, err: err}
	}
}

// stop ends the waiter, whether it waits or not.
func (w *waiter) stop() {
	close(w.asked)
	w.conn.Close()
	<-w.done
}
