package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/command"
)

// keyVariable is the variable that has the worker's key.
const keyVariable = "LONGSHORE_KEY"

// program is the worker as its user sees it.
func program(stdout, stderr io.Writer) cli.Program {
	return cli.Program{
		Name:        "longshore-worker",
		Description: "Asks a Longshore server for jobs and runs them as shell commands.",
		Stdout:      stdout,
		Stderr:      stderr,
	}
}

// config is what flags and environment say.
type config struct {
	Server         string        `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Address of the server."`
	Key            string        `placeholder:"KEY" help:"The worker's API key or token. Only from the variable: others on the machine can see arguments."`
	KeyFile        string        `placeholder:"FILE" help:"File with the key; it is read again for each request."`
	CACert         string        `name:"ca-cert" placeholder:"FILE" help:"Authorities that may have signed the server's certificate, in PEM; those of the system unless set."`
	ClientCert     string        `placeholder:"FILE" help:"The worker's certificate, in PEM. Read again for each connection."`
	ClientKey      string        `placeholder:"FILE" help:"Private key of that certificate, in PEM."`
	Run            []string      `required:"true" sep:"none" placeholder:"TYPE=COMMAND" help:"Run jobs of TYPE by 'sh -c COMMAND'. Repeatable; in the variable, one a line."`
	Channel        []string      `sep:"none" placeholder:"NAME" help:"Channel to take jobs from, instead of \"default\". Repeatable; in the variable, one a line."`
	Concurrency    int           `default:"1" help:"How many jobs run at once."`
	Name           string        `placeholder:"NAME" help:"The name that people see as the job's worker; host name and process id unless set."`
	DrainTimeout   time.Duration `default:"30s" help:"How long running jobs may go on after SIGTERM, before they are ended and given back."`
	KillGrace      time.Duration `default:"10s" help:"How long a command may take to end after SIGTERM, before SIGKILL."`
	MaxOutputBytes int           `default:"1048576" help:"How long a command's output may be."`
	StateDir       string        `placeholder:"DIR" help:"Directory to remember leases in, so that a worker started again after a crash continues with its jobs."`
	OtlpEndpoint   string        `placeholder:"URL" help:"Where to send traces, as OTLP over HTTP, such as http://127.0.0.1:4318. The standard OTEL_... variables set the rest, and the endpoint too if this flag is not given. Without an endpoint none are sent."`
	LogLevel       string        `default:"info" enum:"debug,info,warn,error" help:"What to log: ${enum}."`
	LogFormat      string        `default:"json" enum:"json,text" help:"How to log: ${enum}. Logs go to the standard error."`

	commands map[string]string // of Run: type to command
}

// Validate checks what cli cannot.
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
	case c.Key != "" && c.KeyFile != "":
		return errors.New("--key-file and LONGSHORE_KEY contradict each other; give one of them")
	case (c.ClientCert == "") != (c.ClientKey == ""):
		return errors.New("--client-cert and --client-key make sense together only")
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

// parse reads flags and environment. Unless ok, the program is to end with code.
func parse(p cli.Program, args, env []string) (c config, code int, ok bool) {
	if slices.ContainsFunc(args, func(arg string) bool { return arg == "--key" || strings.HasPrefix(arg, "--key=") }) {
		return c, p.Usage("--key must be given as the variable " + keyVariable + ", or in a file with --key-file: others on the machine see arguments"), false
	}
	code, ok = p.Parse(&c, args, env)
	if c.Name == "" {
		c.Name = defaultName()
	}
	return c, code, ok
}

// credential is what the flags say about who the worker is; nil if they say nothing.
func (c *config) credential() func(context.Context) (string, error) {
	switch {
	case c.Key != "":
		return client.Key(c.Key)
	case c.KeyFile != "":
		return client.KeyFile(c.KeyFile)
	default:
		return nil
	}
}

// commandOptions are what the flags say about commands, which find env in their environment, but
// for the worker's key: a job runs what others wrote.
func (c *config) commandOptions(env []string) command.Options {
	return command.Options{
		Env:            slices.DeleteFunc(slices.Clone(env), func(variable string) bool { return strings.HasPrefix(variable, keyVariable+"=") }),
		KillGrace:      orNone(c.KillGrace),
		MaxOutputBytes: c.MaxOutputBytes,
	}
}

// workerOptions are what the flags say about the worker, but for its handlers.
func (c *config) workerOptions() client.WorkerOptions {
	return client.WorkerOptions{
		Channels:     c.Channel,
		Name:         c.Name,
		Concurrency:  c.Concurrency,
		DrainTimeout: orNone(c.DrainTimeout),
		StopGrace:    c.KillGrace + leftOpen,
	}
}

// leftOpen is how long a command whose group has ended may take for what outlives it and keeps its
// output and its pipe of progress open, and a moment.
const leftOpen = command.DefaultOutputDelay + command.ProgressDelay + time.Second

// orNone turns a flag's 0 into what options call no time at all.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// defaultName tells processes of one host apart.
func defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.100s-%d", host, os.Getpid())
}
