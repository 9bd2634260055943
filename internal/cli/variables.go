package cli

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// prefix begins the name of each flag's variable.
const prefix = "LONGSHORE_"

// variableOf is the name of the variable that sets a flag.
func variableOf(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// hasVariable: what is not a setting has none, nor has a flag with the tag variable:"-".
func hasVariable(flag *kong.Flag) bool {
	return flag.Name != "help" && flag.Name != "version" && flag.Tag.Get("variable") != "-"
}

// variables resolves flags from the environment that was passed in: kong's own way reads the
// process's, which a test cannot give it. A variable that is empty counts as unset. A flag
// that may be repeated takes an entry from each line that is not empty.
func variables(env []string) kong.Resolver {
	values := make(map[string]string)
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, prefix) && value != "" {
			values[name] = value
		}
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value, set := values[variableOf(flag.Name)]
		switch {
		case !set || !hasVariable(flag):
			return nil, nil
		case flag.IsSlice(): // of strings
			return entries(value), nil
		default:
			return value, nil
		}
	})
}

// Unknown returns the names of the variables in env, sorted, that look like settings of p's and
// are none: a misspelt one would be ignored without a word. flags is what Parse got.
//
// Those that a worker gives to the commands that it runs are no settings: a command may be, or
// start, a program of ours.
func (p Program) Unknown(flags any, env []string) []string {
	parser, err := kong.New(flags, kong.Name(p.Name))
	if err != nil {
		panic(err) // the tags are wrong
	}
	known := make(map[string]bool)
	for _, flag := range parser.Model.Flags {
		known[variableOf(flag.Name)] = hasVariable(flag)
	}
	var unknown []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, prefix) && !known[name] && !ofCommands(name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// ofCommands tells whether a variable is one that a worker sets for its commands.
func ofCommands(name string) bool {
	switch rest := strings.TrimPrefix(name, prefix); rest {
	case "ATTEMPT", "DEPENDENCIES", "PROGRESS":
		return true
	default:
		return strings.HasPrefix(rest, "JOB_")
	}
}

// entries are the lines of a value, without the space around them.
func entries(value string) []any {
	var lines []any
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// describe is a flag's help, which names its variable, and its default where a placeholder stands in that one's place.
func describe(value *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(value)
	if value.Flag == nil || !hasVariable(value.Flag) {
		return help
	}
	if value.HasDefault && value.Flag.PlaceHolder != "" {
		help += " Default: " + value.Default + "."
	}
	return help + " ($" + variableOf(value.Name) + ")"
}
