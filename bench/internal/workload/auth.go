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
	// authTurns is how many turns each of both servers has in a round.
	authTurns = 8

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
	for round := range b.Repeat {
		for _, o := range b.authOperations() {
			results, err := b.authOnce(ctx, o, round)
			if err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			for i, system := range authSystems() {
				b.Say("auth %d/%d, %s, %s: %s/s", round+1, b.Repeat, o.name, system.name, report.Number(results[i].Rate()))
				b.add(o.workload(), b.name()+", "+system.name, o.measure, results[i])
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

// authSystem is a server that asks for a key, or does not.
type authSystem struct {
	name, purpose string
	arguments     []string
}

func authSystems() []authSystem {
	return []authSystem{{authUnasked, "auth-unasked-", nil}, {authAsked, "auth-", []string{"--auth", "keys"}}}
}

// authOnce measures authSystems, each with a store of its own. They are both there all the time, and get
// the load in short turns: what is to be seen is less than what a machine differs by from one
// second to the next, or one start of a server from another. Requests are the same bytes in either
// case, key included, which a server that asks for nothing does not look at: only what is done with
// it is measured. The results count jobs, in the order of authSystems.
func (b *Bench) authOnce(ctx context.Context, o authOperation, round int) (results []load.Result, err error) {
	err = b.withAuthLoads(ctx, o, authSystems(), nil, func(loads []load.Load) error {
		results, err = b.authTakeTurns(ctx, o, round, loads)
		return err
	})
	return results, err
}

// withAuthLoads starts those systems that have no load yet, one after the other, and calls do with the loads of all while all of
// them run.
func (b *Bench) withAuthLoads(ctx context.Context, o authOperation, systems []authSystem, loads []load.Load, do func([]load.Load) error) (err error) {
	if len(loads) == len(systems) {
		return do(loads)
	}
	system := systems[len(loads)]
	store, err := b.fresh(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	key, err := b.newKey(ctx, store)
	if err != nil {
		return err
	}
	s, err := b.start(ctx, store, b.LogLevel, system.purpose+o.profile, system.arguments...)
	if err != nil {
		return err
	}
	defer func() { err = closing(err, s.Stop) }()
	l := b.timed(s, b.Connections, o.of)
	l.Credential = key
	l.Duration = b.Duration / authTurns
	return b.withAuthLoads(ctx, o, systems, append(loads, l), do)
}

// authTakeTurns adds up what each load comes to in its turns. A server is warmed up in its first turn, and in each of the others
// its new connections are, for as long as a turn has of it.
func (b *Bench) authTakeTurns(ctx context.Context, o authOperation, round int, loads []load.Load) ([]load.Result, error) {
	results := make([]load.Result, len(loads))
	for turn := range authTurns {
		for _, i := range turns(len(loads), round+turn) {
			r, err := load.Run(ctx, loads[i])
			if err != nil {
				return nil, err
			}
			r.Operations *= int64(o.jobs)
			results[i] = results[i].Plus(r)
			loads[i].WarmUp = b.WarmUp / authTurns
		}
	}
	return results, nil
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
