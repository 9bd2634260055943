package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// envPrefix begins the name of each flag's environment variable.
const envPrefix = "LONGSHORE_"

// flags are what the server can be told. Durations are Go's: 90s, 2m30s.
type flags struct {
	Listen           string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on. Port 0 takes any that is free; the log tells which."`
	Store            string        `default:"./longshore-data" placeholder:"DIR|memory" help:"Directory of the store, made if it is not there, or 'memory' to keep nothing."`
	HeartbeatTimeout time.Duration `default:"120s" help:"How long a lease lasts without a heartbeat."`
	ReapInterval     time.Duration `default:"30s" help:"How often to look for leases that went silent."`
	MaxRetries       uint64        `default:"2" help:"How often a job goes back in line after its worker went silent, unless the job says otherwise."`
	MaxWait          time.Duration `default:"60s" help:"The longest that a request may wait for a job."`
	MaxBodyBytes     int64         `default:"1048576" help:"The longest body that a request may have, in bytes."`
	ShutdownTimeout  time.Duration `default:"30s" help:"How long to let requests end when the server is stopped."`
	LogLevel         string        `default:"info" enum:"debug,info,warn,error" help:"What to log: ${enum}. At info there is a line for each request."`
	LogFormat        string        `default:"json" enum:"json,text" help:"How to log: ${enum}. Logs go to the standard error."`
	Version          bool          `help:"Print the version, and exit."`
}

// errHelp: help was asked for, and given.
var errHelp = errors.New("help was printed")

// parse reads flags, and from the environment those that are not given. A variable that is
// empty counts as absent.
func parse(args, env []string, stdout io.Writer) (flags, error) {
	var f flags
	helped := false
	parser, err := kong.New(&f,
		kong.Name("longshore-server"),
		kong.Description("Longshore is a job queue for workers that are somewhere else. This is its server."),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.PostBuild(tellVariables),
		kong.Resolvers(variables(env)),
	)
	if err != nil {
		return flags{}, fmt.Errorf("read the flags: %w", err)
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return flags{}, errHelp
	case err != nil:
		return flags{}, err
	case f.ShutdownTimeout < 0:
		return flags{}, fmt.Errorf("--shutdown-timeout must not be negative: %s", f.ShutdownTimeout)
	}
	return f, nil
}

// variableOf is the environment variable of a flag.
func variableOf(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variables resolves flags from the environment that run was given: kong's own way reads the
// process's, which a test cannot give it.
func variables(env []string) kong.Resolver {
	values := make(map[string]string)
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			values[name] = value
		}
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if value, set := values[variableOf(flag.Name)]; set && hasVariable(flag) {
			return value, nil
		}
		return nil, nil
	})
}

// tellVariables has the help name each flag's variable.
func tellVariables(k *kong.Kong) error {
	for _, flag := range k.Model.Flags {
		if hasVariable(flag) {
			flag.Help += " ($" + variableOf(flag.Name) + ")"
		}
	}
	return nil
}

// hasVariable: what is not a setting has none.
func hasVariable(flag *kong.Flag) bool { return flag.Name != "help" && flag.Name != "version" }
