package workload

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

const (
	// authGoal is which part of the rate is to be left where every request is asked for its key.
	authGoal = 0.97

	authAsked   = "asked for a key"
	authUnasked = "asked for nothing"
)

// authOperation is something that is done with a key and without.
type authOperation struct {
	name, profile, measure string
	of                     func(connection int) load.Operation
	jobs                   int // that each operation is about
}

func (b *Bench) authOperations() []authOperation {
	return []authOperation{
		{"single jobs", "jobs", "POST /v1/jobs", adding, 1},
		{"cycles", "cycles", cycleOf3, b.cycling, 1},
		{batchesName(), "batches", batchesCycles, b.cyclingBatches(batchesOf), batchesOf},
	}
}

// authenticate measures what it costs to ask each request for an API key.
func authenticate(ctx context.Context, b *Bench) error {
	systems := []string{authUnasked, authAsked}
	for round := range b.Repeat {
		for _, o := range b.authOperations() {
			for _, i := range turns(len(systems), round) {
				r, err := b.authOnce(ctx, systems[i], o)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", o.name, systems[i], err)
				}
				b.Say("auth %d/%d, %s, %s: %s/s", round+1, b.Repeat, o.name, systems[i], report.Number(r.Rate()))
				b.add(o.workload(), b.name()+", "+systems[i], o.measure, r)
			}
		}
	}
	for _, o := range b.authOperations() {
		asked, unasked := b.name()+", "+authAsked, b.name()+", "+authUnasked
		name := report.Name{Workload: o.workload(), System: asked, Measure: "part of the rate where it is " + authUnasked}
		b.Figures.Ratio(name, rateOf(o.workload(), asked, o.measure), rateOf(o.workload(), unasked, o.measure))
		b.aim(name, report.Goal{Limit: authGoal})
		name.Measure = "server's CPU by that where it is " + authUnasked
		b.Figures.Ratio(name, serverCPU(o.workload(), asked), serverCPU(o.workload(), unasked))
	}
	return nil
}

func (o authOperation) workload() string { return "authentication by key, " + o.name }

// authOnce measures from a start of its own. Requests are the same bytes in either case, key included, which a
// server that asks for nothing does not look at: only what is done with it is measured. The result counts jobs.
func (b *Bench) authOnce(ctx context.Context, system string, o authOperation) (r load.Result, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	key, err := b.newKey(ctx, store)
	if err != nil {
		return load.Result{}, err
	}
	var asked []string
	purpose := "auth-unasked-" + o.profile
	if system == authAsked {
		asked, purpose = []string{"--auth", "keys"}, "auth-"+o.profile
	}
	s, err := b.start(ctx, store, b.LogLevel, purpose, asked...)
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	l := b.timed(s, b.Connections, o.of)
	l.Credential = key
	r, err = load.Run(ctx, l)
	r.Operations *= int64(o.jobs)
	return r, err
}

// newKey makes an API key in a directory that no server has open.
func (b *Bench) newKey(ctx context.Context, store string) (string, error) {
	command := exec.CommandContext(ctx, b.Server, "key", "create", "--store", store, "--name", "bench", "--scope", "enqueue", "--scope", "work")
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("make a key: %w\n%s", err, complaint.String())
	}
	lines := strings.Fields(string(output))
	if len(lines) == 0 {
		return "", fmt.Errorf("make a key: it printed %q", output)
	}
	return lines[len(lines)-1], nil
}
