package workload

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// readersGoal is which part of the rate is to be left while events are read.
const readersGoal = 0.90

// readers measures enqueues without anybody who reads events, with readers who wait for a channel
// of their own in which nothing happens, and with readers who want everything.
func readers(ctx context.Context, b *Bench) error {
	systems := []string{
		"no readers",
		strconv.Itoa(b.Readers) + " readers of other channels",
		strconv.Itoa(b.Readers) + " readers of everything",
	}
	queries := []string{"", "?channel=other-", "?"}
	for round := range b.Repeat {
		for _, i := range turns(len(systems), round) {
			r, err := b.readersOnce(ctx, queries[i])
			if err != nil {
				return fmt.Errorf("%s: %w", systems[i], err)
			}
			b.Say("readers %d/%d, %s: %s/s", round+1, b.Repeat, systems[i], report.Number(r.Rate()))
			b.add(readersName, systems[i], enqueues, r)
		}
	}
	for _, system := range systems[1:] {
		name := report.Name{Workload: readersName, System: system, Measure: enqueues + ", part of those without"}
		b.Figures.Ratio(name, rateOf(readersName, system, enqueues), rateOf(readersName, systems[0], enqueues))
		b.aim(name, report.Goal{Limit: readersGoal})
	}
	return nil
}

const readersName = "enqueues beside readers of events"

func (b *Bench) readersOnce(ctx context.Context, query string) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "readers")
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i := 0; query != "" && i < b.Readers; i++ {
		path := "/v1/events" + query
		if query != "?" {
			path += strconv.Itoa(i)
		}
		if err := startReader(ctx, s, path, &reading); err != nil {
			return load.Result{}, err
		}
	}
	return load.Run(ctx, b.timed(s, b.Connections, adding))
}

// startReader reads a stream of events until ctx ends, and returns when it has begun.
func startReader(ctx context.Context, s *process.Server, path string, reading *sync.WaitGroup) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("connect a reader: %w", err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return fmt.Errorf("ask for events: %w", err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200"))); err != nil {
		return fmt.Errorf("the answer to a reader: %w", err)
	}
	forget := context.AfterFunc(ctx, func() { _ = conn.Close() })
	reading.Go(func() {
		defer forget()
		buffer := make([]byte, 32<<10)
		for {
			if _, err := conn.Read(buffer); err != nil {
				_ = conn.Close()
				return
			}
		}
	})
	return nil
}
