package main

import (
	"context"
	"fmt"
	"io"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/cli"
)

// commandMigrate is the first argument that makes the program look after a database's schema.
const commandMigrate = "migrate"

// migrateFlags are what that can be told.
type migrateFlags struct {
	Action string `arg:"" enum:"up,status" help:"up brings the schema up to date; status tells how far it is."`
	Store  string `required:"true" placeholder:"postgres://..." help:"Address of the database."`
}

// runMigrate brings a database's schema up to date, or tells how far it is, and returns the exit
// code.
func runMigrate(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	program.Name += " " + commandMigrate
	program.Description = "Makes or updates the schema of a database. Servers may be at work meanwhile. " +
		"Exit code 0 if the schema is up to date then, 1 if it is not."
	var f migrateFlags
	if code, ok := program.Parse(&f, args, env); !ok {
		return code
	}
	if !app.IsDatabase(f.Store) {
		return program.Usage("--store must be the address of a database, which begins with postgres://")
	}
	do := app.MigrationStatus
	if f.Action == "up" {
		do = app.Migrate
	}
	current, err := do(ctx, f.Store, stdout)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", program.Name, err) // nothing is left to do if that cannot be told
		return cli.ExitFailed
	case !current:
		return cli.ExitFailed
	default:
		return cli.ExitClean
	}
}
