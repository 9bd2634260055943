// Command server runs Longshore: it reads flags and environment, starts the server that they
// describe, and stops it on SIGINT or SIGTERM. SIGHUP has it read files again.
//
// It exits with 0 when it was stopped in order, 1 when something failed or a second signal
// cut it short, and 2 when it was called wrongly.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/longshore-queue/longshore/internal/cli"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() { code <- run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr) }()

	select {
	case <-signals:
		stop()
	case c := <-code:
		os.Exit(c)
	}
	select {
	case <-signals: // the second one: whatever is not done stays undone
		os.Exit(cli.ExitFailed)
	case c := <-code:
		os.Exit(c)
	}
}
