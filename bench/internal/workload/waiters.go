package workload

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// standing is how long waiters get until they stand in line.
	standing = 2 * time.Second
	// connectionsPoll is how often connections are counted.
	connectionsPoll = 250 * time.Millisecond
	// waitForOthers is what waiters ask: they wait for jobs of another type than others work on.
	waitForOthers = `{"types":["other"],"wait_seconds":60}`
)

// waiters measures what workers cost that wait for a job of theirs: memory, connections to the
// database, and other workers' cycles.
func waiters(ctx context.Context, b *Bench) error {
	counts := []int{0, b.Waiters}
	b.Figures.Compare(b.waitersName())
	for round := range b.Repeat {
		for _, i := range turns(len(counts), round) {
			if err := b.waitersOnce(ctx, counts[i]); err != nil {
				return fmt.Errorf("%s: %w", waiting(counts[i]), err)
			}
			b.Say("waiters %d/%d, %s", round+1, b.Repeat, waiting(counts[i]))
		}
	}
	of := report.Name{Workload: b.waitersName(), System: "with by without", Measure: cycles}
	b.Figures.Ratio(of, rateOf(b.waitersName(), waiting(b.Waiters), cycles), rateOf(b.waitersName(), waiting(0), cycles))
	return nil
}

func (b *Bench) waitersName() string { return b.name() + ", workers that wait" }

func waiting(n int) string {
	if n == 0 {
		return "nobody waits"
	}
	return report.Number(float64(n)) + " wait"
}

func (b *Bench) waitersOnce(ctx context.Context, n int) (err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "waiters")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	line, err := startLine(ctx, s, n)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, line.stop) }()
	time.Sleep(standing)
	name := func(measure, unit string) report.Name {
		return report.Name{Workload: b.waitersName(), System: waiting(n), Measure: measure, Unit: unit}
	}
	if err := b.addResident(name("resident memory", "MB"), s); err != nil {
		return err
	}
	idle, err := b.countConnections(ctx, store, func() error { return nil })
	if err != nil {
		return err
	}
	busy, err := b.countConnections(ctx, store, func() error {
		r, err := load.Run(ctx, b.timed(s, b.Connections, b.cycling))
		if err == nil {
			b.Figures.Add(rateOf(b.waitersName(), waiting(n), cycles), r.Rate())
		}
		return err
	})
	if err == nil && b.Store == Postgres {
		b.Figures.Add(name("connections to the database", ""), float64(idle))
		b.Figures.Add(name("the same, the most during "+cycles, ""), float64(busy))
	}
	return err
}

// countConnections counts the connections to a store's database while do goes on, and returns the
// most; 0 where there is no database.
func (b *Bench) countConnections(ctx context.Context, store string, do func() error) (most int, err error) {
	if b.Store != Postgres {
		return 0, do()
	}
	database, err := databaseOf(store)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	ticker := time.NewTicker(connectionsPoll)
	defer ticker.Stop()
	for {
		n, countErr := b.Cluster.Connections(ctx, database)
		if countErr != nil {
			return 0, closing(<-done, func() error { return countErr })
		}
		most = max(most, n)
		select {
		case err := <-done:
			return most, err
		case <-ticker.C:
		}
	}
}

// line is workers that wait.
type line struct {
	conns   []*wire.Conn
	waiting sync.WaitGroup
	mu      sync.Mutex // guards stopped, failed
	stopped bool
	failed  error
}

// startLine connects so many workers, each of which waits, over and over.
func startLine(ctx context.Context, s *process.Server, n int) (*line, error) {
	l := new(line)
	request := wire.Post("/v1/dequeue", waitForOthers)
	for range n {
		conn, err := wire.Dial(ctx, s.Address)
		if err != nil {
			return nil, closing(err, l.stop)
		}
		l.conns = append(l.conns, conn)
		l.waiting.Go(func() { l.end(wait(conn, request)) })
	}
	return l, nil
}

// wait waits until the connection is closed, which is an error.
func wait(conn *wire.Conn, request []byte) error {
	for {
		if _, err := conn.Expect(http.StatusNoContent, request); err != nil {
			return err
		}
	}
}

// end notes the first waiter that ends before it is told to.
func (l *line) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped && l.failed == nil {
		l.failed = fmt.Errorf("a worker that waits: %w", err)
	}
}

// stop sends all of them away.
func (l *line) stop() error {
	l.mu.Lock()
	l.stopped = true
	failed := l.failed
	l.mu.Unlock()
	for _, conn := range l.conns {
		conn.Close()
	}
	l.waiting.Wait()
	return failed
}
