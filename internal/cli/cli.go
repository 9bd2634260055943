// Package cli is what the command lines of the programs have in common: how flags are read
// from arguments and variables, what --help and --version print, and how a program that is
// called wrongly says so.
//
// Which flags there are, and what they mean, is for the programs in cmd to say. This package
// reads no environment but the one it is given, handles no signals and ends no process.
package cli

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/alecthomas/kong"

	"github.com/longshore-queue/longshore/internal/buildinfo"
)

// Exit codes of every program.
const (
	ExitClean  = 0 // it did what it was told to
	ExitFailed = 1
	ExitUsage  = 2 // it was told what it cannot do
)

// Program is a program as its user sees it.
type Program struct {
	Name        string
	Description string // what it is for, in a sentence or two
	Stdout      io.Writer
	Stderr      io.Writer
}

// Parse sets the fields of the struct that flags points to, which has kong's tags, from
// arguments, else from variables of env (see variableOf and hasVariable), else from the defaults in its tags.
// If it has a method Validate() error, that has the last word. --help and --version come by
// themselves.
//
// Unless ok, there is nothing to run, and the program is to end with code: help or version
// was asked for and printed, or the usage is wrong, and Stderr tells what is.
func (p Program) Parse(flags any, args, env []string) (code int, ok bool) {
	asked := -1
	var own struct {
		Version version `help:"Print the version, and exit."`
	}
	parser, err := kong.New(flags,
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Vars{"version": buildinfo.Read().Line(p.Name)},
		kong.Embed(&own),
		kong.Writers(p.Stdout, p.Stderr),
		kong.Exit(func(code int) { asked = max(asked, code) }),
		kong.Help(printHelp),
		kong.ValueFormatter(describe),
		kong.Resolvers(variables(env)),
		kong.KindMapper(reflect.Slice, kong.MapperFunc(list)),
	)
	if err != nil {
		panic(err) // the tags are wrong
	}
	_, err = parser.Parse(args)
	switch {
	case asked >= 0:
		return asked, false
	case err != nil:
		return p.Usage(err.Error()), false
	}
	return ExitClean, true
}

// list decodes the value of a flag that may be repeated, as kong does, but for an empty one: kong takes that for no
// value at all, and what a flag narrows down would be wide open where the variable of a script is not set.
func list(ctx *kong.DecodeContext, target reflect.Value) error {
	empty := false
	switch value := ctx.Scan.Peek().Value.(type) {
	case string:
		empty = value == ""
	case []any: // the lines of a variable
		empty = len(value) == 0
	}
	if ctx.Value.Flag != nil && empty {
		return errors.New("must not be empty; leave it out to do without")
	}
	return kong.NewRegistry().RegisterDefaults().ForType(target.Type()).Decode(ctx, target)
}

// Usage tells that the program was called wrongly, and returns the exit code that says so.
// The reason names the flag.
func (p Program) Usage(reason string) int {
	// Nothing is left to do if that cannot be told.
	_, _ = fmt.Fprintf(p.Stderr, "%s: %s\nTry --help.\n", p.Name, reason)
	return ExitUsage
}

// version is a flag that prints the version. That of kong does not see a full disk.
type version bool

// BeforeReset prints the variable "version"; kong calls it when it meets the flag.
func (version) BeforeReset(app *kong.Kong, vars kong.Vars) error {
	_, err := fmt.Fprintln(app.Stdout, vars["version"])
	app.Exit(printed(app, err))
	return nil
}

// printHelp prints help; kong exits with ExitClean after it, which changes no other code.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Exit(printed(ctx.Kong, err))
	return nil
}

// printed is the exit code after printing what was asked for.
func printed(app *kong.Kong, err error) int {
	if err != nil {
		_, _ = fmt.Fprintf(app.Stderr, "%s: %s\n", app.Model.Name, err) // as in Usage
		return ExitFailed
	}
	return ExitClean
}
