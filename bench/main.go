// Command bench measures Longshore on the machine that it runs on: the server as a process of
// its own, over HTTP, against what the machine and the libraries would allow. README.md says
// what each figure means.
//
// It exits with 0 when everything was measured, whatever came out, 1 when something failed,
// and 2 when it was called wrongly.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitClean  = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// SIGPIPE too: when nobody reads the figures any more, there is still to clean up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is what the program can do.
type command interface {
	Run(ctx context.Context, out output) error
}

// output is where a command writes.
type output struct{ stdout, stderr io.Writer }

// commandOf returns what is to be done, and the arguments that say how. To measure needs no
// name; for the others the program starts itself.
func commandOf(args []string) (command, []string) {
	if len(args) > 0 {
		switch args[0] {
		case "ceiling":
			return new(ceilingCommand), args[1:]
		case "app":
			return new(appCommand), args[1:]
		case "nats":
			return new(natsCommand), args[1:]
		case "where":
			return new(whereCommand), args[1:]
		case "restate":
			return new(restateCommand), args[1:]
		case "fill":
			return new(fillCommand), args[1:]
		}
	}
	return new(measureCommand), args
}

// run is main without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, args := commandOf(args)
	helped := false
	parser, err := kong.New(c,
		kong.Name("longshore-bench"),
		kong.Description("Measures Longshore on this machine, and prints a table."),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return complain(stderr, exitFailed, err)
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return exitClean
	case err != nil:
		return complain(stderr, exitUsage, err)
	}
	err = c.Run(ctx, output{stdout: stdout, stderr: stderr})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if err != nil {
		return complain(stderr, exitFailed, err)
	}
	return exitClean
}

func complain(stderr io.Writer, code int, err error) int {
	// Nothing is left to do if that cannot be told.
	_, _ = fmt.Fprintf(stderr, "longshore-bench: %v\n", err)
	return code
}
