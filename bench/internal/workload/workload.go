// Package workload has what is measured: for each workload which servers run, what they are
// asked, and which figures come of it. A server that is measured runs alone, from a start of
// its own, on a directory of its own, unless its workload is about more than one server; the systems of a workload take
// turns in each round, in an order that changes from round to round.
package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/postgres"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
)

// Bench is one run of the benchmark.
type Bench struct {
	Server string // the server's binary
	Self   string // this program, which serves the ceilings and fills stores
	Work   string // a directory that is removed after the run
	Store  string // Embedded or Postgres
	// Cluster has the databases; nil if nothing needs one.
	Cluster *postgres.Cluster
	// Faktory is the binary of Faktory's server, or "".
	Faktory string
	// Contenders are those that are compared; none: all, or on PostgreSQL the server and River.
	Contenders []string
	// Unsettled: databases are measured as they were when they had been filled.
	Unsettled   bool
	Connections int
	Duration    time.Duration // of each measurement
	WarmUp      time.Duration // before each of them
	Repeat      int           // rounds
	LogLevel    string
	Backlog     int   // pending jobs
	Finished    int   // jobs that are pruned
	Weighed     int   // jobs that wait while a system is weighed
	Many        int   // pending jobs that questions are asked beside
	Lanes       int   // pairs of channel and type that have jobs
	Readers     int   // of events
	Cycles      int64 // that memory is measured after
	Batch       int   // jobs in a batch
	// BatchConnections is how many connections add batches.
	BatchConnections int
	Graph            int           // jobs in a graph
	Drains           int           // rounds in which graphs are drained
	Kept             int           // MiB of args in a store that is weighed
	Hold             time.Duration // of a transaction
	Holds            int           // rounds in which one is held
	Waiters          int           // workers that wait
	Slow             int           // connections that are slow on purpose
	Profile          string        // directory for profiles of the server, or ""
	Figures          *report.Figures
	// Say tells a person what is going on.
	Say func(format string, arguments ...any)
}

// longshore is the server on the embedded store, as it is called in figures.
const longshore = "longshore"

// start starts the server on a store, with more arguments if need be. purpose names its log, and
// its profiles.
func (b *Bench) start(ctx context.Context, store, level, purpose string, more ...string) (*process.Server, error) {
	return process.Start(ctx, b.program(store, level, purpose, more...))
}

// program is what start starts.
func (b *Bench) program(store, level, purpose string, more ...string) process.Program {
	p := process.Program{
		Name: "the server",
		Path: b.Server,
		Args: slices.Concat(b.argumentsFor(store), []string{"--log-level", level}, more),
		Log:  filepath.Join(b.Work, purpose+".log"),
	}
	if b.Profile != "" {
		p.Path = b.Self
		p.Args = append([]string{"app", "--profile", filepath.Join(b.Profile, purpose)}, p.Args...)
	}
	return p
}

// argumentsFor are what a server is told to use a store, which is of the benchmark's kind or none.
func (b *Bench) argumentsFor(store string) []string {
	if store == memoryStore {
		return []string{"--store", store}
	}
	return b.stores().arguments(store)
}

// startCeiling starts a kind of ceiling, on nothing that one before it has kept.
func (b *Bench) startCeiling(ctx context.Context, kind, level string) (*process.Server, error) {
	store := filepath.Join(b.Work, "ceiling")
	if err := errors.Join(os.RemoveAll(store), os.Mkdir(store, 0o700)); err != nil {
		return nil, err
	}
	return process.Start(ctx, process.Program{
		Name: "the ceiling " + kind,
		Path: b.Self,
		Args: []string{"ceiling", "--kind", kind, "--store", store, "--log-level", level},
		Log:  filepath.Join(b.Work, "ceiling.log"),
	})
}

// closing closes something that err may have happened to, and returns the first error.
func closing(err error, closeIt func() error) error {
	if closeErr := closeIt(); err == nil {
		return closeErr
	}
	return err
}

// timed is a load for as long as the flags say.
func (b *Bench) timed(s *process.Server, connections int, operation func(int) load.Operation) load.Load {
	return load.Load{
		Addresses:   []string{s.Address},
		Connections: connections,
		New:         operation,
		WarmUp:      b.WarmUp,
		Duration:    b.Duration,
		Processor:   processorOf(s),
		Database:    b.database(),
	}
}

// processorOf asks for the server's time on processors; nil where the system does not tell.
func processorOf(s *process.Server) func() (time.Duration, error) {
	if _, err := s.Processor(); err != nil {
		return nil
	}
	return s.Processor
}

// database asks for PostgreSQL's time on processors; nil where there is none, or the system does
// not tell.
func (b *Bench) database() func() (time.Duration, error) {
	if b.Store != Postgres {
		return nil
	}
	if _, err := b.Cluster.Processor(); err != nil {
		return nil
	}
	return b.Cluster.Processor
}

// add adds the figures of one load.
func (b *Bench) add(workload, system, operations string, r load.Result) {
	b.Figures.Add(rateOf(workload, system, operations), r.Rate())
	if r.Processor > 0 {
		b.Figures.Add(serverCPU(workload, system), r.Each(r.Processor))
	}
	if r.Database > 0 {
		b.Figures.Add(report.Name{Workload: workload, System: system, Measure: "PostgreSQL's CPU for each", Unit: "us"}, r.Each(r.Database))
	}
	b.Figures.Add(report.Name{Workload: workload, System: system, Measure: "load generator's CPU for each", Unit: "us"}, r.Each(r.Own))
}

// aim sets the goal of a figure. Goals are those of the embedded store, unless a workload is about
// PostgreSQL.
func (b *Bench) aim(name report.Name, goal report.Goal) {
	if b.Store != Postgres {
		b.Figures.Aim(name, goal)
	}
}

// rateOf names a rate.
func rateOf(workload, system, operations string) report.Name {
	return report.Name{Workload: workload, System: system, Measure: operations, Unit: "/s"}
}

// serverCPU names the server's time on processors.
func serverCPU(workload, system string) report.Name {
	return report.Name{Workload: workload, System: system, Measure: "server's CPU for each", Unit: "us"}
}

// turns returns 0 to n-1 in the order of a round: backwards in every other one.
func turns(n, round int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
		if round%2 == 1 {
			order[i] = n - 1 - i
		}
	}
	return order
}

// addResident adds the server's memory. Where the system does not tell there is no figure.
func (b *Bench) addResident(name report.Name, s *process.Server) error {
	bytes, err := s.Resident()
	if errors.Is(err, process.ErrUnknown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the server's memory: %w", err)
	}
	b.Figures.Add(name, float64(bytes)/1e6)
	return nil
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return strconv.Itoa(n) + " connections"
}
