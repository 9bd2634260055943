package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/workload"
)

// product is the module that is measured.
const product = "github.com/longshore-queue/longshore"

// measureCommand measures.
type measureCommand struct {
	Only             []string      `placeholder:"WORKLOAD,..." help:"Which workloads to run: enqueue, batch, cycle, batches, wake, graph, backlog, prune, questions, readers. All unless given."`
	Duration         time.Duration `default:"2s" help:"How long to measure each system in each round."`
	WarmUp           time.Duration `default:"500ms" help:"How long to warm up before that."`
	Repeat           int           `default:"5" help:"How many rounds."`
	Connections      int           `default:"64" help:"How many connections are kept busy."`
	Backlog          int           `default:"1000000" help:"How many pending jobs make a backlog."`
	Finished         int           `default:"1000000" help:"How many finished jobs are pruned."`
	Many             int           `default:"10000000" help:"How many pending jobs there are beside questions."`
	Lanes            int           `default:"10000" help:"How many pairs of channel and type are counted."`
	Readers          int           `default:"1000" help:"How many read events."`
	Cycles           int64         `default:"100000" help:"How many full cycles a queue is put through beside its backlog."`
	Batch            int           `default:"1000" help:"How many jobs are in a batch."`
	BatchConnections int           `default:"4" help:"How many connections add batches."`
	Graph            int           `default:"100000" help:"How many jobs are in a graph."`
	Drains           int           `default:"1" help:"In how many rounds graphs are drained, which takes long; 0 for none."`
	LogLevel         string        `default:"warn" enum:"info,warn,error" help:"What all servers log: ${enum}. The workload enqueue is measured at info as well."`
	Server           string        `placeholder:"FILE" help:"The server's binary. Built from the sources unless given."`
	JSON             string        `name:"json" placeholder:"FILE" help:"Where to write the figures as JSON as well."`
	Profile          string        `placeholder:"DIR" help:"Where to write CPU, allocation and mutex profiles of the server, which makes it slower. It is part of this program then."`
}

// Validate says what makes no sense. kong calls it.
func (m *measureCommand) Validate() error {
	var known []string
	for _, w := range workload.All() {
		known = append(known, w.Name)
	}
	for _, name := range m.Only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--only: there is no workload %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	if m.Duration <= 0 || m.WarmUp < 0 {
		return errors.New("--duration must be more than 0, and --warm-up not negative")
	}
	if m.Repeat < 1 || m.Connections < 1 || m.Backlog < 1 || m.Finished < 1 || m.Many < 1 || m.Lanes < 1 || m.Readers < 1 || m.Cycles < 2 {
		return errors.New("--repeat, --connections, --backlog, --finished, --many, --lanes and --readers must be at least 1, and --cycles 2")
	}
	if m.Batch < 1 || m.Batch > workload.MostJobs || m.BatchConnections < 1 {
		return fmt.Errorf("--batch must be 1 to %d, and --batch-connections at least 1", workload.MostJobs)
	}
	if m.Graph < workload.LeastGraph || m.Drains < 0 {
		return fmt.Errorf("--graph must be at least %d, and --drains not negative", workload.LeastGraph)
	}
	return nil
}

// Run measures and prints.
func (m *measureCommand) Run(ctx context.Context, out output) (err error) {
	work, err := os.MkdirTemp("", "longshore-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := m.Server
	if server == "" {
		if server, err = build(ctx, work); err != nil {
			return err
		}
	}
	if m.Profile != "" {
		if err := os.MkdirAll(m.Profile, 0o750); err != nil {
			return err
		}
	}
	b := &workload.Bench{
		Server: server, Self: self, Work: work,
		Connections: m.Connections, Duration: m.Duration, WarmUp: m.WarmUp, Repeat: m.Repeat,
		LogLevel: m.LogLevel, Backlog: m.Backlog, Finished: m.Finished, Many: m.Many, Lanes: m.Lanes, Readers: m.Readers, Cycles: m.Cycles, Profile: m.Profile,
		Batch: m.Batch, BatchConnections: m.BatchConnections, Graph: m.Graph, Drains: m.Drains,
		Figures: new(report.Figures),
		Say:     func(format string, arguments ...any) { _, _ = fmt.Fprintf(out.stderr, format+"\n", arguments...) },
	}
	r := m.describe()
	for _, w := range workload.All() {
		if len(m.Only) > 0 && !slices.Contains(m.Only, w.Name) {
			continue
		}
		if err := w.Run(ctx, b); err != nil {
			return fmt.Errorf("workload %s: %w", w.Name, err)
		}
	}
	r.Took = time.Since(r.Began).Seconds()
	r.LoadAfter = loadAverage()
	r.Take(b.Figures)
	return m.write(out, r)
}

// describe says on what and how is measured.
func (m *measureCommand) describe() *report.Run {
	return &report.Run{
		Began:      time.Now(),
		Go:         runtime.Version(),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.NumCPU(),
		LoadBefore: loadAverage(),
		Settings: map[string]string{
			"duration":          m.Duration.String(),
			"warm_up":           m.WarmUp.String(),
			"repeat":            strconv.Itoa(m.Repeat),
			"connections":       strconv.Itoa(m.Connections),
			"backlog":           strconv.Itoa(m.Backlog),
			"finished":          strconv.Itoa(m.Finished),
			"many":              strconv.Itoa(m.Many),
			"lanes":             strconv.Itoa(m.Lanes),
			"readers":           strconv.Itoa(m.Readers),
			"cycles":            strconv.FormatInt(m.Cycles, 10),
			"batch":             strconv.Itoa(m.Batch),
			"batch_connections": strconv.Itoa(m.BatchConnections),
			"graph":             strconv.Itoa(m.Graph),
			"drains":            strconv.Itoa(m.Drains),
			"log_level":         m.LogLevel,
			"profiled":          strconv.FormatBool(m.Profile != ""),
		},
	}
}

func loadAverage() *float64 {
	average, err := process.LoadAverage()
	if err != nil {
		return nil
	}
	return &average
}

func (m *measureCommand) write(out output, r *report.Run) (err error) {
	if err := r.WriteTable(out.stdout); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out.stdout, "%s\n", r.Summary()); err != nil || m.JSON == "" {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.JSON), 0o750); err != nil {
		return err
	}
	file, err := os.Create(m.JSON)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return r.WriteJSON(file)
}

// build builds the server as it is released, and returns its binary.
func build(ctx context.Context, work string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", product).Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of the server: %w; give its binary with --server", err)
	}
	binary := filepath.Join(work, "longshore-server")
	command := exec.CommandContext(ctx, "go", "build", "-C", strings.TrimSpace(string(root)), "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/server")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if message, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, message)
	}
	return binary, nil
}
