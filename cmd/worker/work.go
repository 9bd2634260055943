package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/command"
)

// lastMoment is how long a second signal waits for killed commands to be gone.
const lastMoment = 2 * time.Second

// work runs the worker until it has drained, and returns the exit code. The first signal, or
// the end of ctx, begins the drain; a second signal kills every command and returns.
func work(ctx context.Context, c config, env []string, stderr io.Writer, signals <-chan os.Signal) int {
	log := newLogger(stderr, c.LogLevel, c.LogFormat)
	runner := command.New(command.Options{
		Env:            env,
		KillGrace:      orNone(c.KillGrace),
		MaxOutputBytes: c.MaxOutputBytes,
	})
	options := client.WorkerOptions{
		Handlers:     make(map[string]client.Handler, len(c.commands)),
		Channels:     c.Channel,
		Name:         c.Name,
		Concurrency:  c.Concurrency,
		DrainTimeout: orNone(c.DrainTimeout),
		// The time a group may take to end, and for the output of what outlives its shell.
		StopGrace: c.KillGrace + command.DefaultOutputDelay + time.Second,
		Logger:    log,
	}
	for jobType, line := range c.commands {
		options.Handlers[jobType] = runner.Handler(line)
	}
	api, err := client.New(c.Server, client.Options{UserAgent: "longshore-worker"})
	if err != nil {
		log.Error(err, "the server's address is of no use")
		return exitUsage
	}
	if c.StateDir != "" {
		tokens, err := client.OpenTokenDir(c.StateDir)
		if err != nil {
			log.Error(err, "the state directory is of no use")
			return exitFailed
		}
		defer func() { _ = tokens.Close() }() // the lock ends with the process anyhow
		options.Tokens = tokens
	}
	worker, err := client.NewWorker(api, options)
	if err != nil {
		log.Error(err, "the worker cannot be set up")
		return exitUsage
	}

	draining, drain := context.WithCancel(ctx)
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(draining) }()
	log.Info("asking for jobs", "server", shown(c.Server), "name", c.Name, "concurrency", strconv.Itoa(c.Concurrency))

	select {
	case err := <-ended:
		return log.ended(err)
	case s := <-signals:
		log.Info("draining; a second signal ends everything now", "signal", s.String(), "drain_timeout", c.DrainTimeout.String())
		drain()
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return log.ended(err)
	case s := <-signals:
		log.Error(nil, "killing every command; their jobs will be handed out again when their leases time out", "signal", s.String())
		worker.Kill() // first, so that nothing is reported of what is killed
		runner.Kill()
	}
	select {
	case err = <-ended:
	case <-time.After(lastMoment):
		err = errors.New("commands are still running")
	}
	if err != nil {
		log.Error(err, "the worker was killed")
	}
	return exitFailed
}

// shown is the server's address without a password.
func shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "" // it was parsed before
	}
	return parsed.Redacted()
}

// orNone turns a flag's 0 into what options call no time at all.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
