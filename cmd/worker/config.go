package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// envPrefix and a flag's name, in capitals, are the variable that sets the flag.
const envPrefix = "LONGSHORE_"

// config is what flags and environment say.
type config struct {
	Server         string           `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Address of the server."`
	Run            []string         `required:"true" sep:"none" placeholder:"TYPE=COMMAND" help:"Run jobs of TYPE by 'sh -c COMMAND'. Repeatable; in the variable, one a line."`
	Channel        []string         `sep:"none" placeholder:"NAME" help:"Channel to take jobs from, instead of \"default\". Repeatable; in the variable, one a line."`
	Concurrency    int              `default:"1" placeholder:"N" help:"How many jobs run at once."`
	Name           string           `placeholder:"NAME" help:"What people see as the job's worker; host name and process id unless set."`
	DrainTimeout   time.Duration    `default:"30s" help:"How long running jobs may go on after SIGTERM, before they are ended and given back."`
	KillGrace      time.Duration    `default:"10s" help:"How long a command may take to end after SIGTERM, before SIGKILL."`
	MaxOutputBytes int              `default:"1044480" placeholder:"N" help:"How long a command's output may be."`
	StateDir       string           `placeholder:"DIR" help:"Directory to remember leases in, so that a worker started again after a crash goes on with its jobs."`
	LogLevel       string           `default:"info" enum:"debug,info,warn,error" help:"Least severe of what is logged: ${enum}."`
	LogFormat      string           `default:"json" enum:"json,text" help:"How it is logged: ${enum}. Logs go to the standard error."`
	Version        kong.VersionFlag `help:"Tell the version, and exit."`

	commands map[string]string // of Run: type to command
}

// Validate checks what kong cannot; kong calls it.
func (c *config) Validate() error {
	c.commands = make(map[string]string, len(c.Run))
	for _, entry := range c.Run {
		jobType, line, found := strings.Cut(entry, "=")
		switch {
		case !found || jobType == "" || strings.TrimSpace(line) == "":
			return fmt.Errorf("--run %q must look like TYPE=COMMAND", entry)
		case c.commands[jobType] != "":
			return fmt.Errorf("--run names the type %q twice", jobType)
		}
		c.commands[jobType] = line
	}
	switch {
	case c.Concurrency < 1:
		return errors.New("--concurrency must be at least 1")
	case c.MaxOutputBytes < 1:
		return errors.New("--max-output-bytes must be at least 1")
	case c.DrainTimeout < 0:
		return errors.New("--drain-timeout must not be negative")
	case c.KillGrace < 0:
		return errors.New("--kill-grace must not be negative")
	}
	return nil
}

// parse reads flags and environment. Unless ok, there is nothing to run and the program is to
// end with code: help or the version was asked for, or the usage is wrong.
func parse(args, env []string, stdout, stderr io.Writer) (c config, code int, ok bool) {
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("longshore-worker"),
		kong.Description("Asks a Longshore server for jobs and runs them as shell commands."),
		kong.Vars{"version": versionLine()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = max(exited, code) }),
		kong.Resolvers(variables(env)),
		kong.ValueFormatter(func(value *kong.Value) string {
			if value.Flag == nil || value.Name == "help" || value.Name == "version" {
				return kong.DefaultHelpValueFormatter(value)
			}
			return kong.DefaultHelpValueFormatter(value) + " ($" + variable(value.Name) + ")"
		}),
	)
	if err != nil {
		panic(err) // the tags above are wrong
	}
	_, err = parser.Parse(args)
	switch {
	case exited >= 0:
		return c, exited, false
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "longshore-worker: %v\n\nTry --help.\n", err)
		return c, exitUsage, false
	}
	if c.Name == "" {
		c.Name = defaultName()
	}
	return c, exitClean, true
}

// variable is the name of the variable that sets a flag.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variables resolves flags from the environment that was passed in; kong would read the
// process's own. An empty variable counts as unset.
func variables(env []string) kong.Resolver {
	values := make(map[string]string, len(env))
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value := values[variable(flag.Name)]
		switch {
		case value == "" || flag.Name == "help" || flag.Name == "version":
			return nil, nil
		case flag.IsSlice(): // of strings
			var lines []any
			for line := range strings.Lines(value) {
				if line = strings.TrimSpace(line); line != "" {
					lines = append(lines, line)
				}
			}
			return lines, nil
		default:
			return value, nil
		}
	})
}

// defaultName tells processes of one host apart.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.100s-%d", host, os.Getpid())
}
