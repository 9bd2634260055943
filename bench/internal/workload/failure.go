package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// Goals when the root of a graph fails.
const (
	settleGoal = 1.0  // seconds
	waitGoal   = 50.0 // milliseconds
)

// failurePatience bounds the failure of one graph, with the adding of its jobs.
const failurePatience = 5 * time.Minute

// failures measures what happens when the root of a graph fails: how long it takes until the
// whole graph has failed, and how long others have to wait meanwhile.
func (b *Bench) failures(ctx context.Context) error {
	shapes := []shape{chained(), diamondly()}
	for round := range b.Repeat {
		for _, i := range turns(len(shapes), round) {
			f, err := b.failOnce(ctx, shapes[i])
			if err != nil {
				return fmt.Errorf("the root of a %s fails: %w", shapes[i].name, err)
			}
			b.Say("graph, failure %d/%d, %s: settled in %.2f s, another caller waited up to %.1f ms", round+1, b.Repeat,
				shapes[i].name, f.settled.Seconds(), milliseconds(f.longest))
			b.Figures.Add(b.settling(shapes[i]), f.settled.Seconds())
			b.Figures.Add(b.longestWait(shapes[i], "while it settles"), milliseconds(f.longest))
			b.Figures.Add(b.longestWait(shapes[i], "before that"), milliseconds(f.before))
		}
	}
	for _, of := range shapes {
		b.aim(b.settling(of), report.Goal{Limit: settleGoal, AtMost: true})
		b.aim(b.longestWait(of, "while it settles"), report.Goal{Limit: waitGoal, AtMost: true})
	}
	return nil
}

func (b *Bench) settling(of shape) report.Name {
	return report.Name{Workload: b.graphName(), System: of.name + " whose root fails", Measure: "until all is settled", Unit: "s"}
}

func (b *Bench) longestWait(of shape, when string) report.Name {
	return report.Name{Workload: b.graphName(), System: of.name + " whose root fails", Measure: "longest wait of another caller " + when, Unit: "ms"}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// failed is what was seen of a graph whose root failed.
type failed struct {
	settled time.Duration // until the report of the failure was answered
	longest time.Duration // that another caller waited for an answer meanwhile
	before  time.Duration // the same for the time of the warm-up, before it
}

func (b *Bench) failOnce(ctx context.Context, of shape) (f failed, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.WarmUp+failurePatience, errors.New("a graph was not settled in time"))
	defer cancel()
	store, err := b.fresh(ctx)
	if err != nil {
		return failed{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "graph-failure-"+of.name)
	if err != nil {
		return failed{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	ends, err := b.addGraph(ctx, s, of)
	if err != nil {
		return failed{}, err
	}
	return b.failRoot(ctx, s, ends)
}

// failRoot fails the root while another caller adds jobs, from some time before.
func (b *Bench) failRoot(ctx context.Context, s *process.Server, e ends) (f failed, err error) {
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return failed{}, err
	}
	defer conn.Close()
	lease, err := conn.Expect(http.StatusCreated, wire.Post("/v1/dequeue", dequeueNow))
	if err != nil {
		return failed{}, fmt.Errorf("lease the root: %w", err)
	}
	fail := wire.Post(string(lease.Location)+"/fail", `{"error":{"reason":"broken"}}`)

	// A connection of its own, so that the answers to both are read when they come.
	bystanding, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return failed{}, err
	}
	defer bystanding.Close()
	other := startBystander(bystanding)
	time.Sleep(b.WarmUp)
	begin := time.Now()
	_, err = conn.Expect(http.StatusOK, fail)
	end := time.Now()
	if otherErr := other.stop(); err == nil && otherErr != nil {
		err = fmt.Errorf("the other caller: %w", otherErr)
	}
	if err != nil {
		return failed{}, err
	}
	last, err := conn.Expect(http.StatusOK, wire.Get("/v1/jobs/"+e.last))
	if err != nil {
		return failed{}, err
	}
	if !bytes.Contains(last.Body, []byte(`"state":"failed"`)) {
		return failed{}, fmt.Errorf("the failure was answered, and the last job has not failed: %s", last.Body)
	}
	return failed{settled: end.Sub(begin), longest: other.longest(begin, end), before: other.longest(time.Time{}, begin)}, nil
}

// bystander is another caller: it adds jobs, one after the other.
type bystander struct {
	stopping chan struct{}
	done     chan struct{}
	calls    []call // that were answered; read when done is closed
	err      error
}

type call struct{ begin, end time.Time }

func startBystander(conn *wire.Conn) *bystander {
	y := &bystander{stopping: make(chan struct{}), done: make(chan struct{})}
	job := newJobs(0)
	go func() {
		defer close(y.done)
		for {
			begin := time.Now()
			if _, y.err = conn.Expect(http.StatusCreated, job()); y.err != nil {
				return
			}
			y.calls = append(y.calls, call{begin, time.Now()})
			select {
			case <-y.stopping:
				return
			default:
			}
		}
	}()
	return y
}

// stop waits for the answer to the call that is under way.
func (y *bystander) stop() error {
	close(y.stopping)
	<-y.done
	return y.err
}

// longest returns how long the longest call took that was under way at some time in between.
func (y *bystander) longest(begin, end time.Time) time.Duration {
	var longest time.Duration
	for _, c := range y.calls {
		if c.begin.Before(end) && c.end.After(begin) {
			longest = max(longest, c.end.Sub(c.begin))
		}
	}
	return longest
}
