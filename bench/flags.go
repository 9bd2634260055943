package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/workload"
)

// measureCommand measures.
type measureCommand struct {
	Only             []string      `placeholder:"WORKLOAD,..." help:"Which workloads to run: enqueue, batch, cycle, batches, wake, graph, backlog, prune, questions, readers, peers, filled, servers, waiters, hold, auth, protocols, idle, slow, growth, payload. Those of the store unless given."`
	Store            string        `default:"embedded" enum:"embedded,postgres" help:"Where the server keeps its jobs: ${enum}. A PostgreSQL is started where one is needed."`
	Contenders       []string      `placeholder:"SYSTEM,..." help:"What the workload peers compares: longshore, longshore-next, longshore-postgres, longshore-postgres-next, ceiling, disk, river, beanstalkd, beanstalkd-log, beanstalkd-f0, asynq, asynq-always, faktory, nats, nats-always. All, or with --store=postgres the server and river, unless given."`
	Faktory          string        `placeholder:"FILE" help:"The binary of Faktory's server, without which it is left out."`
	Duration         time.Duration `default:"2s" help:"How long to measure each system in each round."`
	WarmUp           time.Duration `default:"500ms" help:"How long to warm up before that."`
	Repeat           int           `default:"5" help:"How many rounds."`
	Connections      int           `default:"64" help:"How many connections are kept busy."`
	Backlog          int           `default:"1000000" help:"How many pending jobs make a backlog."`
	Finished         int           `default:"1000000" help:"How many finished jobs are pruned, or lie beside others."`
	Many             int           `default:"10000000" help:"How many pending jobs there are beside questions."`
	Lanes            int           `default:"10000" help:"How many pairs of channel and type are counted."`
	Readers          int           `default:"1000" help:"How many read events."`
	Cycles           int64         `default:"100000" help:"How many full cycles a queue is put through beside its backlog."`
	Batch            int           `default:"1000" help:"How many jobs are in a batch."`
	BatchConnections int           `default:"4" help:"How many connections add batches."`
	Graph            int           `default:"100000" help:"How many jobs are in a graph."`
	Drains           int           `default:"1" help:"In how many rounds graphs are drained, which takes long; 0 for none."`
	Weighed          int           `default:"500000" help:"How many jobs of each system wait while its memory and its store are weighed."`
	Kept             int           `default:"128" help:"How many MiB of args a store keeps whose size is measured."`
	Hold             time.Duration `default:"5m" help:"How long a transaction is held open."`
	Holds            int           `default:"1" help:"In how many rounds one is held open, which takes long; 0 for none."`
	Waiters          int           `default:"5000" help:"How many workers wait."`
	Slow             int           `default:"5000" help:"How many connections are slow on purpose."`
	Unsettled        bool          `help:"Leave a database that was filled as it is: without vacuum, and without fresh statistics."`
	PostgresPrograms string        `placeholder:"DIR" help:"Directory of PostgreSQL's initdb and postgres. Looked for unless given."`
	PostgresUser     string        `placeholder:"USER" help:"Whom PostgreSQL runs as if this program is root: postgres or nobody unless given."`
	LogLevel         string        `default:"warn" enum:"info,warn,error" help:"What all servers log: ${enum}. The workload enqueue is measured at info as well."`
	Server           string        `placeholder:"FILE" help:"The server's binary. Built from the sources unless given."`
	JSON             string        `name:"json" placeholder:"FILE" help:"Where to write the figures as JSON as well."`
	Docs             string        `placeholder:"FILE" help:"Where to write the tables as a page of Markdown as well. Plots are written beside it, as SVG."`
	Profile          string        `placeholder:"DIR" help:"Where to write CPU, allocation, mutex and block profiles of the server, which makes it slower. It is part of this program then."`
}

// Validate says what makes no sense. kong calls it.
func (m *measureCommand) Validate() error {
	if _, err := workload.Select(m.Only, m.Store); err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	for _, name := range m.Contenders {
		if !slices.Contains(workload.Contenders(), name) {
			return fmt.Errorf("--contenders: there is no system %q; there are %s", name, strings.Join(workload.Contenders(), ", "))
		}
	}
	if m.Hold <= 0 || m.Holds < 0 || m.Waiters < 1 || m.Slow < 1 {
		return errors.New("--hold must be more than 0, --holds not negative, and --waiters and --slow at least 1")
	}
	if m.Duration <= 0 || m.WarmUp < 0 {
		return errors.New("--duration must be more than 0, and --warm-up not negative")
	}
	if m.Repeat < 1 || m.Connections < 1 || m.Backlog < 1 || m.Finished < 1 || m.Many < 1 || m.Lanes < 1 || m.Readers < 1 || m.Kept < 1 || m.Weighed < 1 || m.Cycles < 2 {
		return errors.New("--repeat, --connections, --backlog, --finished, --many, --lanes, --readers, --kept and --weighed must be at least 1, and --cycles 2")
	}
	if m.Batch < 1 || m.Batch > workload.MostJobs || m.BatchConnections < 1 {
		return fmt.Errorf("--batch must be 1 to %d, and --batch-connections at least 1", workload.MostJobs)
	}
	if m.Graph < workload.LeastGraph || m.Drains < 0 {
		return fmt.Errorf("--graph must be at least %d, and --drains not negative", workload.LeastGraph)
	}
	return nil
}
