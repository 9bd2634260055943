package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	// SIGPIPE too: when nobody reads the story any more, it still has to clean up.
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are what the flags say.
type settings struct {
	server   string // the server's binary
	worker   string // the worker's binary
	dir      string // whose files are counted
	store    string // storePostgres, or storeDisk
	postgres string // the directory of PostgreSQL's programs; "" to find one
	timeout  time.Duration
}

// What the servers keep the queue in.
const (
	storeDisk     = "disk"     // one server, with a store of its own
	storePostgres = "postgres" // two servers on one database, which is started for them
)

// run is main without the process around it. It returns the exit code: 0 when everything
// agrees, 1 when it does not, 2 for bad usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("longshore-demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.server, "server", "bin/longshore-server", "the server's `binary`")
	flags.StringVar(&s.worker, "worker", "bin/longshore-worker", "the worker's `binary`")
	flags.StringVar(&s.dir, "dir", ".", "the `directory` whose source files are counted")
	flags.StringVar(&s.store, "store", storeDisk, "what the queue is kept in: `disk`, or postgres for two servers on a throw-away PostgreSQL")
	flags.StringVar(&s.postgres, "postgres", os.Getenv(binVariable), "the `directory` of PostgreSQL's programs, if it is not found")
	flags.DurationVar(&s.timeout, "timeout", 2*time.Minute, "how long it may take before it is given up")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		return 2
	case s.store != storeDisk && s.store != storePostgres:
		_, _ = fmt.Fprintf(stderr, "-store must be %s or %s: %q\n", storeDisk, storePostgres, s.store)
		return 2
	}

	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout,
		fmt.Errorf("it was not over after %s", s.timeout))
	defer cancel()
	if err := play(ctx, s, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "\nThe demo failed: %v\n", err)
		return 1
	}
	return 0
}
