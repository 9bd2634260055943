package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/tracing"
)

// run does what the arguments say, and returns the process's exit code.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case commandAudit:
			return runAudit(ctx, args[1:], env, stdout, stderr)
		case commandCopy:
			return runCopy(ctx, args[1:], env, stdout, stderr)
		case commandKey:
			return runKey(ctx, args[1:], env, stdout, stderr)
		case commandMigrate:
			return runMigrate(ctx, args[1:], env, stdout, stderr)
		}
	}
	return runServer(ctx, args, env, stdout, stderr)
}

// runServer runs a server until ctx ends or the server fails, and returns the exit code.
func runServer(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	var f flags
	if code, ok := program.Parse(&f, args, env); !ok {
		return code
	}
	// From here on the output is a log, and a server goes on without whoever read that. The signal is taken, and no
	// more is done about it.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	log, err := logging.New(stderr, f.LogLevel, f.LogFormat)
	if err != nil {
		return program.Usage("--log-level or --log-format: " + err.Error())
	}
	traces, err := tracing.Start(ctx, tracing.Options{
		Service: program.Name, Version: buildinfo.Read().Version, Endpoint: f.OtlpEndpoint, Env: env,
		OnError: func(err error) { log.WithError(err).Warn("spans were not sent") },
	})
	if err != nil {
		return program.Usage("--otlp-endpoint: " + err.Error())
	}
	defer func() { _ = traces.Stop(ctx) }() // OnError was told
	server, err := app.New(app.Options{
		Listen:              f.Listen,
		AdminListen:         f.AdminListen,
		Store:               f.Store,
		Migrate:             f.Migrate,
		PollInterval:        f.PollInterval,
		NoListen:            f.NoListen,
		DatabaseConnections: f.DatabaseConnections,
		HeartbeatTimeout:    f.HeartbeatTimeout,
		ReapInterval:        f.ReapInterval,
		MaxRetries:          f.MaxRetries,
		MaxWait:             f.MaxWait,
		MaxBodyBytes:        f.MaxBodyBytes,
		MaxBatchBytes:       f.MaxBatchBytes,
		MaxArgsBytes:        f.MaxArgsBytes,
		MaxResultBytes:      f.MaxResultBytes,
		IdempotencyTTL:      f.IdempotencyTTL,
		Retention:           f.Retention,
		BackupDir:           f.BackupDir,
		Auth:                f.Auth,
		Insecure:            f.Insecure,
		AllowedHost:         f.AllowedHost,
		TLSCert:             f.TLSCert,
		TLSKey:              f.TLSKey,
		TLSClientCA:         f.TLSClientCA,
		AuthKeysFile:        f.AuthKeysFile,
		AuthMTLSFile:        f.AuthMTLSFile,
		OIDC:                app.OIDCOptions(f.OIDC),
		Tracer:              traces.Tracer(),
		Logger:              log,

		MaxConnections:          f.MaxConnections,
		MaxWaiting:              f.MaxWaiting,
		MaxWaitingPerCredential: f.MaxWaitingPerCredential,
		RateLimit:               f.RateLimit,
		QuotaJobs:               f.QuotaJobs,
		QuotaBytes:              f.QuotaBytes,
		MemoryLimit:             f.MemoryLimit,
	})
	if option := (*app.OptionError)(nil); errors.As(err, &option) {
		return program.Usage(flagOf(option.Option) + " " + option.Reason)
	}
	if err != nil {
		log.WithError(err).Error("server not made")
		return cli.ExitFailed
	}
	if unknown := program.Unknown(&f, env); len(unknown) > 0 {
		log.WithField("variables", strings.Join(unknown, " ")).Warn("the environment has variables that are no settings of this program")
	}
	return serve(ctx, server, f, log)
}

// lifecycle is what serve needs of an app.App.
type lifecycle interface {
	Start() error
	Reload()
	Failed() <-chan error
	Stop(ctx context.Context) error
}

// serve starts the server, waits until it has to stop, and stops it.
func serve(ctx context.Context, server lifecycle, f flags, log *logrus.Logger) int {
	build := buildinfo.Read()
	log.WithFields(logrus.Fields{"version": build.Version, "commit": build.Commit, "go": build.Go}).Info("starting")
	// Also where there is nothing to read again: the signal would end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if err := server.Start(); err != nil {
		log.WithError(err).Error("server not started")
		return cli.ExitFailed
	}
	code := cli.ExitClean
	for running := true; running; {
		select {
		case <-hangups:
			log.Info("reading files again")
			server.Reload()
		case <-ctx.Done():
			log.Info("stopping; a second signal ends the server now")
			running = false
		case err := <-server.Failed():
			log.WithError(err).Error("server failed; stopping")
			code, running = cli.ExitFailed, false
		}
	}
	// The context that was told to stop has ended: stopping has one of its own.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.ShutdownTimeout)
	defer cancel()
	if err := server.Stop(stopping); err != nil {
		log.WithError(err).Error("server not stopped in order")
		return cli.ExitFailed
	}
	log.Info("stopped")
	return code
}

// capitals are where the words of an option's name begin.
var capitals = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// flagOf is the flag that sets an option.
func flagOf(option string) string {
	return "--" + strings.ToLower(capitals.ReplaceAllString(option, "$1$3-$2$4"))
}
