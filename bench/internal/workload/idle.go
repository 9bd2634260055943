package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// idleWakes is how many of those that wait are woken, one after the other.
	idleWakes = 500
	// idlePatience bounds how long it takes until all of them wait, and how long each wake takes.
	idlePatience = 2 * time.Minute
	// idlePoll is how often it is asked whether all of them wait.
	idlePoll = time.Millisecond
	// idleMemory is how much memory each may cost the server, in KiB, and idleWake how long an enqueue
	// among them may take to wake one, in ms, by the median.
	idleMemory = 30.0
	idleWake   = 2.0
	// waitForTheseJobs is what they ask. The wait is longer than the measurement.
	waitForTheseJobs = `{"types":["idle"],"wait_seconds":60}`
)

// idle measures what it costs a server that many workers wait for jobs of one type, and how soon a job
// that is added among them is with one of them, and with no more than one.
func idle(ctx context.Context, b *Bench) error {
	name := func(measure, unit string) report.Name {
		return report.Name{Workload: b.idleName(), System: waiting(b.Waiters), Measure: measure, Unit: unit}
	}
	for round := range b.Repeat {
		memory, wakes, err := b.idleOnce(ctx)
		if err != nil {
			return err
		}
		b.Say("idle %d/%d: %s KiB each, wake %s us", round+1, b.Repeat, report.Number(memory), report.Number(microseconds(wakes, 50)))
		b.Figures.Add(name("resident memory of each", "KiB"), memory)
		for _, p := range told(len(wakes)) {
			b.Figures.Add(name("enqueue sent to dequeue answered, "+p.name, "ms"), microseconds(wakes, p.p)/1000)
		}
	}
	b.aim(name("resident memory of each", "KiB"), report.Goal{Limit: idleMemory, AtMost: true})
	b.aim(name("enqueue sent to dequeue answered, p50", "ms"), report.Goal{Limit: idleWake, AtMost: true})
	return nil
}

func (b *Bench) idleName() string { return b.name() + ", workers that wait for one type" }

// idleOnce returns how much memory each worker that waits costs, in KiB, and how long wakes took.
func (b *Bench) idleOnce(ctx context.Context) (memory float64, wakes []time.Duration, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "idle")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = closing(err, s.Stop) }()
	producer, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return 0, nil, err
	}
	defer producer.Close()
	before, err := s.Resident()
	if err != nil {
		return 0, nil, fmt.Errorf("the server's memory: %w", err)
	}
	c, err := startCrowd(ctx, s, b.Waiters)
	if err != nil {
		return 0, nil, err
	}
	defer c.stop()
	if err := awaitWaiting(producer, b.Waiters); err != nil {
		return 0, nil, err
	}
	after, err := s.Resident()
	if err != nil {
		return 0, nil, fmt.Errorf("the server's memory: %w", err)
	}
	wakes, err = c.wakeEach(producer)
	return (float64(after) - float64(before)) / 1024 / float64(b.Waiters), wakes, err
}

// crowd is workers that wait for jobs of one type.
type crowd struct {
	conns   []*wire.Conn
	waiting sync.WaitGroup
	answers chan crowdAnswer
}

// crowdAnswer is the job that one of them got, or why there is one less.
type crowdAnswer struct {
	location string
	job      string
	at       time.Time
	err      error
}

// startCrowd connects so many workers, each of which asks again whenever it was answered.
func startCrowd(ctx context.Context, s *process.Server, n int) (*crowd, error) {
	c := &crowd{answers: make(chan crowdAnswer, n+idleWakes)}
	request := wire.Post("/v1/dequeue", waitForTheseJobs)
	for range n {
		conn, err := wire.Dial(ctx, s.Address)
		if err != nil {
			return nil, closing(err, func() error { c.stop(); return nil })
		}
		c.conns = append(c.conns, conn)
		c.waiting.Go(func() { c.wait(conn, request) })
	}
	return c, nil
}

func (c *crowd) wait(conn *wire.Conn, request []byte) {
	for {
		r, err := conn.Do(request)
		answer := crowdAnswer{at: time.Now(), err: err}
		switch {
		case err != nil:
		case r.Status == http.StatusNoContent:
			continue
		case r.Status == http.StatusCreated:
			answer.location = string(r.Location)
			answer.job, answer.err = idOf(r)
		default:
			answer.err = r.Unexpected()
		}
		c.answers <- answer
		if answer.err != nil {
			return
		}
	}
}

// stop sends all of them away.
func (c *crowd) stop() {
	for _, conn := range c.conns {
		conn.Close()
	}
	c.waiting.Wait()
}

// awaitWaiting returns when the server says that so many calls wait for jobs.
func awaitWaiting(conn *wire.Conn, n int) error {
	for end := time.Now().Add(idlePatience); ; {
		r, err := conn.Expect(http.StatusOK, wire.Get("/v1/workers"))
		if err != nil {
			return fmt.Errorf("look at who waits: %w", err)
		}
		var list struct {
			Workers []struct {
				Waiting int `json:"waiting"`
			} `json:"workers"`
		}
		if err := json.Unmarshal(r.Body, &list); err != nil {
			return fmt.Errorf("look at who waits: %w", err)
		}
		all := 0
		for _, worker := range list.Workers {
			all += worker.Waiting
		}
		if all == n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d workers wait after %v", all, n, idlePatience)
		}
		time.Sleep(idlePoll)
	}
}

// idOf is the id in the body of an answer.
func idOf(r wire.Response) (string, error) {
	var body struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(r.Body, &body)
	return body.ID, err
}

// wakeEach adds jobs one after the other, and returns how long each took to be with a worker. Of each it makes sure
// that one worker was answered with it and no other was with anything: when all of them wait again, each that
// was has told of it.
func (c *crowd) wakeEach(producer *wire.Conn) ([]time.Duration, error) {
	wakes := make([]time.Duration, 0, idleWakes)
	job := wire.Post("/v1/jobs", `{"type":"idle"}`)
	for range idleWakes {
		begin := time.Now()
		created, err := producer.Expect(http.StatusCreated, job)
		if err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		id, err := idOf(created)
		if err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
		}
		select {
		case answer := <-c.answers:
			if answer.err != nil {
				return nil, fmt.Errorf("a worker that waits: %w", answer.err)
			}
			if answer.job != id {
				return nil, fmt.Errorf("the job %s was added, and a worker was answered with %s", id, answer.job)
			}
			wakes = append(wakes, answer.at.Sub(begin))
			if _, err := producer.Expect(http.StatusOK, wire.Post(answer.location+"/finish", report200)); err != nil {
				return nil, fmt.Errorf("finish: %w", err)
			}
		case <-time.After(idlePatience):
			return nil, errors.New("a job was added, and nobody who waited got it")
		}
		if err := awaitWaiting(producer, len(c.conns)); err != nil {
			return nil, err
		}
		if len(c.answers) > 0 {
			return nil, errors.New("a job was added, and more than one worker was answered")
		}
	}
	return wakes, nil
}
