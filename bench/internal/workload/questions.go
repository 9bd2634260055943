package workload

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// Goals of the questions.
const (
	listGoal          = 10.0  // ms, for a page of 100 jobs
	queuesGoal        = 5.0   // ms
	manyMemoryGoal    = 500.0 // MB
	questionsRepeated = 200
)

// questions measures what operators ask of a server with many pending jobs, which nobody else asks
// anything.
func questions(ctx context.Context, b *Bench) (err error) {
	filled, _, err := b.fill(ctx, part{kindPending, b.Many})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, filled)) }()
	lanes, _, err := b.fill(ctx, part{kindLanes, b.Lanes})
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, lanes)) }()
	for round := range b.Repeat {
		if err := b.questionsOnce(ctx, filled); err != nil {
			return err
		}
		if err := b.queuesOnce(ctx, lanes); err != nil {
			return err
		}
		b.Say("questions %d/%d", round+1, b.Repeat)
	}
	return nil
}

func (b *Bench) questionsName() string {
	return "questions beside " + report.Number(float64(b.Many)) + " pending jobs"
}

func (b *Bench) questionsOnce(ctx context.Context, store string) (err error) {
	s, err := b.start(ctx, store, b.LogLevel, "questions")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	workload := b.questionsName()
	b.Figures.Add(report.Name{Workload: workload, System: b.name(), Measure: "process start to /readyz", Unit: "s"}, s.Opened.Seconds())
	for _, q := range []struct{ measure, path string }{
		{"the newest 100", "/v1/jobs"},
		{"the newest 100, some fields", "/v1/jobs?fields=type,state,queued_at"},
		{"the oldest 100", "/v1/jobs?order=oldest"},
		{"the newest 100 of a type and state", "/v1/jobs?type=" + jobs.Type + "&state=pending"},
		{"the newest 100 of a label that one in ten has", "/v1/jobs?label=tenth"},
		{"none of another type", "/v1/jobs?type=none"},
		{"none that have failed", "/v1/jobs?state=failed"},
		{"100 of an hour", "/v1/jobs?queued_before=" + time.Now().UTC().Format(time.RFC3339)},
	} {
		name := report.Name{Workload: workload, System: b.name(), Measure: q.measure + ", p50", Unit: "ms"}
		if err := b.ask(ctx, s, q.path, name, listGoal); err != nil {
			return err
		}
	}
	memory := report.Name{Workload: workload, System: b.name(), Measure: "resident memory after that", Unit: "MB"}
	if err := b.addResident(memory, s); err != nil {
		return err
	}
	b.aim(memory, report.Goal{Limit: manyMemoryGoal, AtMost: true})
	return nil
}

// queuesOnce asks for the counts of many lanes.
func (b *Bench) queuesOnce(ctx context.Context, store string) (err error) {
	s, err := b.start(ctx, store, b.LogLevel, "queues")
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	workload := "counts of " + report.Number(float64(b.Lanes)) + " pairs of channel and type"
	for _, limit := range []int{100, 1000} {
		name := report.Name{Workload: workload, System: b.name(), Measure: "/v1/queues, pages of " + strconv.Itoa(limit) + ", p50", Unit: "ms"}
		if err := b.ask(ctx, s, "/v1/queues?limit="+strconv.Itoa(limit), name, queuesGoal); err != nil {
			return err
		}
	}
	return nil
}

// ask asks the same over and over, and adds the median of how long it takes.
func (b *Bench) ask(ctx context.Context, s *process.Server, path string, name report.Name, goal float64) error {
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := wire.Get(path)
	var times []time.Duration
	for range questionsRepeated {
		begin := time.Now()
		if _, err := conn.Expect(http.StatusOK, request); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		times = append(times, time.Since(begin))
	}
	b.Figures.Add(name, microseconds(times, 50)/1000)
	b.aim(name, report.Goal{Limit: goal, AtMost: true})
	return nil
}
