package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// ceilingCommand serves a ceiling until it is told to end.
type ceilingCommand struct {
	Kind     string `required:"true"`
	Listen   string `required:"true"`
	LogLevel string `required:"true"`
}

// Run serves.
func (c *ceilingCommand) Run(ctx context.Context, out output) error {
	logger, err := logging.New(out.stderr, c.LogLevel, "json")
	if err != nil {
		return err
	}
	return ceiling.Serve(ctx, c.Kind, c.Listen, logger)
}

// appCommand serves the product inside this program, so that it can be profiled without a way
// into the product, until it is told to end.
type appCommand struct {
	Store    string `required:"true"`
	Listen   string `required:"true"`
	LogLevel string `required:"true"`
	Profile  string `required:"true" help:"What the names of the profiles begin with."`
}

const (
	// mutexFraction: one in as many waits for a mutex is profiled.
	mutexFraction = 10
	// appStopTimeout is how long requests that are under way may take to end.
	appStopTimeout = 10 * time.Second
)

// Run serves, and writes the profiles of the time in between.
func (c *appCommand) Run(ctx context.Context, out output) (err error) {
	logger, err := logging.New(out.stderr, c.LogLevel, "json")
	if err != nil {
		return err
	}
	server, err := app.New(app.Options{
		Listen: c.Listen, Store: c.Store, Logger: logger,
		HeartbeatTimeout: 2 * time.Minute, ReapInterval: 30 * time.Second, MaxRetries: 2,
		MaxWait: time.Minute, MaxBodyBytes: 1 << 20, MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20,
		IdempotencyTTL: 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), appStopTimeout)
		defer cancel()
		err = errors.Join(err, server.Stop(stopping))
	}()
	file, err := os.Create(c.Profile + ".cpu.pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	runtime.SetMutexProfileFraction(mutexFraction)
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	select {
	case <-ctx.Done():
	case err := <-server.Failed():
		return err
	}
	return errors.Join(c.writeProfile("allocs"), c.writeProfile("mutex"))
}

func (c *appCommand) writeProfile(name string) (err error) {
	file, err := os.Create(c.Profile + "." + name + ".pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return pprof.Lookup(name).WriteTo(file, 0)
}

// fillCommand fills a store with pending jobs.
type fillCommand struct {
	Store string `required:"true"`
	Jobs  int    `required:"true"`
}

// fillBatch is how many jobs are added at once.
const fillBatch = 1000

// Run fills.
func (f *fillCommand) Run(ctx context.Context, _ output) (err error) {
	store, err := embedded.Open(f.Store, embedded.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	source := jobs.New("backlog")
	for left := f.Jobs; left > 0 && ctx.Err() == nil; left -= fillBatch {
		batch := make([]queue.NewJob, min(left, fillBatch))
		for i := range batch {
			batch[i] = queue.NewJob{Type: jobs.Type, Args: source.Args()}
		}
		if _, err := store.Enqueue(ctx, batch); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
	}
	return ctx.Err()
}
