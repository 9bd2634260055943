package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// settings have a flag of each kind that the programs have.
type settings struct {
	Word    string        `default:"none" enum:"none,one,two" help:"One of ${enum}."`
	MaxWait time.Duration `default:"1s" help:"A duration."`
	Path    string        `help:"A path."`
	Run     []string      `sep:"none" help:"A list."`
	Weight  int           `default:"7" placeholder:"GRAMS" help:"A weight."`
	Secret  string        `variable:"-" help:"No setting."`
}

// Validate refuses what kong lets pass.
func (s *settings) Validate() error {
	if s.MaxWait < 0 {
		return errors.New("--max-wait must not be negative")
	}
	return nil
}

// outcome is what became of a program.
type outcome struct {
	settings       settings
	code           int
	ok             bool
	stdout, stderr string
}

func parse(args, env []string) outcome {
	var stdout, stderr bytes.Buffer
	var o outcome
	o.code, o.ok = Program{Name: "program", Description: "It is a test.", Stdout: &stdout, Stderr: &stderr}.
		Parse(&o.settings, args, env)
	o.stdout, o.stderr = stdout.String(), stderr.String()
	return o
}

func TestArgumentsGoBeforeVariablesBeforeDefaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args, env []string
		want      settings
	}{
		"defaults":   {nil, nil, settings{Weight: 7, Word: "none", MaxWait: time.Second}},
		"variables":  {nil, []string{"LONGSHORE_WORD=one", "LONGSHORE_MAX_WAIT=2s", "LONGSHORE_PATH=a=b"}, settings{Weight: 7, Word: "one", MaxWait: 2 * time.Second, Path: "a=b"}},
		"arguments":  {[]string{"--word=two", "--path", "c"}, []string{"LONGSHORE_WORD=one", "LONGSHORE_PATH=b"}, settings{Weight: 7, Word: "two", MaxWait: time.Second, Path: "c"}},
		"empty":      {nil, []string{"LONGSHORE_WORD=", "LONGSHORE_MAX_WAIT"}, settings{Weight: 7, Word: "none", MaxWait: time.Second}},
		"not ours":   {nil, []string{"WORD=one", "PATH=/bin", "LONGSHORE_UNKNOWN=1"}, settings{Weight: 7, Word: "none", MaxWait: time.Second}},
		"no setting": {nil, []string{"LONGSHORE_HELP=true", "LONGSHORE_VERSION=true", "LONGSHORE_SECRET=a"}, settings{Weight: 7, Word: "none", MaxWait: time.Second}},
		"repeated":   {[]string{"--run=a,b", "--run=c"}, []string{"LONGSHORE_RUN=d"}, settings{Weight: 7, Word: "none", MaxWait: time.Second, Run: []string{"a,b", "c"}}},
		"lines":      {nil, []string{"LONGSHORE_RUN=a, b\n\n  c\t\n"}, settings{Weight: 7, Word: "none", MaxWait: time.Second, Run: []string{"a, b", "c"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parse(test.args, test.env)
			require.True(t, got.ok, got.stderr)
			require.Equal(t, outcome{settings: test.want, code: ExitClean, ok: true}, got)
		})
	}
}

func TestBadUsageNamesProgramAndFlag(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args, env []string
		want      string
	}{
		"unknown":     {[]string{"--walk"}, nil, "--walk"},
		"argument":    {[]string{"there"}, nil, "unexpected argument there"},
		"enum":        {[]string{"--word=three"}, nil, "--word"},
		"duration":    {[]string{"--max-wait=soon"}, nil, "--max-wait"},
		"no value":    {[]string{"--path"}, nil, "--path"},
		"validation":  {[]string{"--max-wait=-1s"}, nil, "--max-wait must not"},
		"by variable": {nil, []string{"LONGSHORE_MAX_WAIT=soon"}, "--max-wait"},
		"empty":       {[]string{"--run=a", "--run="}, nil, "--run: must not be empty"},
		"blank":       {nil, []string{"LONGSHORE_RUN= \n"}, "--run: must not be empty"},
		"after help":  {[]string{"--help", "--walk"}, nil, "--walk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parse(test.args, test.env)
			require.False(t, got.ok)
			require.Equal(t, ExitUsage, got.code)
			require.Regexp(t, `^program: [^\n]+\nTry --help\.\n$`, got.stderr)
			require.Contains(t, got.stderr, test.want)
			require.Empty(t, got.stdout)
		})
	}
}

