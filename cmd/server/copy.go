package main

import (
	"context"
	"fmt"
	"io"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/cli"
)

// commandCopy is the first argument that makes the program copy a store.
const commandCopy = "copy"

// copyFlags are what a copy can be told.
type copyFlags struct {
	From string `required:"true" placeholder:"DIR|postgres://..." help:"Store to copy, which no server may use: its directory, or the address of a database. It stays as it is."`
	To   string `required:"true" placeholder:"DIR|postgres://..." help:"Store to fill: a directory that does not exist yet, or is empty; or the address of a database that has its schema (longshore-server migrate up) and nothing else."`
}

// runCopy copies a store, and returns the exit code: cli.ExitFailed if the target cannot be used.
func runCopy(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	program.Name += " " + commandCopy
	program.Description = "Copies all jobs of a store to an empty one, between a directory and a database in either direction. " +
		"Jobs that are running wait again, at their old places. Exit code 0 if the copy is complete and sound, " +
		"1 if it is not, and then there is none."
	var f copyFlags
	if code, ok := program.Parse(&f, args, env); !ok {
		return code
	}
	for _, store := range []struct{ flag, value string }{{"--from", f.From}, {"--to", f.To}} {
		if app.WrongStore(store.value) != "" || store.value == app.InMemory {
			return program.Usage(store.flag + " must be the directory of a store, or the address of a database")
		}
	}
	if err := app.Copy(ctx, f.From, f.To, stdout); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", program.Name, err) // nothing is left to do if that cannot be told
		return cli.ExitFailed
	}
	return cli.ExitClean
}
