package where

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// Shares says how much of what a profile counts belongs to each part, of 1.
type Shares map[string]float64

// Read reads a profile; which names the value that counts, such as "cpu" or "alloc_space".
func Read(path, which string) (shares Shares, total int64, err error) {
	p, err := open(path)
	if err != nil {
		return nil, 0, err
	}
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == which })
	if at < 0 {
		return nil, 0, fmt.Errorf("%s: it counts no %s", path, which)
	}
	shares, in := make(Shares), parts()
	for _, s := range p.Sample {
		shares[partOf(stackOf(s), in)] += float64(s.Value[at])
		total += s.Value[at]
	}
	for part := range shares {
		shares[part] /= float64(max(total, 1))
	}
	return shares, total, nil
}

func open(path string) (p *profile.Profile, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	if p, err = profile.Parse(file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Wait is a place where goroutines wait for each other.
type Wait struct {
	Function string  // of the server, the innermost one
	Share    float64 // of all that is waited for, of 1
}

// Waits returns the functions of the server in which most is waited, at most so many. Only waits of goroutines count whose stack
// has the function beneath; "" for all.
func Waits(path, beneath string, most int) ([]Wait, error) {
	p, err := open(path)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "delay" })
	if at < 0 {
		return nil, fmt.Errorf("%s: it counts no delay", path)
	}
	by, total := make(map[string]int64), int64(0)
	for _, s := range p.Sample {
		stack := stackOf(s)
		if beneath != "" && !slices.Contains(stack, beneath) {
			continue
		}
		total += s.Value[at]
		by[waiting(stack)] += s.Value[at]
	}
	var waits []Wait
	for function, delay := range by {
		waits = append(waits, Wait{function, float64(delay) / float64(max(total, 1))})
	}
	slices.SortFunc(waits, func(a, b Wait) int {
		if a.Share != b.Share {
			return int((b.Share - a.Share) * 1e9)
		}
		return strings.Compare(a.Function, b.Function)
	})
	return waits[:min(most, len(waits))], nil
}

// shapes are the type arguments in the name of a generic function, which say nothing to a reader.
var shapes = regexp.MustCompile(`\[go\.shape\..*\]`)

// waiting returns the innermost function that is not the runtime's or the standard library's.
func waiting(stack []string) string {
	for _, function := range stack {
		function = shapes.ReplaceAllString(function, "[...]")
		if name, ours := strings.CutPrefix(function, module); ours {
			return name
		}
		if strings.Contains(strings.SplitN(function, "/", 2)[0], ".") && strings.Contains(function, "/") {
			return function
		}
	}
	return others
}

// workloads returns what there are CPU profiles of in a directory.
func workloads(directory string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.cpu.pprof"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there are no profiles in %s", directory)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".cpu.pprof"))
	}
	slices.Sort(names)
	return names, nil
}

// Write writes a section of Markdown about the profiles in a directory: where the server's processor time
// goes, what allocates memory, where it waits for locks, and what requests wait for.
func Write(w io.Writer, title, directory string) error {
	names, err := workloads(directory)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "## %s\n\n", title)
	for _, kind := range []struct{ heading, suffix, value string }{
		{"Processor time of the server, percent", "cpu", "cpu"},
		{"Bytes that it allocates, percent", "allocs", "alloc_space"},
	} {
		columns := make([]Shares, len(names))
		for i, name := range names {
			if columns[i], _, err = Read(filepath.Join(directory, name+"."+kind.suffix+".pprof"), kind.value); err != nil {
				return err
			}
		}
		table(&text, kind.heading, names, columns)
	}
	for _, kind := range []struct{ heading, suffix, beneath string }{
		{"Waiting for locks, the three functions that wait longest", "mutex", ""},
		// Of the others most wait for something to do.
		{"What requests wait for, be it a lock, others or the disk: the three functions that wait longest", "block", answering},
	} {
		if err := list(&text, kind.heading, directory, names, kind.suffix, kind.beneath); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, text.String())
	return err
}

// answering is on the stack of every goroutine that answers requests.
const answering = "net/http.(*conn).serve"

// list writes for each workload which functions wait longest.
func list(text *strings.Builder, heading, directory string, names []string, suffix, beneath string) error {
	fmt.Fprintf(text, "%s:\n\n", heading)
	for _, name := range names {
		waits, err := Waits(filepath.Join(directory, name+"."+suffix+".pprof"), beneath, 3)
		if err != nil {
			return err
		}
		fmt.Fprintf(text, "- %s:", name)
		for _, wait := range waits {
			fmt.Fprintf(text, " `%s` %.0f %%;", wait.Function, 100*wait.Share)
		}
		text.WriteString("\n")
	}
	text.WriteString("\n")
	return nil
}

// table writes a row for each part that has half a percent somewhere.
func table(text *strings.Builder, heading string, names []string, columns []Shares) {
	fmt.Fprintf(text, "| %s | %s |\n|---%s|\n", heading, strings.Join(names, " | "), strings.Repeat("|---", len(names)))
	rows := parts()
	slices.Reverse(rows) // from what is nearest to the caller to what is farthest
	for _, row := range append(rows, part{name: others}) {
		if slices.ContainsFunc(columns, func(s Shares) bool { return s[row.name] >= 0.005 }) {
			fmt.Fprintf(text, "| %s |", row.name)
			for _, shares := range columns {
				fmt.Fprintf(text, " %.0f |", 100*shares[row.name])
			}
			text.WriteString("\n")
		}
	}
	text.WriteString("\n")
}