func TestHelpNamesVariables(t *testing.T) {
	t.Parallel()
	// Nothing else matters to whoever needs help.
	got := parse([]string{"--help", "--max-wait=-1s"}, []string{"LONGSHORE_WORD=three"})
	require.False(t, got.ok)
	require.Equal(t, ExitClean, got.code)
	require.Empty(t, got.stderr)
	help := strings.Join(strings.Fields(got.stdout), " ")
	require.Contains(t, help, "Usage: program")
	require.Contains(t, help, "It is a test.")
	require.Contains(t, help, "One of none,one,two. ($LONGSHORE_WORD)")
	require.Contains(t, help, "A duration. ($LONGSHORE_MAX_WAIT)")
	require.Contains(t, help, "A list. ($LONGSHORE_RUN)")
	require.Contains(t, help, "--weight=GRAMS A weight. Default: 7. ($LONGSHORE_WEIGHT)")
	require.NotContains(t, help, "LONGSHORE_SECRET")
	require.Contains(t, help, "--version Print the version, and exit.")
	require.NotContains(t, help, "LONGSHORE_VERSION")
	require.NotContains(t, help, "LONGSHORE_HELP")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := parse([]string{"--version"}, nil)
	require.False(t, got.ok)
	require.Equal(t, ExitClean, got.code)
	require.Regexp(t, `^program \S+ \(commit \S+, go1\.\S+ \w+/\w+\)\n$`, got.stdout)
	require.Empty(t, got.stderr)
}

// full is a disk that takes no more.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWhatCannotBePrintedIsAFailure(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "--version"} {
		var stderr bytes.Buffer
		code, ok := Program{Name: "program", Stdout: full{}, Stderr: &stderr}.Parse(&settings{}, []string{flag}, nil)
		require.False(t, ok)
		require.Equal(t, ExitFailed, code)
		require.Equal(t, "program: disk full\n", stderr.String())
	}
}

func TestWrongTagsAreTheProgrammersFault(t *testing.T) {
	t.Parallel()
	var flags struct {
		Word string `enum:"one,two"` // neither required nor has it a default
	}
	require.Panics(t, func() {
		Program{Name: "program", Stdout: io.Discard, Stderr: io.Discard}.Parse(&flags, nil, nil)
	})
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	p := Program{Name: "program", Stdout: io.Discard, Stderr: io.Discard}
	for name, test := range map[string]struct {
		env, want []string
	}{
		"none":          {nil, nil},
		"known":         {[]string{"LONGSHORE_WORD=one", "LONGSHORE_MAX_WAIT=", "LONGSHORE_RUN=a", "PATH=/bin", "MY_LONGSHORE_X=1"}, nil},
		"unknown":       {[]string{"LONGSHORE_WRD=one", "LONGSHORE_MAXWAIT=1s", "LONGSHORE_WRD=two"}, []string{"LONGSHORE_MAXWAIT", "LONGSHORE_WRD"}},
		"empty":         {[]string{"LONGSHORE_WRD=", "LONGSHORE_"}, []string{"LONGSHORE_", "LONGSHORE_WRD"}},
		"no setting":    {[]string{"LONGSHORE_VERSION=1", "LONGSHORE_HELP=1"}, []string{"LONGSHORE_HELP", "LONGSHORE_VERSION"}},
		"of a command":  {[]string{"LONGSHORE_JOB_ID=1", "LONGSHORE_JOB_TYPE=t", "LONGSHORE_JOB_CHANNEL=c", "LONGSHORE_ATTEMPT=1", "LONGSHORE_DEPENDENCIES=/tmp/x", "LONGSHORE_PROGRESS=/dev/fd/3"}, nil},
		"like commands": {[]string{"LONGSHORE_JOBS=1", "LONGSHORE_ATTEMPTS=1"}, []string{"LONGSHORE_ATTEMPTS", "LONGSHORE_JOBS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, p.Unknown(&settings{}, test.env))
		})
	}
}
