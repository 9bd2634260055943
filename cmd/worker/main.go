// Command worker asks a Longshore server for jobs and runs them as shell commands.
//
// This package reads flags, the environment and signals, and says what became of it all by
// its exit code: 0 after a clean drain, 1 when something failed, 2 for bad usage. How jobs
// are asked for and reported is package client's business, how commands are run
// internal/command's.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the whole program. It blocks until the worker has drained after SIGTERM or SIGINT,
// or until a second one has ended it at once. Further ones change nothing.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	config, code, ok := parse(program, args, env)
	if !ok {
		return code
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	// A worker goes on without whoever read its log. The signal is taken, and no more is done about it: if it were
	// ignored it would be in commands as well.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	return work(ctx, program, config, env, signals)
}
