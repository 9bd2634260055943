package main

import (
	"context"
	"fmt"
	"io"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/cli"
)

// commandAudit is the first argument that makes the program audit a store.
const commandAudit = "audit"

// auditFlags are what an audit can be told.
type auditFlags struct {
	Store string `default:"./longshore-data" placeholder:"DIR|postgres://..." help:"Directory of the store, which no server may have open, or the address of a database."`
}

// runAudit compares everything that a store keeps beside its jobs with what it should be, prints
// what differs, and returns the exit code: cli.ExitFailed if anything does. It changes nothing.
func runAudit(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	program.Name += " " + commandAudit
	program.Description = "Compares every index, edge and count of a store with what its jobs say. It changes nothing. " +
		"Exit code 0 if the store is sound, 1 if it is not, or cannot be read."
	var f auditFlags
	if code, ok := program.Parse(&f, args, env); !ok {
		return code
	}
	if app.WrongStore(f.Store) != "" || f.Store == app.InMemory {
		return program.Usage("--store must be the directory of a store, or the address of a database")
	}
	sound, err := app.Audit(ctx, f.Store, stdout)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", program.Name, err) // nothing is left to do if that cannot be told
		return cli.ExitFailed
	case !sound:
		return cli.ExitFailed
	default:
		return cli.ExitClean
	}
}
