package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/command"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/tracing"
)

// mostThreads is how many threads the worker may have; Go ends a process that has more. Each command takes one for as
// long as it runs, and 10,000 may: as many as Go allows unless it is told otherwise.
const mostThreads = 20_000

// work runs the worker until it has drained, and returns the exit code. The first signal, or
// the end of ctx, begins the drain; a second signal kills every command and returns.
func work(ctx context.Context, p cli.Program, c config, env []string, signals <-chan os.Signal) int {
	logger, err := logging.New(p.Stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return p.Usage("--log-level or --log-format: " + err.Error())
	}
	log := logging.Adapt(logger)
	if unknown := p.Unknown(&c, env); len(unknown) > 0 {
		log.Info("the environment has variables that are no settings of this program", "variables", strings.Join(unknown, " "))
	}
	traces, err := tracing.Start(ctx, tracing.Options{
		Service: p.Name, Version: buildinfo.Read().Version, Endpoint: c.OtlpEndpoint, Env: env,
		OnError: func(err error) { log.Error(err, "spans were not sent") },
	})
	if err != nil {
		return p.Usage("--otlp-endpoint: " + err.Error())
	}
	defer func() { _ = traces.Stop(ctx) }() // OnError was told
	debug.SetMaxThreads(mostThreads)
	runner := command.New(c.commandOptions(env))
	runner.Sweep()
	options := c.workerOptions()
	options.Logger = advised{Logger: log, certificate: c.ClientCert != "", plain: strings.HasPrefix(c.Server, "http:")}
	options.Handlers = make(map[string]client.Handler, len(c.commands))
	for jobType, line := range c.commands {
		options.Handlers[jobType] = traced(traces.Tracer(), runner.Handler(line))
	}
	tlsConfig, err := client.TLSFiles{CA: c.CACert, Cert: c.ClientCert, Key: c.ClientKey}.Config()
	if err != nil {
		return p.Usage("--ca-cert, --client-cert or --client-key: " + err.Error())
	}
	api, err := client.New(c.Server, client.Options{UserAgent: p.Name, Credential: c.credential(), TLS: tlsConfig})
	if err != nil {
		return p.Usage("--server: " + err.Error())
	}
	if c.StateDir != "" {
		tokens, err := client.OpenTokenDir(c.StateDir)
		if err != nil {
			log.Error(err, "the state directory is of no use")
			return cli.ExitFailed
		}
		defer func() { _ = tokens.Close() }() // the lock ends with the process anyhow
		options.Tokens = tokens
	}
	worker, err := client.NewWorker(api, options)
	if err != nil {
		return p.Usage("--run, --channel, --name or --concurrency: " + err.Error())
	}

	draining, drain := context.WithCancel(ctx)
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(draining) }()
	log.Info("asking for jobs", "server", shown(c.Server), "name", c.Name, "concurrency", strconv.Itoa(c.Concurrency))

	select {
	case err := <-ended:
		return report(log, err)
	case s := <-signals:
		log.Info("draining; a second signal ends everything now", "signal", s.String(), "drain_timeout", c.DrainTimeout.String())
		drain()
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return report(log, err)
	case s := <-signals:
		log.Error(nil, "killing every command; their jobs will be handed out again when their leases time out", "signal", s.String())
		worker.Kill() // first, so that nothing is reported of what is killed
		runner.Kill()
	}
	select {
	case err = <-ended:
	case <-time.After(leftOpen):
		err = errors.New("commands are still running")
	}
	if err != nil {
		log.Error(err, "the worker was killed")
	}
	return cli.ExitFailed
}

// report logs how the worker ended and returns the exit code that says so.
func report(log logging.Adapter, err error) int {
	if err != nil {
		log.Error(err, "the worker failed")
		return cli.ExitFailed
	}
	log.Info("drained")
	return cli.ExitClean
}

// shown is the server's address without a password.
func shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "" // it was parsed before
	}
	return parsed.Redacted()
}
