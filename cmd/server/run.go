package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/app"
)

// Exit codes.
const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

// run runs a server until ctx ends or the server fails, and returns the process's exit code.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	f, err := parse(args, env, stdout)
	if errors.Is(err, errHelp) {
		return exitClean
	}
	if err != nil {
		return usage(stderr, err.Error())
	}
	if f.Version {
		if _, err := fmt.Fprintln(stdout, versionLine()); err != nil {
			return exitFailed
		}
		return exitClean
	}
	log, err := app.NewLogger(stderr, f.LogLevel, f.LogFormat)
	if err != nil {
		return usage(stderr, "--log-level or --log-format: "+err.Error())
	}
	server, err := app.New(app.Options{
		Listen:           f.Listen,
		Store:            f.Store,
		HeartbeatTimeout: f.HeartbeatTimeout,
		ReapInterval:     f.ReapInterval,
		MaxRetries:       f.MaxRetries,
		MaxWait:          f.MaxWait,
		MaxBodyBytes:     f.MaxBodyBytes,
		Logger:           log,
	})
	if option := (*app.OptionError)(nil); errors.As(err, &option) {
		return usage(stderr, flagOf(option.Option)+" "+option.Reason)
	}
	if err != nil {
		log.WithError(err).Error("server not made")
		return exitFailed
	}
	return serve(ctx, server, f, log)
}

// serve starts the server, waits until it has to stop, and stops it.
func serve(ctx context.Context, server *app.App, f flags, log *logrus.Logger) int {
	log.WithFields(versionFields()).Info("starting")
	if err := server.Start(); err != nil {
		log.WithError(err).Error("server not started")
		return exitFailed
	}
	code := exitClean
	select {
	case <-ctx.Done():
		log.Info("stopping; a second signal ends the server now")
	case err := <-server.Failed():
		log.WithError(err).Error("server failed; stopping")
		code = exitFailed
	}
	// The context that was told to stop has ended: stopping has one of its own.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.ShutdownTimeout)
	defer cancel()
	if err := server.Stop(stopping); err != nil {
		log.WithError(err).Error("server not stopped in order")
		return exitFailed
	}
	log.Info("stopped")
	return code
}

// usage tells that the server was called wrongly.
func usage(stderr io.Writer, what string) int {
	// Nothing is left to do if that cannot be told.
	_, _ = fmt.Fprintf(stderr, "longshore-server: %s\nTry --help.\n", what)
	return exitUsage
}

// capitals are where the words of an option's name begin.
var capitals = regexp.MustCompile(`([a-z])([A-Z])`)

// flagOf is the flag that sets an option.
func flagOf(option string) string {
	return "--" + strings.ToLower(capitals.ReplaceAllString(option, "$1-$2"))
}
