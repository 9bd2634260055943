package main

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/command"
)

func TestFlagsAndVariables(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	c, code, ok := parse(program(&stdout, &stderr),
		[]string{"--run", "a=echo x,y=z", "--run=b=true", "--channel", "one", "--channel=two", "--concurrency=3"},
		[]string{"LONGSHORE_CONCURRENCY=9", "LONGSHORE_SERVER=https://queue.example", "LONGSHORE_DRAIN_TIMEOUT=2m", "LONGSHORE_LOG_FORMAT=", "PATH=/bin"})
	require.True(t, ok, stderr.String())
	require.Equal(t, cli.ExitClean, code)
	require.Equal(t, map[string]string{"a": "echo x,y=z", "b": "true"}, c.commands)
	require.Equal(t, []string{"one", "two"}, c.Channel)
	require.Equal(t, 3, c.Concurrency, "a flag is above its variable")
	require.Equal(t, "https://queue.example", c.Server)
	require.Equal(t, 2*time.Minute, c.DrainTimeout)
	require.Equal(t, 10*time.Second, c.KillGrace)
	require.Equal(t, "json", c.LogFormat, "an empty variable counts as unset")
	require.NotEmpty(t, c.Name)
	require.Equal(t, command.DefaultMaxOutputBytes, c.MaxOutputBytes)
}

func TestEveryFlagReachesWhatItIsAbout(t *testing.T) {
	t.Parallel()
	env := []string{"PATH=/bin", "A=b"}
	for name, test := range map[string]struct {
		args    []string
		worker  client.WorkerOptions
		command command.Options
	}{
		"all of them": {
			args: []string{
				"--channel=one", "--channel=two", "--name=w1", "--concurrency=7",
				"--drain-timeout=3m", "--kill-grace=4s", "--max-output-bytes=5",
			},
			worker: client.WorkerOptions{
				Channels: []string{"one", "two"}, Name: "w1", Concurrency: 7,
				DrainTimeout: 3 * time.Minute, StopGrace: 8 * time.Second,
			},
			command: command.Options{Env: env, KillGrace: 4 * time.Second, MaxOutputBytes: 5},
		},
		"no time at all": {
			args:    []string{"--name=w1", "--drain-timeout=0s", "--kill-grace=0s"},
			worker:  client.WorkerOptions{Name: "w1", Concurrency: 1, DrainTimeout: -1, StopGrace: 4 * time.Second},
			command: command.Options{Env: env, KillGrace: -1, MaxOutputBytes: command.DefaultMaxOutputBytes},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			c, _, ok := parse(program(&stdout, &stderr), append(test.args, "--run=t=true"), nil)
			require.True(t, ok, stderr.String())
			require.Equal(t, test.worker, c.workerOptions())
			require.Equal(t, test.command, c.commandOptions(env))
		})
	}
}

// What is not passed on shows nowhere else: the worker asks for jobs with it, and commands run by it.
func TestFlagsReachTheServerAndTheCommands(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	p := launch(t, server, "--run=t=printf 123456", "--channel=acme", "--name=w1", "--max-output-bytes=5")
	require.JSONEq(t, `{"types":["t"],"channels":["acme"],"worker":"w1","wait_seconds":30}`, next(t, server.asked))
	server.add("t", `null`)
	require.Contains(t, next(t, server.reports), `"reason":"output-too-large"`)
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
}

// Others on the machine see arguments, and commands are what others wrote: neither gets the key.
func TestKeyIsKeptFromOthers(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	c, _, ok := parse(program(&stdout, &stderr), []string{"--run=t=true"}, []string{"LONGSHORE_KEY=lsk_a.b"})
	require.True(t, ok, stderr.String())
	key, err := c.credential()(t.Context())
	require.NoError(t, err)
	require.Equal(t, "lsk_a.b", key)
	require.Equal(t, []string{"PATH=/bin"}, c.commandOptions([]string{"LONGSHORE_KEY=lsk_a.b", "PATH=/bin"}).Env)

	_, _, ok = parse(program(&stdout, &stderr), []string{"--run=t=true", "--key-file=k"}, []string{"LONGSHORE_KEY=lsk_a.b"})
	require.False(t, ok)
	require.Contains(t, stderr.String(), "contradict")
	require.NotContains(t, stderr.String(), "lsk_")
}

func TestVariablesOfRepeatableFlagsHoldOneALine(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	c, _, ok := parse(program(&stdout, &stderr), nil, []string{"LONGSHORE_RUN=a=echo 1, 2\n\n b=true\n", "LONGSHORE_CHANNEL=one\ntwo"})
	require.True(t, ok, stderr.String())
	require.Equal(t, map[string]string{"a": "echo 1, 2", "b": "true"}, c.commands)
	require.Equal(t, []string{"one", "two"}, c.Channel)
}

func TestBadUsageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing to run":       {nil, "--run"},
		"a type alone":         {[]string{"--run", "a"}, "TYPE=COMMAND"},
		"no command":           {[]string{"--run", "a= "}, "TYPE=COMMAND"},
		"no type":              {[]string{"--run", "=a"}, "TYPE=COMMAND"},
		"a type twice":         {[]string{"--run", "a=x", "--run", "a=y"}, "twice"},
		"a wrong duration":     {[]string{"--run", "a=x", "--drain-timeout", "soon"}, "drain-timeout"},
		"a negative duration":  {[]string{"--run", "a=x", "--drain-timeout=-1s"}, "drain-timeout"},
		"a negative grace":     {[]string{"--run", "a=x", "--kill-grace=-1s"}, "kill-grace"},
		"no concurrency":       {[]string{"--run", "a=x", "--concurrency", "0"}, "concurrency"},
		"no output":            {[]string{"--run", "a=x", "--max-output-bytes", "0"}, "max-output-bytes"},
		"an unknown level":     {[]string{"--run", "a=x", "--log-level", "loud"}, "log-level"},
		"an unknown flag":      {[]string{"--run", "a=x", "--walk"}, "--walk"},
		"an argument":          {[]string{"--run", "a=x", "b"}, "unexpected argument b"},
		"an impossible type":   {[]string{"--run", "a b=x"}, "not a type"},
		"an impossible server": {[]string{"--run", "a=x", "--server", "queue:8080"}, "http://host:port"},
		"a key to be seen":     {[]string{"--run", "a=x", "--key=secret"}, "LONGSHORE_KEY"},
		"a key apart":          {[]string{"--run", "a=x", "--key", "secret"}, "LONGSHORE_KEY"},
		"a hidden password":    {[]string{"--run", "a=x", "--server", "http://u:secret@%zz"}, "address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, cli.ExitUsage, run(t.Context(), test.args, nil, &stdout, &stderr))
			require.Contains(t, stderr.String(), "longshore-worker: ")
			require.Contains(t, stderr.String(), test.want)
			require.NotContains(t, stderr.String(), "secret")
			require.Empty(t, stdout.String())
		})
	}
}

func TestHelpAndVersionEndTheProgramWell(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitClean, run(t.Context(), []string{"--help"}, nil, &stdout, &stderr))
	require.Contains(t, stdout.String(), "--drain-timeout")
	require.Contains(t, stdout.String(), "$LONGSHORE_DRAIN_TIMEOUT")
	stdout.Reset()
	require.Equal(t, cli.ExitClean, run(t.Context(), []string{"--version"}, nil, &stdout, &stderr))
	require.Regexp(t, `^longshore-worker \S+ \(commit \S+, go\S+ \w+/\w+\)\n$`, stdout.String())
	require.Empty(t, stderr.String())
}
