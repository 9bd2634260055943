package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/cli"
)

// commandKey is the first argument that makes the program look after API keys.
const commandKey = "key"

// keyCreateFlags are what a new key can be told. Its limits have no variables: those of these names are the server's,
// and the environment of a server may be set where keys are made for it.
type keyCreateFlags struct {
	Store      string        `default:"./longshore-data" placeholder:"DIR|postgres://..." help:"Directory of the store, made if it does not exist, which no server may have open; or the address of a database."`
	Name       string        `required:"true" placeholder:"NAME" help:"Who is to have the key. Two keys may have one name, so that one can take over from the other."`
	Scope      []string      `required:"true" placeholder:"SCOPE" help:"What the key is for: enqueue, work, read, admin; repeatable."`
	Channel    []string      `placeholder:"CHANNEL" help:"Channel that the key is for; repeatable. Without it the key is for all channels."`
	ExpiresIn  time.Duration `placeholder:"DURATION" help:"How long the key is valid; for ever unless it is given."`
	RateLimit  float64       `variable:"-" placeholder:"N" help:"How many requests a second may be made with the key, in place of the server's --rate-limit."`
	MaxWaiting int           `variable:"-" placeholder:"N" help:"How many calls with the key may wait at the same time, in place of the server's --max-waiting-per-credential."`
	PrintLine  bool          `help:"Do not put the key into a store: print a line for the file of --auth-keys-file, and then the key."`
}

// keyListFlags are what a list of keys can be told.
type keyListFlags struct {
	Store string `default:"./longshore-data" placeholder:"DIR|postgres://..." help:"Directory of the store, which no server may have open, or the address of a database."`
}

// keyRevokeFlags are what a revocation can be told.
type keyRevokeFlags struct {
	ID    string `arg:"" help:"Id of the key, which stands between lsk_ and the dot."`
	Store string `default:"./longshore-data" placeholder:"DIR|postgres://..." help:"Directory of the store, which no server may have open, or the address of a database."`
}

// runKey makes, lists or revokes API keys, and returns the exit code.
func runKey(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := program(stdout, stderr)
	program.Name += " " + commandKey
	action := ""
	if len(args) > 0 {
		action, args = args[0], args[1:]
	}
	k := keyCommand{Program: program, ctx: ctx, args: args, env: env}
	k.Name += " " + action
	switch action {
	case "create":
		return k.create()
	case "list":
		return k.list()
	case "revoke":
		return k.revoke()
	case "--help", "-h":
		return k.help()
	default:
		return program.Usage("the next word must be create, list or revoke")
	}
}

// keyCommand is one call of the program.
type keyCommand struct {
	cli.Program
	ctx       context.Context
	args, env []string
}

func (k *keyCommand) help() int {
	_, err := fmt.Fprint(k.Stdout, "Usage: longshore-server key create|list|revoke\n\n",
		"Makes, lists and revokes the API keys in a store. Each of them has a --help.\n")
	return k.exit(err)
}

func (k *keyCommand) create() int {
	k.Description = "Makes an API key, and prints it alone in the last line of the standard output. It is shown this once: " +
		"only a hash of its secret is kept. Exit code 0 if the key was made, 1 if it was not."
	var f keyCreateFlags
	if code, ok := k.Parse(&f, k.args, k.env); !ok {
		return code
	}
	request := app.KeyRequest{Name: f.Name, Scope: f.Scope, Channel: f.Channel, ExpiresIn: f.ExpiresIn, RateLimit: f.RateLimit, MaxWaiting: f.MaxWaiting}
	if f.PrintLine {
		return k.exit(app.PrintKey(request, k.Stdout))
	}
	if code, ok := k.isStore(f.Store); !ok {
		return code
	}
	return k.exit(app.CreateKey(k.ctx, f.Store, request, k.Stdout))
}

func (k *keyCommand) list() int {
	k.Description = "Lists the API keys in a store, without their secrets, which nobody knows."
	var f keyListFlags
	if code, ok := k.Parse(&f, k.args, k.env); !ok {
		return code
	}
	if code, ok := k.isStore(f.Store); !ok {
		return code
	}
	return k.exit(app.ListKeys(k.ctx, f.Store, k.Stdout))
}

func (k *keyCommand) revoke() int {
	k.Description = "Revokes an API key. Servers on the same database refuse it within seconds."
	var f keyRevokeFlags
	if code, ok := k.Parse(&f, k.args, k.env); !ok {
		return code
	}
	if code, ok := k.isStore(f.Store); !ok {
		return code
	}
	return k.exit(app.RevokeKey(k.ctx, f.Store, f.ID, k.Stdout))
}

func (k *keyCommand) isStore(store string) (code int, ok bool) {
	if app.WrongStore(store) != "" || store == app.InMemory {
		return k.Usage("--store must be the directory of a store, or the address of a database"), false
	}
	return cli.ExitClean, true
}

// exit tells of an error, and returns the exit code.
func (k *keyCommand) exit(err error) int {
	var option *app.OptionError
	switch {
	case err == nil:
		return cli.ExitClean
	case errors.As(err, &option):
		return k.Usage(flagOf(option.Option) + " " + option.Reason)
	default:
		_, _ = fmt.Fprintf(k.Stderr, "%s: %v\n", k.Name, err) // nothing is left to do if that cannot be told
		return cli.ExitFailed
	}
}
