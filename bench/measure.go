package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/postgres"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/workload"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgcluster"
)

// product is the module that is measured.
const product = "github.com/longshore-queue/longshore"

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
		Batch: m.Batch, BatchConnections: m.BatchConnections, Graph: m.Graph, Drains: m.Drains, Kept: m.Kept, Weighed: m.Weighed,
		Store: m.Store, Contenders: m.Contenders, Faktory: m.Faktory, Unsettled: m.Unsettled, Hold: m.Hold, Holds: m.Holds, Waiters: m.Waiters, Slow: m.Slow,
		Figures: new(report.Figures),
		Say:     func(format string, arguments ...any) { _, _ = fmt.Fprintf(out.stderr, format+"\n", arguments...) },
	}
	r := m.describe()
	if memory, err := process.InMemory(work); err == nil && memory {
		r.InMemory = true
		b.Say("%s is in memory: nothing is measured on a disk; set TMPDIR to a directory that is on one", os.TempDir())
	}
	chosen, err := workload.Select(m.Only, m.Store)
	if err != nil {
		return err
	}
	if b.NeedsPostgres(chosen) {
		if b.Cluster, err = m.startPostgres(ctx, work, r); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Cluster.Close()) }()
	}
	for _, w := range chosen {
		if err := w.Run(ctx, b); err != nil {
			return fmt.Errorf("workload %s: %w", w.Name, err)
		}
	}
	r.Took = time.Since(r.Began).Seconds()
	r.LoadAfter = loadAverage()
	r.Take(b.Figures)
	return m.write(out, r)
}

// startPostgres starts a PostgreSQL, and tells in the report how it is set.
func (m *measureCommand) startPostgres(ctx context.Context, work string, r *report.Run) (*postgres.Cluster, error) {
	// The name is short, since the path of a socket may not be long.
	cluster, err := postgres.Start(ctx, filepath.Join(work, "pg"), postgres.Options{Programs: m.PostgresPrograms, User: m.PostgresUser})
	if errors.Is(err, pgcluster.ErrNotFound) {
		return nil, fmt.Errorf("%w; say where they are with --postgres-programs", err)
	}
	if err != nil {
		return nil, err
	}
	if r.Postgres, err = cluster.Settings(ctx); err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	return cluster, nil
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
			"store":             m.Store,
			"contenders":        strings.Join(m.Contenders, ","),
			"hold":              m.Hold.String(),
			"holds":             strconv.Itoa(m.Holds),
			"waiters":           strconv.Itoa(m.Waiters),
			"slow":              strconv.Itoa(m.Slow),
			"unsettled":         strconv.FormatBool(m.Unsettled),
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
			"weighed":           strconv.Itoa(m.Weighed),
			"kept":              strconv.Itoa(m.Kept),
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
	if _, err := fmt.Fprintf(out.stdout, "%s\n", r.Summary()); err != nil {
		return err
	}
	if m.Docs != "" {
		if err := r.WriteDocs(m.Docs); err != nil {
			return err
		}
	}
	if m.JSON == "" {
		return nil
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
