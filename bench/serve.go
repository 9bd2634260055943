package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
	"github.com/longshore-queue/longshore/bench/internal/peer/nats"
	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/logging"
)

// ceilingCommand serves a ceiling until it is told to end.
type ceilingCommand struct {
	Kind     string `required:"true"`
	Store    string `required:"true" help:"The directory of what keeps something."`
	Listen   string `required:"true"`
	LogLevel string `required:"true"`
}

// Run serves.
func (c *ceilingCommand) Run(ctx context.Context, out output) error {
	logger, err := logging.New(out.stderr, c.LogLevel, "json")
	if err != nil {
		return err
	}
	return ceiling.Serve(ctx, c.Kind, c.Store, c.Listen, logger)
}

// natsCommand serves NATS JetStream until it is told to end.
type natsCommand struct {
	Store  string `required:"true"`
	Listen string `required:"true"`
	Always bool   `help:"Sync before each answer."`
}

// Run serves.
func (n *natsCommand) Run(ctx context.Context, _ output) error {
	return nats.Serve(ctx, n.Listen, n.Store, n.Always)
}

// appCommand serves the product inside this program, so that it can be profiled without a way
// into the product, until it is told to end.
type appCommand struct {
	Store    string `required:"true"`
	Migrate  bool
	Listen   string `required:"true"`
	LogLevel string `required:"true"`
	Auth     []string
	TLSCert  string
	TLSKey   string
	// Retention is for ever unless given.
	Retention time.Duration
	Profile   string `required:"true" help:"What the names of the profiles begin with."`
}

const (
	// mutexFraction: one in as many waits for a mutex is profiled.
	mutexFraction = 10
	// blockRate: one wait of a goroutine in as many nanoseconds of waiting is profiled.
	blockRate = 100_000
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
		Listen: c.Listen, Store: c.Store, Migrate: c.Migrate, Auth: c.Auth, Logger: logger,
		TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		PollInterval: time.Second, DatabaseConnections: 8,
		HeartbeatTimeout: 2 * time.Minute, ReapInterval: 30 * time.Second, MaxRetries: 2,
		MaxWait: time.Minute, MaxBodyBytes: 1 << 20, MaxBatchBytes: 32 << 20, MaxArgsBytes: 256 << 10, MaxResultBytes: 1 << 20,
		IdempotencyTTL: 24 * time.Hour, Retention: c.Retention,
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
	runtime.SetBlockProfileRate(blockRate)
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	select {
	case <-ctx.Done():
	case err := <-server.Failed():
		return err
	}
	return errors.Join(c.writeProfile("allocs"), c.writeProfile("mutex"), c.writeProfile("block"))
}

func (c *appCommand) writeProfile(name string) (err error) {
	file, err := os.Create(c.Profile + "." + name + ".pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return pprof.Lookup(name).WriteTo(file, 0)
}
